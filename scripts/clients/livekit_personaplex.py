"""Hold a turn with the edge through LiveKit's unmodified PersonaPlex plugin (docs/clients.md says how to install it).

    python scripts/clients/livekit_personaplex.py ws://127.0.0.1:8998 services/command_line/role_play/en/01.wav

Prints what the plugin gives an agent: the text, and how much sound came. Exit code 1 if nothing was heard.
"""

from __future__ import annotations

import asyncio
import sys
import wave

import aiohttp
import numpy as np
from livekit import rtc
from livekit.plugins.nvidia.experimental.realtime import RealtimeModel

RATE = 24_000
FRAME = 1_920


def read(path: str) -> np.ndarray:
    with wave.open(path) as wav:
        pcm = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(np.float32)
        at = np.arange(int(len(pcm) * RATE / wav.getframerate())) * wav.getframerate() / RATE
        return np.interp(at, np.arange(len(pcm)), pcm).astype("<i2")


async def main(url: str, path: str) -> int:
    heard: list[tuple[str, float]] = []
    tasks: set[asyncio.Task[None]] = set()

    async def collect(message: object) -> None:
        async def text() -> str:
            return "".join([part async for part in message.text_stream])

        async def sound() -> float:
            return sum([frame.duration async for frame in message.audio_stream])

        said, seconds = await asyncio.gather(text(), sound())
        print(f"hugo: {said.strip()!r}, {seconds:.1f} s of sound", flush=True)
        heard.append((said, seconds))

    async def follow(event: object) -> None:
        async for message in event.message_stream:
            await collect(message)

    async with aiohttp.ClientSession() as web:
        session = RealtimeModel(base_url=url, http_session=web).session()
        session.on("generation_created", lambda event: tasks.add(asyncio.create_task(follow(event))))
        silence = np.zeros(FRAME, "<i2")
        speech = read(path)
        frames = (
            [silence] * 100 + [speech[i : i + FRAME] for i in range(0, len(speech) - FRAME, FRAME)] + [silence] * 150
        )
        for frame in frames:
            session.push_audio(rtc.AudioFrame(frame.tobytes(), RATE, 1, FRAME))
            await asyncio.sleep(FRAME / RATE)
        await session.aclose()
        await asyncio.wait(tasks, timeout=5)
    return 0 if any(said.strip() and seconds > 0.5 for said, seconds in heard) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:3])))
