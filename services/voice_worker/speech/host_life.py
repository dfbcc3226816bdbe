"""One life of a model host: the process, its pipes and the requests that it works on. Restarts nothing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.voice_worker.speech import frames
from services.voice_worker.speech.frames import Message
from shared.errors import ModelCorrupt, ModelMissing, SpeechError, SpeechHostDied

MAX_CHUNKS: Final = 256
END_TIMEOUT_S: Final = 5.0
GRACE_S: Final = 0.5
# What a host needs of the environment. Keys and tokens of the service stay out of it.
PASSED_ON: Final = [
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "TMPDIR",
    "VIRTUAL_ENV",
]
ERRORS: Final[dict[str, type[SpeechError]]] = {
    "ModelMissing": ModelMissing,
    "ModelCorrupt": ModelCorrupt,
    "SpeechError": SpeechError,
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HostSpec:
    """Which host to run and how.

    `threads` are those of the model; `parallel` requests are sent at once, `max_waiting` more wait. `nice` keeps the
    event loop ahead of the models. A host that is silent for `ping_s` is asked for a sign of life, and ended when
    none comes in the same time. `program` is what Python runs; empty: the module of that name in `hosts`.
    """

    module: str
    models: tuple[str, ...] = ()
    threads: int = 1
    nice: int = 5
    parallel: int = 1
    max_waiting: int = 32
    ready_timeout_s: float = 60.0
    ping_s: float = 15.0
    program: tuple[str, ...] = ()


class HostLife:
    """A running host. `end` kills it; after that every request on it fails with SpeechHostDied."""

    def __init__(self, spec: HostSpec, process: asyncio.subprocess.Process) -> None:
        self._spec = spec
        self._process = process
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Queue[Message | None]] = {}
        self._heard = asyncio.Event()
        self._stderr: deque[str] = deque(maxlen=3)
        self._ended = False
        self.info: Message = {}

    @classmethod
    async def spawn(cls, spec: HostSpec, models_dir: Path) -> HostLife:
        """Start the process. SpeechError when the system refuses."""
        program = spec.program or ("-m", f"services.voice_worker.hosts.{spec.module}")
        command = [sys.executable, *program, "--models-dir", str(models_dir)]
        command += ["--threads", str(spec.threads), "--nice", str(spec.nice)]
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment |= {"OMP_NUM_THREADS": str(spec.threads), "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        try:
            async with asyncio.timeout(spec.ready_timeout_s):
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env=environment,
                )
        except (OSError, TimeoutError) as error:
            raise SpeechError(f"the host {spec.module} cannot be started: {error}") from error
        return cls(spec, process)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether this life is over."""
        return self._ended

    async def handshake(self) -> None:
        """Wait for "ready". ModelMissing, ModelCorrupt or SpeechError when the host refuses, ends or is too slow."""
        try:
            async with asyncio.timeout(self._spec.ready_timeout_s):
                message = await self._receive()
        except TimeoutError as error:
            limit = self._spec.ready_timeout_s
            raise SpeechError(f"the host {self._spec.module} was not ready after {limit:.0f} s") from error
        if message is None:
            await self._wait(GRACE_S)
            raise SpeechError(
                f"the host {self._spec.module} ended while it started ({self._last_words()}); "
                "are the packages of `splitbrain[speech]` installed?"
            )
        if message.get("kind") == "refused":
            raise error_of(message)
        if message.get("kind") != "ready" or not isinstance(message.get("info"), dict):
            raise SpeechError(f"the host {self._spec.module} does not speak this protocol")
        self.info = message["info"]

    async def read(self) -> None:
        """Hand messages to their requests until the process ends or breaks the protocol."""
        try:
            while (message := await self._receive()) is not None:
                self._heard.set()
                queue = self._pending.get(message["id"])
                if queue is None:
                    continue  # a pong, or late chunks of a request that was cancelled
                if queue.qsize() < MAX_CHUNKS:
                    queue.put_nowait(message)
                else:
                    self._drop(message["id"], queue)
        except frames.FrameError as error:
            log.error("the host %s broke the protocol: %s", self._spec.module, error)

    def _drop(self, number: int, queue: asyncio.Queue[Message | None]) -> None:
        """End one request whose caller is MAX_CHUNKS behind; the others on this host go on."""
        log.error("a caller of the host %s does not take its chunks; its request is ended", self._spec.module)
        self.close(number, finished=False)
        queue.put_nowait({"id": number, "kind": "error", "message": f"over {MAX_CHUNKS} chunks were not taken"})

    async def watch(self) -> None:
        """Ask for a sign of life whenever there was none for a while; end the process that gives none."""
        while True:
            self._heard.clear()
            if await self._hears():
                continue
            self.send({"id": 0, "op": "ping"})
            if not await self._hears():
                log.error("the host %s (pid %d) does not react; ending it", self._spec.module, self.pid)
                self.kill()
                return

    async def pump_stderr(self) -> None:
        """Copy the host's log lines to ours, and keep the last few."""
        stream = self._process.stderr
        assert stream is not None
        while True:
            try:
                line = await stream.readline()
            except ValueError:
                continue  # a line longer than the buffer
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            self._stderr.append(text)
            log.info("%s: %s", self._spec.module, text)

    def open(self, fields: Message) -> tuple[int, asyncio.Queue[Message | None]]:
        """Send a request; return its number and the queue of its messages (None: the host died)."""
        if self._ended:
            raise SpeechHostDied(f"the host {self._spec.module} has ended")
        number = next(self._numbers)
        queue: asyncio.Queue[Message | None] = asyncio.Queue(MAX_CHUNKS + 1)
        self.send({**fields, "id": number})
        self._pending[number] = queue
        return number, queue

    def close(self, number: int, *, finished: bool) -> None:
        """Forget a request; tell the host to stop when it is not `finished`."""
        self._pending.pop(number, None)
        if not finished and not self._ended:
            self.send({"id": number, "op": "cancel"})

    def send(self, message: Message) -> None:
        """Write one message. FrameError when it is too large. A dead process is noticed by the reader."""
        data = frames.encode(message)
        stream = self._process.stdin
        assert stream is not None
        if not stream.is_closing():
            stream.write(data)

    def kill(self) -> None:
        """End the process at once; it has nothing to save."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def end(self) -> None:
        """Close the process's input, at which it ends; kill it when it does not; fail what was under way. Idempotent.

        Killing a process that has just ended would take its exit code from asyncio's own waiter, hence the grace.
        """
        self._ended = True
        for queue in self._pending.values():
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
        self._pending.clear()
        if self._process.stdin is not None:
            self._process.stdin.close()
        if not await self._wait(GRACE_S):
            self.kill()
            if not await self._wait(END_TIMEOUT_S):
                log.error("the host %s (pid %d) did not end", self._spec.module, self.pid)

    async def _wait(self, timeout_s: float) -> bool:
        """Return whether the process ended in `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._process.wait()
        except TimeoutError:
            return False
        return True

    async def _hears(self) -> bool:
        try:
            async with asyncio.timeout(self._spec.ping_s):
                await self._heard.wait()
        except TimeoutError:
            return False
        return True

    async def _receive(self) -> Message | None:
        """Return the next message, or None when the process has closed its output."""
        stream = self._process.stdout
        assert stream is not None
        try:
            header = await stream.readexactly(frames.HEADER.size)
            return frames.decode(await stream.readexactly(frames.body_length(header)))
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return None

    def _last_words(self) -> str:
        return self._stderr[-1] if self._stderr else f"exit code {self._process.returncode}"


def error_of(message: Message) -> SpeechError:
    """Return the exception that an "error" or "refused" message stands for."""
    kind = ERRORS.get(str(message.get("error")), SpeechError)
    return kind(str(message.get("message", "the host gave no reason")))
