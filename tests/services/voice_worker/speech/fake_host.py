"""A model host without a model: real process, real loop, operations that do what a test asks. Run as a script."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[4]))

from services.voice_worker.hosts.serve import Call, HostOptions, Loaded, run
from services.voice_worker.speech.frames import Message
from shared.errors import ModelCorrupt


def load(options: HostOptions) -> Loaded:  # noqa: C901 - a table of small operations
    marks = options.models_dir
    if (marks / "corrupt").exists():
        raise ModelCorrupt("weights.bin has another SHA-256")
    if (marks / "mute").exists():
        threading.Event().wait()
    if (marks / "die").exists():
        os._exit(9)

    def echo(call: Call) -> Iterator[Message]:
        print("a library prints")  # must not get into the protocol
        yield {"value": call.fields.get("value")}

    def count(call: Call) -> Iterator[Message]:
        for number in range(int(call.number("n", 0, 1000))):
            yield {"number": number}
        (marks / "counted").touch()

    def once(call: Call) -> Iterator[Message]:
        """Die the first time, answer the second."""
        mark = marks / call.text("mark", 50)
        if not mark.exists():
            mark.touch()
            os._exit(7)
        yield {"value": "second"}

    def die(call: Call) -> Iterator[Message]:
        yield {"number": 0}
        os._exit(7)

    def hang(call: Call) -> Iterator[Message]:
        (marks / "hangs").touch()
        threading.Event().wait()
        yield {}

    def raises(call: Call) -> Iterator[Message]:
        raise ValueError("a secret sentence")
        yield {}

    def endless(call: Call) -> Iterator[Message]:
        number = 0
        try:
            while True:
                yield {"number": number}
                number += 1
        finally:
            (marks / "stopped").touch()

    def flood(call: Call) -> Iterator[Message]:
        os.write(2, b"")
        sys.stdout.flush()
        yield {"blob": b"x" * (20 * 1024 * 1024)}

    operations = {"echo": echo, "count": count, "once": once, "die": die, "hang": hang, "raises": raises}
    return Loaded({**operations, "endless": endless, "flood": flood}, {"pid": os.getpid(), "threads": options.threads})


if __name__ == "__main__":
    run("fake", load)
