"""moshi's switch for torch.compile stays where it was put."""

from __future__ import annotations

import torch
from moshi.utils import compile as moshi_compile

from services.voice_worker.engines.personaplex.model.compiling import compile_only_on_gpu


def test_on_a_cpu_nothing_is_compiled_whoever_else_toggles_the_switch() -> None:
    compile_only_on_gpu(torch.device("cpu"))
    compile_only_on_gpu(torch.device("cpu"))
    first, second = moshi_compile.no_compile(), moshi_compile.no_compile()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)  # as two threads would: the first to begin ends first
    assert moshi_compile._compile_disabled
    second.__exit__(None, None, None)
    assert moshi_compile._compile_disabled
