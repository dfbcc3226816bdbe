"""The voice client against a server double: pacing, both directions, events, and every way to fail."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import numpy as np
import pytest

from services.command_line.call_options import CallFailed, CallOptions
from services.command_line.client import Received, VoiceClient
from shared.audio import FRAME_SAMPLES, SAMPLE_RATE
from shared.clock import SystemClock
from shared.errors import BadInput
from shared.events import ScorecardReady, TurnStarted

TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(5 * FRAME_SAMPLES) / SAMPLE_RATE)).astype(np.float32)


def is_turn(thing: Received) -> bool:
    return thing.event is not None and isinstance(thing.event.body, TurnStarted)


class LateClock(SystemClock):
    """The machine's clock, which jumps once, as a process that was held up sees it."""

    def __init__(self) -> None:
        self.jump_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.jump_s


async def test_sound_goes_out_and_comes_back_on_the_same_media_time(edge: Any) -> None:
    back = asyncio.Event()
    edge.on_frame = lambda _, number: back.set() if number == 9 else None
    async with VoiceClient(edge.url, CallOptions()) as call:
        call.send_pcm(TONE)
        await back.wait()
        await call.hang_up(0.0)
    heard_there = np.concatenate(edge.heard)[: len(TONE)]
    # Opus delays by its look-ahead of 6.5 ms (156 samples); then it is the same tone.
    correlation = np.corrcoef(heard_there[156:], TONE[:-156])[0, 1]
    assert correlation > 0.98
    heard_here = call.recording.heard().astype(np.float32)
    assert abs(np.abs(heard_here[: len(TONE)]).mean() / 32767 - np.abs(TONE).mean()) < 0.03
    assert not np.any(np.abs(call.recording.sent()[len(TONE) :]))


async def test_frames_go_out_in_real_time_and_silence_fills_them(edge: Any) -> None:
    enough = asyncio.Event()
    edge.on_frame = lambda _, number: enough.set() if number == 10 else None
    async with VoiceClient(edge.url) as call:
        begun = asyncio.get_running_loop().time()
        await enough.wait()
        took_s = asyncio.get_running_loop().time() - begun
        assert call.media_ms >= 800
    assert took_s >= 0.72  # ten frames: not one may come before its time
    assert max(float(np.abs(pcm).max()) for pcm in edge.heard) < 1e-3


async def test_a_process_that_was_held_up_sends_no_burst(edge: Any) -> None:
    clock = LateClock()
    jumped, done = asyncio.Event(), asyncio.Event()

    def on_frame(_: Any, number: int) -> None:
        if number == 2:
            clock.jump_s = 60.0
            jumped.set()
        if number == 5:
            done.set()

    edge.on_frame = on_frame
    async with VoiceClient(edge.url, clock=clock) as call:
        await jumped.wait()
        begun = asyncio.get_running_loop().time()
        await done.wait()
        assert asyncio.get_running_loop().time() - begun >= 0.15
    assert call.late_frames >= 740


async def test_no_audio_goes_out_before_the_handshake(edge: Any) -> None:
    edge.greets = False
    with pytest.raises(CallFailed, match=r"not ready within 0 s") as caught:
        async with VoiceClient(edge.url, ready_timeout_s=0.3):
            pytest.fail("the call must not open")
    assert caught.value.trouble == "busy"
    assert edge.heard == []


async def test_everything_that_comes_is_kept_with_its_kind(edge: Any) -> None:
    seen: list[str] = []

    async def talk(fake: Any) -> None:
        await fake.event(TurnStarted("h1", "hugo", 0))
        await fake.send(b"\x02 hallo")
        await fake.send(b"\x05something is off")
        await fake.send(b'\x04{"kind":"unheard of"}')
        await fake.send(b"\x04not json")
        await fake.send(b"\x04[1]")
        await fake.send(b"\x06")
        await fake.send(b"\x01not ogg at all")

    edge.on_open = talk
    async with VoiceClient(edge.url, on_event=lambda thing: seen.append(thing.kind)) as call:
        found = await call.wait_for(is_turn, 5)
        assert found.event is not None
        assert [thing.text for thing in call.received if thing.kind == "text"] == [" hallo"]
    assert seen == ["event", "text", "error", "metadata"]
    assert call.bad_messages == 3


