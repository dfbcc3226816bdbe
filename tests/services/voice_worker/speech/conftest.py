"""Fixtures for the speech tests: a supervised host without a model, and real speech."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
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
