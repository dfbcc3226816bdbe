"""Whether moshi compiles its small kernels: on a GPU only."""

from __future__ import annotations

import torch
from moshi.utils.compile import no_compile

_off = no_compile()
_is_off = False


def compile_only_on_gpu(device: torch.device) -> None:
    """Turn torch.compile off in moshi, for good, if the device is no GPU: it needs a C++ compiler and gains nothing.

    For good, because moshi's switch is one for the whole process: two threads that turn it off and on again around
    their steps would turn it on under each other.
    """
    global _is_off
    if device.type != "cuda" and not _is_off:
        _is_off = True
        _off.__enter__()
