"""A process's figures are its own: they follow what it opens, starts and allocates."""

from __future__ import annotations

import os
import threading

from tests.chaos.vitals import _children, of_process


def test_figures_follow_what_a_process_does() -> None:
    before = of_process(os.getpid())
    held = bytearray(b"x" * (32 << 20))
    files = [open(os.devnull) for _ in range(5)]  # noqa: SIM115
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    after = of_process(os.getpid())
    over.set()
    thread.join()
    for file in files:
        file.close()
    assert len(held) == 32 << 20
    assert after["descriptors"] - before["descriptors"] == 5
    assert after["threads"] - before["threads"] == 1
    for figure in ("rss MB", "uss MB", "pss MB"):
        assert 30 < after[figure] - before[figure] < 40, figure


def test_a_process_that_is_gone_has_no_figures() -> None:
    assert of_process(1 << 22) == {}


def test_children_are_found_by_their_parent() -> None:
    found = {pid: (parent, command) for pid, parent, command in _children({os.getppid()})}
    parent, command = found[os.getpid()]
    assert parent == os.getppid()
    assert "python" in command[0]
