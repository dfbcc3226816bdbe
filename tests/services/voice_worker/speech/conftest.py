"""Fixtures for the speech tests: a supervised host without a model, and real speech."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile
from aiohttp import web
from aiohttp.test_utils import TestServer
from numpy.typing import NDArray

from services.voice_worker.speech.host_life import HostSpec
from services.voice_worker.speech.host_process import HostProcess

FAKE = Path(__file__).with_name("fake_host.py")
CLIPS = Path(__file__).parents[3] / "fixtures" / "audio" / "en_human"


@dataclass(frozen=True)
class Clip:
    pcm: NDArray[np.float32]
    text: str


@pytest.fixture(scope="session")
def clips() -> tuple[Clip, ...]:
    """Five sentences read by a human being, 16 kHz."""
    entries = json.loads((CLIPS / "manifest.json").read_text(encoding="utf-8"))
    return tuple(Clip(soundfile.read(CLIPS / e["file"], dtype="float32")[0], e["text"]) for e in entries)


@pytest.fixture
def spec() -> HostSpec:
    return HostSpec("fake", program=(str(FAKE),), nice=0, parallel=2, max_waiting=4, ready_timeout_s=20.0)


@pytest.fixture
async def make_host(tmp_path: Path) -> AsyncIterator[Callable[[HostSpec], HostProcess]]:
    """Build hosts that end with the test. Their "models directory" is `tmp_path`, where they leave marks."""
    hosts: list[HostProcess] = []

    def make(chosen: HostSpec) -> HostProcess:
        hosts.append(HostProcess(chosen, tmp_path))
        return hosts[-1]

    yield make
    for host in hosts:
        await host.aclose()


@pytest.fixture
async def host(make_host: Callable[[HostSpec], HostProcess], spec: HostSpec) -> HostProcess:
    started = make_host(spec)
    await started.start()
    return started


TONE = (np.sin(np.arange(24_000) * 0.1) * 8_000).astype("<i2").tobytes()


@dataclass
class Double:
    """A server with OpenAI's two speech calls: what it was asked, and how it shall answer."""

    asked: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    verbose: bool = True
    stall: asyncio.Event | None = None
    tone: bytes = TONE

    async def transcriptions(self, request: web.Request) -> web.Response:
        form = await request.post()
        upload = form["file"]
        assert isinstance(upload, web.FileField)
        with wave.open(io.BytesIO(upload.file.read())) as sound:
            seconds = sound.getnframes() / sound.getframerate()
        asked = {key: str(value) for key, value in form.items() if key != "file"}
        self.asked.append({**asked, "seconds": str(seconds), "key": request.headers["Authorization"]})
        if self.status != 200:
            return web.json_response({"error": {"message": "you said: a secret"}}, status=self.status)
        if form["response_format"] != "verbose_json":
            return web.json_response({"text": " hello world "})
        if not self.verbose:
            return web.json_response({"error": {"message": "response_format verbose_json"}}, status=400)
        words = [{"word": "hello", "start": 0.1, "end": 0.4}, {"word": " world", "start": 0.5, "end": 0.9}]
        return web.json_response(
            {"text": "hello world", "language": "english", "duration": seconds, "words": words, "segments": []}
        )

    async def speech(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({key: str(value) for key, value in (await request.json()).items()})
        if self.status != 200:
            return web.json_response({"error": {"message": "no"}}, status=self.status)
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        await response.prepare(request)
        await response.write(TONE[:9_601])  # in the middle of a sample
        if self.stall is not None:
            await self.stall.wait()
        await response.write(TONE[9_601:])
        return response


@pytest.fixture
async def double() -> AsyncIterator[tuple[Double, str]]:
    behaviour = Double()
    app = web.Application(client_max_size=8_000_000)
    app.router.add_post("/v1/audio/transcriptions", behaviour.transcriptions)
    app.router.add_post("/v1/audio/speech", behaviour.speech)
    async with TestServer(app) as server:
        yield behaviour, str(server.make_url("/v1"))
