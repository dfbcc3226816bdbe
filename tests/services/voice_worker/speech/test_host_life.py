"""One life of a host: the handshake, what breaks it, and the end of the process."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from services.voice_worker.speech.host_life import HostLife, HostSpec, error_of
from shared.errors import ModelCorrupt, ModelMissing, SpeechError, SpeechHostDied


async def ended(life: HostLife) -> None:
    await life.end()
    with pytest.raises(ProcessLookupError):
        os.kill(life.pid, 0)


async def test_a_ready_host_says_what_it_is(spec: HostSpec, tmp_path: Path) -> None:
    life = await HostLife.spawn(replace(spec, threads=2), tmp_path)
    await life.handshake()
    assert life.info == {"pid": life.pid, "threads": 2}
    await ended(life)
    await life.end()
    with pytest.raises(SpeechHostDied):
        life.open({"op": "echo"})


async def test_a_host_without_its_packages_says_what_to_install(spec: HostSpec, tmp_path: Path) -> None:
    (tmp_path / "die").touch()
    life = await HostLife.spawn(spec, tmp_path)
    with pytest.raises(SpeechError, match=r"splitbrain\[speech\]"):
        await life.handshake()
    await ended(life)


async def test_a_host_that_is_never_ready_is_given_up(spec: HostSpec, tmp_path: Path) -> None:
    (tmp_path / "mute").touch()
    life = await HostLife.spawn(replace(spec, ready_timeout_s=0.5), tmp_path)
    with pytest.raises(SpeechError, match="not ready after"):
        await life.handshake()
    await ended(life)


async def test_a_corrupt_model_keeps_its_type_and_reason(spec: HostSpec, tmp_path: Path) -> None:
    (tmp_path / "corrupt").touch()
    life = await HostLife.spawn(spec, tmp_path)
    with pytest.raises(ModelCorrupt, match="another SHA-256"):
        await life.handshake()
    await ended(life)


async def test_another_program_on_the_pipe_is_refused(spec: HostSpec, tmp_path: Path) -> None:
    script = tmp_path / "stranger.py"
    script.write_text("print('hello, this is no frame at all')")
    life = await HostLife.spawn(replace(spec, program=(str(script),)), tmp_path)
    with pytest.raises(SpeechError, match="announces"):
        await life.handshake()
    await ended(life)


async def test_keys_of_the_service_do_not_reach_the_host(
    spec: HostSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    life = await HostLife.spawn(spec, tmp_path)
    await life.handshake()
    environment = await asyncio.to_thread(Path(f"/proc/{life.pid}/environ").read_bytes)
    assert b"sk-secret" not in environment
    assert b"OMP_NUM_THREADS=1" in environment
    await ended(life)


async def test_a_frozen_host_is_noticed_and_ended(spec: HostSpec, tmp_path: Path) -> None:
    life = await HostLife.spawn(replace(spec, ping_s=0.3), tmp_path)
    await life.handshake()
    os.kill(life.pid, 19)  # SIGSTOP
    async with asyncio.timeout(10):
        await life.watch()
        await life.read()
    await ended(life)


async def test_a_host_that_answers_pings_is_left_alone(spec: HostSpec, tmp_path: Path) -> None:
    life = await HostLife.spawn(replace(spec, ping_s=0.2), tmp_path)
    await life.handshake()
    reading, watching = asyncio.create_task(life.read()), asyncio.create_task(life.watch())
    done, _ = await asyncio.wait([reading, watching], timeout=1.0)
    assert not done
    watching.cancel()
    await life.end()
    await asyncio.wait([reading, watching])


@pytest.mark.parametrize(("name", "kind"), [("ModelMissing", ModelMissing), ("Unheard", SpeechError)])
def test_errors_cross_the_wire(name: str, kind: type[SpeechError]) -> None:
    error = error_of({"error": name, "message": "because"})
    assert type(error) is kind
    assert str(error) == "because"
