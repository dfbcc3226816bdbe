"""The loop of every model host: frames in on stdin, frames out on stdout, one thread that computes.

Owns the process: its streams, its end, and the order of work. Knows no model. Requests that yield several chunks take
turns, so that a long sentence of one session does not hold up another. The process ends when stdin does, so none is
left behind when the parent dies, however it dies.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

from services.voice_worker.speech import frames
from services.voice_worker.speech.frames import Message
from shared.errors import ModelCorrupt, ModelMissing, SpeechError

MAX_ACTIVE: Final = 64

log = logging.getLogger("splitbrain.host")


@dataclass(slots=True)
class Call:
    """A request as an operation sees it. Long operations look at `cancelled` between their steps."""

    fields: Message
    cancelled: bool = False

    def text(self, name: str, max_chars: int) -> str:
        """Return a string field. SpeechError when it is absent, no string, or too long."""
        value = self.fields.get(name)
        if not isinstance(value, str) or len(value) > max_chars:
            raise SpeechError(f"field {name!r} must be a string of at most {max_chars} characters")
        return value

    def number(self, name: str, low: float, high: float) -> float:
        """Return a number field. SpeechError when it is absent or outside `low`..`high`."""
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise SpeechError(f"field {name!r} must be a number from {low} to {high}")
        return float(value)

    def strings(self, name: str, max_items: int, max_chars: int) -> list[str]:
        """Return a list of strings. SpeechError when it is anything else, or too long."""
        value = self.fields.get(name)
        if not isinstance(value, list) or len(value) > max_items:
            raise SpeechError(f"field {name!r} must be a list of at most {max_items} strings")
        if not all(isinstance(item, str) and len(item) <= max_chars for item in value):
            raise SpeechError(f"field {name!r} must hold strings of at most {max_chars} characters")
        return list(value)


Operation = Callable[[Call], Iterator[Message]]
"""Yields the fields of each chunk of the answer."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a host offers once its model is in memory: operations by name, and facts for the ready message."""

    operations: Mapping[str, Operation]
    info: Message


@dataclass(frozen=True, slots=True)
class HostOptions:
    """The command line of a host."""

    models_dir: Path
    threads: int


Load = Callable[[HostOptions], Loaded]


@dataclass(slots=True)
class _Active:
    number: int
    call: Call
    chunks: Iterator[Message] | None = None


@dataclass(slots=True)
class _Loop:
    """The requests under way and the outlet; shared by the reading and the computing thread."""

    loaded: Loaded
    outlet: BinaryIO
    active: deque[_Active] = field(default_factory=deque)
    calls: dict[int, Call] = field(default_factory=dict)
    wake: threading.Condition = field(default_factory=threading.Condition)
    write_lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, message: Message) -> None:
        data = frames.encode(message)
        with self.write_lock:
            self.outlet.write(data)
            self.outlet.flush()

    def take(self, message: Message) -> None:
        """Handle one message from the client: start, cancel or answer at once."""
        number, op = message["id"], message.get("op")
        if op == "ping":
            self.send({"id": number, "kind": "pong"})
            return
        with self.wake:
            if op == "cancel":
                if call := self.calls.get(number):
                    call.cancelled = True
                return
            if len(self.active) < MAX_ACTIVE and number not in self.calls:
                call = Call(message)
                self.calls[number] = call
                self.active.append(_Active(number, call))
                self.wake.notify()
                return
        self.send(_error(number, SpeechError(f"the host has {MAX_ACTIVE} requests already, or knows this id")))

    def compute(self) -> NoReturn:
        """Give each request in turn one step, for ever."""
        while True:
            with self.wake:
                while not self.active:
                    self.wake.wait()
                current = self.active.popleft()
            if self.step(current):
                with self.wake:
                    self.active.append(current)
            else:
                current.chunks = None  # ends the operation's generator, and what it holds
                with self.wake:
                    del self.calls[current.number]

    def step(self, current: _Active) -> bool:
        """Compute and send one chunk. Return whether the request goes on."""
        if current.call.cancelled:
            self.send({"id": current.number, "kind": "end"})
            return False
        try:
            if current.chunks is None:
                operation = self.loaded.operations.get(str(current.call.fields.get("op")))
                if operation is None:
                    raise SpeechError(f"this host has no operation {current.call.fields.get('op')!r}")
                current.chunks = operation(current.call)
            chunk = next(current.chunks, None)
            if chunk is None:
                self.send({"id": current.number, "kind": "end"})
                return False
            self.send({"id": current.number, "kind": "chunk", **chunk})
        except Exception as error:
            if not isinstance(error, SpeechError):
                log.exception("operation failed")
            self.send(_error(current.number, error))
            return False
        return True


def run(name: str, load: Load) -> NoReturn:
    """Run a host until stdin ends: parse the command line, load, say "ready" (or "refused"), serve. Never returns."""
    options = _options(name)
    outlet = _private_stdout()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    try:
        loaded = load(options)
    except Exception as error:
        if not isinstance(error, SpeechError):
            log.exception("loading failed")
        outlet.write(frames.encode({"id": 0, "kind": "refused", "host": name, **_described(error)}))
        outlet.flush()
        os._exit(3)
    loop = _Loop(loaded, outlet)
    loop.send({"id": 0, "kind": "ready", "host": name, "info": loaded.info})
    threading.Thread(target=_compute_or_exit, args=(loop,), daemon=True).start()
    _read(loop, sys.stdin.buffer)
    os._exit(0)  # without waiting for a computation that nobody wants any more


def _read(loop: _Loop, inlet: BinaryIO) -> None:
    """Take messages until stdin ends or is not of the protocol."""
    while len(header := inlet.read(frames.HEADER.size)) == frames.HEADER.size:
        try:
            loop.take(frames.decode(inlet.read(frames.body_length(header))))
        except frames.FrameError as error:
            log.error("leaving: %s", error)
            os._exit(4)
        except BrokenPipeError:
            return


def _compute_or_exit(loop: _Loop) -> None:
    try:
        loop.compute()
    except BrokenPipeError:
        os._exit(0)
    except BaseException:
        log.exception("the computing thread ended")
        os._exit(5)


def _options(name: str) -> HostOptions:
    parser = argparse.ArgumentParser(prog=name, description="splitbrain model host; speaks frames on stdin and stdout")
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--nice", type=int, default=0)
    parsed = parser.parse_args()
    if parsed.nice:
        os.nice(parsed.nice)
    return HostOptions(models_dir=parsed.models_dir, threads=max(1, parsed.threads))


def _private_stdout() -> BinaryIO:
    """Return the real stdout and point file descriptor 1 at stderr, so that no library can print into the protocol."""
    outlet = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return outlet


def _described(error: BaseException) -> Message:
    known = {"ModelMissing": ModelMissing, "ModelCorrupt": ModelCorrupt, "SpeechError": SpeechError}
    for name, kind in known.items():
        if isinstance(error, kind):
            return {"error": name, "message": str(error)}
    # Exceptions of libraries may quote what a person said; their text stays in this process's log.
    return {"error": "SpeechError", "message": f"the speech model failed with {type(error).__name__}"}


def _error(number: int, error: BaseException) -> Message:
    return {"id": number, "kind": "error", **_described(error)}