async def test_what_is_asked_for_and_the_token_reach_the_server(edge: Any) -> None:
    async with VoiceClient(edge.url, CallOptions(engine="echo", language="nl", token="s3cret")):
        pass
    request = edge.requests[0]
    assert request.query["engine"] == "echo"
    assert request.query["events"] == "1"
    assert request.headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in request.path_qs


async def test_hanging_up_brings_the_scorecard(edge: Any) -> None:
    async def on_command(fake: Any, command: dict[str, object]) -> None:
        if command == {"type": "end"}:
            await fake.event(ScorecardReady("v1", {"total": 7}))

    edge.on_command = on_command
    async with VoiceClient(edge.url) as call:
        card = await call.hang_up(5)
    assert card is not None
    assert card.scorecard == {"total": 7}
    assert edge.commands == [{"type": "end"}]


@pytest.mark.parametrize(
    ("code", "trouble"),
    [(1007, "protocol"), (1008, "refused"), (1011, "failed"), (1012, "restarting"), (1013, "busy"), (4999, "failed")],
)
async def test_a_close_says_what_it_means(edge: Any, code: int, trouble: str) -> None:
    async def on_frame(fake: Any, number: int) -> None:
        if number == 1:
            await fake.socket.close(code=code, message=b"retry after 7 s")

    edge.on_frame = on_frame
    with pytest.raises(CallFailed, match="retry after 7 s") as caught:
        async with VoiceClient(edge.url) as call:
            await call.wait_for(is_turn, 5)
    assert caught.value.trouble == trouble
    assert caught.value.code == code


async def test_a_normal_close_before_the_handshake_is_a_refusal_with_its_reason(edge: Any) -> None:
    async def refuse(fake: Any) -> None:
        await fake.send(b"\x05engine must be one of: cascade")
        await fake.socket.close(code=1000)

    edge.on_open = refuse
    with pytest.raises(CallFailed, match="engine must be one of: cascade") as caught:
        async with VoiceClient(edge.url):
            pytest.fail("the call must not open")
    assert caught.value.trouble == "refused"


async def test_a_close_before_the_handshake_tells_the_errors_text(edge: Any) -> None:
    async def refuse(fake: Any) -> None:
        await fake.send(b"\x05all slots are taken")
        await fake.socket.close(code=1013)

    edge.on_open = refuse
    with pytest.raises(CallFailed, match="all slots are taken") as caught:
        async with VoiceClient(edge.url):
            pytest.fail("the call must not open")
    assert caught.value.trouble == "busy"


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (400, "refused"),
        (401, "refused"),
        (403, "refused"),
        (404, "protocol"),
        (429, "busy"),
        (503, "busy"),
        (500, "protocol"),
    ],
)
async def test_an_http_answer_is_no_call(edge: Any, status: int, trouble: str) -> None:
    edge.refuse = status
    with pytest.raises(CallFailed) as caught:
        async with VoiceClient(edge.url):
            pytest.fail("the call must not open")
    assert caught.value.trouble == trouble


async def test_nobody_at_the_address() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        with pytest.raises(CallFailed, match="no server answers at") as caught:
            async with VoiceClient(f"ws://127.0.0.1:{held.getsockname()[1]}"):
                pytest.fail("the call must not open")
    assert caught.value.trouble == "unreachable"


async def test_the_queue_is_bounded_and_an_error_in_the_block_comes_out_as_it_is(edge: Any) -> None:
    half_an_hour = np.zeros(SAMPLE_RATE * 1800, dtype=np.float32)
    call = VoiceClient(edge.url)

    async def say_too_much() -> None:
        async with call:
            call.send_pcm(half_an_hour)
            call.send_pcm(np.append(half_an_hour, np.float32(0)))

    with pytest.raises(BadInput, match="3600 s of audio"):
        await say_too_much()
    assert 1_799_000 <= call.queued_ms <= 1_800_000


async def test_waiting_has_a_limit(edge: Any) -> None:
    async with VoiceClient(edge.url) as call:
        with pytest.raises(TimeoutError):
            await call.wait_for(is_turn, 0.05)
