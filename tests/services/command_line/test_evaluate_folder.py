"""`splitbrain evaluate FOLDER`: the same files whatever the number of workers and whatever was killed on the way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from services.cli import main
from services.command_line.evaluate_folder import plan
from services.evaluator.evaluation import scorecard_bytes
from services.evaluator.recording.store import RecordingStore
from services.evaluator.replay.results import Results, version_now
from shared.broker import Broker
from shared.coaching.detector import default_detector
from shared.coaching.knowledge import load_knowledge
from tests.services.command_line.recorded import put_talks, talk

N = 12


def cards(out: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in out.rglob("scorecard.json")}


async def start(folder: Path, out: Path, redis_url: str, *more: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "evaluate", str(folder), "--out", str(out), "--json", *more),
        stdout=pipe,
        stderr=pipe,
        env={**os.environ, "SPLITBRAIN_REDIS_URL": redis_url},
    )


async def first_new(out: Path, n_before: int) -> int:
    async with asyncio.timeout(30):
        while len(cards(out)) == n_before:
            await asyncio.sleep(0.001)
    return len(cards(out))


def workers_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_killed_in_the_middle_and_run_again(real_broker: Broker, real_redis_url: str, tmp_path: Path) -> None:
    """First the command is killed, then, in its second run, a worker: the files are those of an undisturbed run."""
    folder, out = tmp_path / "recordings", tmp_path / "out"
    ids = await asyncio.to_thread(put_talks, folder, N)
    process = await start(folder, out, real_redis_url, "--workers", "1")
    await first_new(out, 0)
    process.kill()
    await process.communicate()
    n_before = len(cards(out))
    assert n_before < N

    bad = ids[-1]
    (folder / bad / "events.jsonl").write_text("")
    process = await start(folder, out, real_redis_url, "--workers", "1")
    await first_new(out, n_before)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    said, complained = await process.communicate()
    assert process.returncode == 1, complained.decode()
    told = json.loads(said)
    assert (told["recordings"], told["evaluated"] + told["kept"], len(told["failed"])) == (N, N - 1, 1)
    assert told["kept"] >= n_before - 1  # the last one of the first run may have been cut off
    assert (told["failed"][0]["id"], told["recorded"]["equal"]) == (bad, N - 1)
    assert "events.jsonl is cut off" in told["failed"][0]["reason"]
    assert cards(out) == {each: scorecard_bytes(talk(number)) for number, each in enumerate(ids[:-1])}
    keys = [key for key in await real_broker.client.keys("*") if await real_broker.client.ttl(key) < 0]
    assert keys == []

    results = Results(out, version_now(load_knowledge(), default_detector()))
    progress, todo = plan(RecordingStore(str(folder)), results)
    assert (sorted(progress.kept), todo) == (ids[:-1], [bad])


def test_with_a_redis_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SPLITBRAIN_REDIS_URL", "SPLITBRAIN_EVALUATOR_JOBS_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    (recording_id,) = put_talks(tmp_path / "recordings", 1)
    command = ["evaluate", str(tmp_path / "recordings"), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 recordings: 1 evaluated, 0 already there, 0 failed; ")
    assert "1 equal to the recorded scorecard" in said
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["evaluated"], told["kept"], told["failed"]) == (0, 1, [])

    # What is recorded anew under the same id is evaluated anew.
    source = next((tmp_path / "out").rglob("source.json"))
    source.write_text(source.read_text().replace('"events_sha256":"', '"events_sha256":"0'))
    results = Results(tmp_path / "out", version_now(load_knowledge(), default_detector()))
    assert plan(RecordingStore(str(tmp_path / "recordings")), results)[1] == [recording_id]


def test_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path / "recordings"), "--out", str(tmp_path / "out")]) == 2
    assert "there is no recording" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main(["evaluate", str(tmp_path), "--dialogues", "x"])
    assert end.value.code == 2


def test_a_judge_needs_an_endpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert main(["evaluate", str(tmp_path / "recordings"), "--out", str(tmp_path / "out"), "--judge"]) == 2
    assert "--judge: set SPLITBRAIN_EVALUATOR_JUDGE_BASE_URL" in capsys.readouterr().err
