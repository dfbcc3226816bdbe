"""One process: its output line by line, its exit code, and what it started ends with it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from services.command_line import child as child_module
from services.command_line.child import Child
from services.command_line.roles import Role
from services.command_line.up_plan import ProcessPlan
from shared.clock import SystemClock


def child_of(folder: Path, program: str, **environment: str) -> tuple[Child, list[str]]:
    (folder / "program.py").write_text(program)
    plan = ProcessPlan("it", Role("it", "program", "", ""), {"PYTHONPATH": str(folder), **environment})
    lines: list[str] = []
    return Child(plan, SystemClock(), lambda _, line: lines.append(line)), lines


async def test_output_comes_line_by_line_and_the_code_at_the_end(tmp_path: Path) -> None:
    child, lines = child_of(
        tmp_path, "import sys; print('one'); print('two', file=sys.stderr, flush=True); print(end='three'); sys.exit(7)"
    )
    assert await child.run() == 7
    assert sorted(lines) == ["one", "three", "two"] or lines == ["two", "one", "three"]
    assert not child.is_alive
    assert child.pid == 0


async def test_a_line_without_end_is_cut_and_broken_text_is_shown(tmp_path: Path) -> None:
    child, lines = child_of(tmp_path, "import sys; sys.stdout.buffer.write(b'x' * 50_000 + b'\\n\\xff\\n')")
    assert await child.run() == 0
    assert "".join(lines[:-1]) == "x" * 50_000
    assert max(map(len, lines)) <= child_module._MAX_LINE + 4096
    assert lines[-1] == "\ufffd"
    assert len(child.last_lines) <= 15


async def test_a_signal_is_a_negative_code(tmp_path: Path) -> None:
    child, _ = child_of(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert await child.run() == -signal.SIGKILL


async def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print(p.pid, flush=True)"
    )
    child, lines = child_of(tmp_path, program)
    assert await child.run() == 0
    async with asyncio.timeout(5):
        while _runs(int(lines[0])):
            await asyncio.sleep(0.01)  # looks again: a process ends when the kernel has ended it


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_it_gets_its_own_environment_and_a_health_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "yes")
    program = (
        "import os; print(os.environ['FROM_OUTSIDE'], os.environ['MINE'], os.environ['SPLITBRAIN_IT_HEALTH_PORT'])"
    )
    child, lines = child_of(tmp_path, program, MINE="here")
    await child.run()
    outside, mine, port = lines[0].split()
    assert (outside, mine) == ("yes", "here")
    assert int(port) > 0


async def test_stopping_what_does_not_run_does_nothing(make_plan: Any) -> None:
    child = Child(make_plan("it"), SystemClock(), lambda *_: None)
    await child.stop()
    child.kill()
    assert not child.is_alive
