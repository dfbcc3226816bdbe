"""What a child process is given before its program: it ends with its parent, however that ends."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if platform.system() == "Linux" else None  # opened before any fork: a child must not


def dies_with(parent: int, *, own_group: bool = False) -> Callable[[], None]:
    """Return a `preexec_fn`: the kernel kills the child when the process `parent` ends (Linux only).

    `own_group` takes the child out of the terminal's group: Ctrl-C is then for the parent, which ends the child.
    """

    def prepare() -> None:
        if own_group:
            os.setpgrp()
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # the parent died before the line above
                os._exit(1)

    return prepare
