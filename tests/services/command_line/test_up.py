"""`splitbrain up` as a process of its own, over small real services: ready, found, stopped, and never left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services import cli
from services.command_line import up
from services.command_line.exits import CommandError, Exit
from services.command_line.up import check_port, check_settings, free_port
from services.command_line.up_plan import UpOptions, plan

# The same command, with the four services replaced by small ones.
PROGRAM = """
import json, os, sys
from services.command_line import up
from services.command_line.roles import Role
from services.command_line.up_plan import ProcessPlan

def plan(wanted, redis_url, ours):
    modes = json.loads(os.environ["FAKE_MODES"])
    return [
        ProcessPlan(label, Role(label, "fake_service", "", ""), {"FAKE_LABEL": label, "FAKE_MODE": mode})
        for label, mode in modes.items()
    ]

up.plan = plan
up.check_settings = lambda plans: None  # the small services have none
from services.cli import main
sys.exit(main(sys.argv[1:]))
"""


class Up:
    """A running command and the JSON lines that it wrote."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    async def until(self, **wanted: str) -> dict[str, Any]:
        """Return the first line from now on that has these values."""
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while raw := await self.process.stdout.readline():
                line = json.loads(raw)
                self.lines.append(line)
                if all(value in str(line.get(key, "")) for key, value in wanted.items()):
                    return dict(line)
        raise AssertionError(f"{wanted} did not come: {self.lines}")

    async def end(self) -> int:
        async with asyncio.timeout(30):
            return await self.process.wait()


@pytest.fixture
async def start(tmp_path: Path, make_plan: Any) -> AsyncIterator[Any]:
    make_plan("unused")  # writes fake_service.py
    begun: list[asyncio.subprocess.Process] = []

    async def start(*arguments: str, **modes: str) -> Up:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SPLITBRAIN_")}
        environment |= {
            "PYTHONPATH": str(tmp_path),
            "XDG_RUNTIME_DIR": str(tmp_path),
            "FAKE_LOG": str(tmp_path / "stopped"),
            "FAKE_MODES": json.dumps(modes or {"edge": "ok", "voice": "ok", "coach": "ok"}),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, "up", "--engine", "echo", "--port", "0", "--json", *arguments),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        begun.append(process)
        return Up(process)

    yield start
    for process in begun:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def lives(pid: int) -> bool:
    """Whether the process runs; one that ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def all_gone(pids: list[int]) -> None:
    async with asyncio.timeout(10):
        while any(lives(pid) for pid in pids):
            await asyncio.sleep(0.01)


def redis_pid(up_pid: int, known: list[int]) -> int:
    """The one child of `up` that is no service."""
    children = Path(f"/proc/{up_pid}/task/{up_pid}/children").read_text().split()
    (pid,) = {int(child) for child in children} - set(known)
    return pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_stops_all_in_order_with_code_0(start: Any, tmp_path: Path, number: signal.Signals) -> None:
    up = await start()
    ready = await up.until(type="ready")
    pids = [process["pid"] for process in ready["processes"]]
    pids.append(redis_pid(up.process.pid, pids))
    assert ready["url"].startswith("http://127.0.0.1:")
    (file,) = (tmp_path / "splitbrain").glob("up-*.json")
    assert json.loads(file.read_text())["redis_url"] == ready["redisUrl"]
    up.process.send_signal(number)
    assert await up.end() == 0
    assert not any(lives(pid) for pid in pids)
    assert (tmp_path / "stopped").read_text().split() == ["edge", "voice", "coach"]
    assert not file.exists()


async def test_nothing_is_left_when_the_command_is_killed(start: Any) -> None:
    up = await start()
    ready = await up.until(type="ready")
    pids = [process["pid"] for process in ready["processes"]]
    pids.append(redis_pid(up.process.pid, pids))
    assert all(lives(pid) for pid in pids)
    up.process.kill()
    await up.end()
    await all_gone(pids)


async def test_a_process_that_dies_is_said_and_starts_again(start: Any) -> None:
    up = await start()
    ready = await up.until(type="ready")
    os.kill(ready["processes"][1]["pid"], signal.SIGKILL)
    await up.until(type="line", label="voice", text="ended (signal 9); it starts again in 0.5 s")
    await up.until(type="line", label="voice", text="up voice")


async def test_a_second_signal_does_not_wait(start: Any) -> None:
    up = await start(edge="ok", voice="stubborn")
    await up.until(type="ready")
    up.process.send_signal(signal.SIGINT)
    await up.until(type="say", text="once more to stop at once")
    up.process.send_signal(signal.SIGINT)
    assert await up.end() == 0


@pytest.mark.parametrize(
    ("mode", "code", "text"), [("settings", Exit.USAGE, "SPLITBRAIN_FAKE_X: wrong"), ("dies", Exit.FAILED, "boom")]
)
async def test_a_service_that_cannot_run_ends_the_command(start: Any, mode: str, code: Exit, text: str) -> None:
    up = await start(edge="ok", coach=mode)
    _, errors = await up.process.communicate()
    assert up.process.returncode == code
    assert text in errors.decode()


async def test_what_is_not_ready_in_time_is_named(start: Any) -> None:
    up = await start("--start-timeout", "1", edge="ok", voice="unready")
    _, errors = await up.process.communicate()
    assert up.process.returncode == Exit.FAILED
    assert "not ready within 1 s: voice" in errors.decode()


def test_a_port_that_is_taken_is_refused_before_anything_starts() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        with pytest.raises(CommandError, match="cannot listen on 127") as caught:
            check_port("127.0.0.1", held.getsockname()[1])
    assert caught.value.code is Exit.USAGE


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(CommandError, match="cannot listen on"):
        check_port("192.0.2.1", 0)


def test_a_free_port_is_free() -> None:
    check_port("127.0.0.1", free_port("127.0.0.1"))


def test_wrong_settings_of_all_services_are_told_at_once_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(up, "RedisServer", None)
    monkeypatch.setenv("SPLITBRAIN_EDGE_JWT_SECRET", "short")
    monkeypatch.setenv("SPLITBRAIN_VOICE_CASCADE_SLOT", "3")
    assert cli.main(["up", "--engine", "echo", "--port", "0"]) == 2
    text = capsys.readouterr().err
    assert "SPLITBRAIN_EDGE_JWT_SECRET needs 32 bytes" in text
    assert "SPLITBRAIN_VOICE_CASCADE_SLOTS?" in text
    monkeypatch.setenv("SPLITBRAIN_SHARDS", "0")
    assert cli.main(["up", "--engine", "echo", "--port", "0"]) == 2
    assert capsys.readouterr().err.count("SPLITBRAIN_SHARDS:") == 1  # wrong for all four, told once


def test_settings_are_judged_as_the_services_will_see_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_EDGE_HOST", "0.0.0.0")
    before = dict(os.environ)
    check_settings(plan(UpOptions(engine="echo"), "redis://127.0.0.1:1/0", os.environ))  # `up` sets the host itself
    assert dict(os.environ) == before
