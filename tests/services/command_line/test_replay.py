"""`splitbrain replay`: what it says, its exit code, and that a replay that is stopped leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from services.cli import main
from services.evaluator.evaluation import scorecard_bytes
from services.evaluator.recording.store import RecordingStore
from services.evaluator.scorecard import canonical_json
from shared.redis_server import free_port
from tests.services.command_line.recorded import put_talks, talk
from tests.services.evaluator.replay.conftest import put_recording
from tests.services.evaluator.replay.test_through_streams import evaluator, left_behind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


def test_equal_cards(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = put_talks(folder, 2)
    assert main(["replay", ids[0], "--store", str(folder)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{ids[0]}: overall ")
    assert said.endswith("; equal to the recorded scorecard\n")
    assert main(["replay", *(f"{folder}/{each}" for each in ids)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_card_that_differs_names_its_fields(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = talk(1)
    other = json.loads(scorecard_bytes(events))
    other["evaluator_version"] = "0.9.0"
    recording_id = put_recording(RecordingStore(str(folder)), events, canonical_json(other))
    assert main(["replay", recording_id, "--store", str(folder)]) == 1
    assert capsys.readouterr().out.endswith("; differs from the recorded scorecard\n  evaluator_version\n")
    assert main(["replay", recording_id, "--store", str(folder), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["id"], told["agreement"], told["differing"]) == (recording_id, "differs", ["evaluator_version"])
    assert canonical_json(told["scorecard"]) == scorecard_bytes(events)


def test_a_bad_recording_does_not_stop_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = put_talks(folder, 2)
    (folder / bad / "events.jsonl").write_text("")
    assert main(["replay", "0" * 26, bad, good, "--store", str(folder)]) == 1
    said = capsys.readouterr()
    assert "cut off" in said.err
    assert "not there" in said.err
    assert said.out.startswith(good)
    assert main(["replay", bad, "--store", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["agreement"] == "failed"


def test_wrong_options(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["replay", "x", "--speed", "-1"])
    assert end.value.code == 2
    (recording_id,) = put_talks(folder, 1)
    url = f"redis://127.0.0.1:{free_port()}/0"
    assert main(["replay", recording_id, "--store", str(folder), "--redis-url", url]) == 3
    assert "Redis does not answer" in capsys.readouterr().err


async def command(*arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "replay", *arguments), stdout=pipe, stderr=pipe, env=os.environ
    )


async def test_through_a_deployment(real_broker, real_redis_url: str, folder: Path) -> None:  # type: ignore[no-untyped-def]
    ids = await asyncio.to_thread(put_talks, folder, 3)
    async with evaluator(real_broker) as worker:
        process = await command(*ids, "--store", str(folder), "--redis-url", real_redis_url, "--speed", "0", "--json")
        out, err = await process.communicate()
        assert (process.returncode, err) == (0, b"")
        told = [json.loads(line) for line in out.splitlines()]
        assert [(each["id"], each["agreement"]) for each in told] == [(each, "equal") for each in ids]
        assert await left_behind(real_broker, worker) == []


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
async def test_stopped_in_the_middle(real_broker, real_redis_url: str, folder: Path, signal_: int) -> None:  # type: ignore[no-untyped-def]
    (recording_id,) = await asyncio.to_thread(put_talks, folder, 1)
    async with evaluator(real_broker) as worker:
        process = await command(recording_id, "--store", str(folder), "--redis-url", real_redis_url)
        async with asyncio.timeout(20):
            while not worker.sessions:
                await asyncio.sleep(0.005)
        process.send_signal(signal_)
        await process.communicate()
        assert process.returncode == 130
        assert await left_behind(real_broker, worker) == []
