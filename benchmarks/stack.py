"""Starts the services as real processes on a Redis of their own, and measures what they use."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from shared.redis_server import RedisServer, free_port

ROOT = Path(__file__).parents[1]
READY_LIMIT_S = 120.0
STOP_LIMIT_S = 15.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PR_SET_PDEATHSIG = 1

MODULES = {
    "edge": "services.edge",
    "voice": "services.voice_worker",
    "coach": "services.coach_worker",
    "evaluator": "services.evaluator",
}


class StackError(RuntimeError):
    """A process did not become ready; the message holds the end of what it logged."""


@dataclass(frozen=True, slots=True)
class Process:
    """A running process and where its log goes."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def cpu_s(self) -> float:
        """Return the CPU seconds that the process has used, user and system."""
        return cpu_seconds(self.popen.pid)

    def log_tail(self, n_lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-n_lines:])


class Stack:
    """Redis, an edge, and the named workers. `environment` is given to all of them. Use as a context."""

    def __init__(self, services: tuple[str, ...], environment: dict[str, str] | None = None) -> None:
        self._services = services
        self._environment = environment or {}
        self._closing = ExitStack()
        self.processes: dict[str, Process] = {}
        self.redis = RedisServer()
        self.edge_port = free_port()

    @property
    def url(self) -> str:
        """ws:// URL of the edge, without a path."""
        return f"ws://127.0.0.1:{self.edge_port}"

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds used so far by each process, Redis too."""
        used = {name: process.cpu_s() for name, process in self.processes.items()}
        if self.redis.process:
            used["redis"] = cpu_seconds(self.redis.process.pid)
        return used

    def __enter__(self) -> Stack:
        with ExitStack() as stack:
            stack.enter_context(self.redis)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="splitbrain-bench-")))
            health = {}
            for name in self._services:
                health[name] = free_port()
                self.processes[name] = start_process(
                    name, [sys.executable, "-m", MODULES[name]], folder, self._variables(name, health[name])
                )
                stack.callback(stop_process, self.processes[name])
            for name, port in health.items():
                wait_ready(self.processes[name], f"http://127.0.0.1:{port}/readyz")
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def _variables(self, name: str, health_port: int) -> dict[str, str]:
        own = {
            "SPLITBRAIN_REDIS_URL": self.redis.url,
            "SPLITBRAIN_LOG_FORMAT": "text",
            f"SPLITBRAIN_{name.upper()}_HEALTH_PORT": str(health_port),
            "SPLITBRAIN_EDGE_PORT": str(self.edge_port),
            # One machine plays all clients here, so bounds for one address would be bounds for all.
            "SPLITBRAIN_EDGE_MAX_PER_USER": "2000",
            "SPLITBRAIN_EDGE_MAX_PER_ADDRESS": "2000",
            "SPLITBRAIN_EDGE_NEW_PER_MINUTE": "100000",
        }
        return {**os.environ, **own, **self._environment}


def start_process(name: str, command: list[str], folder: Path, environment: dict[str, str]) -> Process:
    """Start a process that ends with this one, its output in a file of `folder`."""
    log = folder / f"{name}.log"
    with log.open("wb") as sink:
        popen = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=sink, stderr=subprocess.STDOUT, preexec_fn=die_with_parent
        )
    return Process(name, popen, log)


def wait_ready(process: Process, url: str) -> None:
    """Return when `url` answers 200. StackError if the process ends or takes too long."""
    deadline = time.monotonic() + READY_LIMIT_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        if process.popen.poll() is not None or time.monotonic() > deadline:
            raise StackError(f"{process.name} did not become ready:\n{process.log_tail()}")
        time.sleep(0.05)  # asks a process that has no other way to say that it is ready


def stop_process(process: Process) -> None:
    """End a process kindly, then firmly."""
    if process.popen.poll() is None:
        process.popen.send_signal(signal.SIGTERM)
    try:
        process.popen.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.popen.kill()
        process.popen.wait()


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
