"""A slot's view writes into the batch; clearing leaves nothing; the module gets its own states back."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from services.voice_worker.engines.personaplex.model import streaming, tiny


def test_a_view_shares_the_memory_of_its_row_only() -> None:
    lm = tiny.language_model()
    lm.streaming_forever(3)
    states = lm.get_streaming_state()
    one = streaming.view(states, 1)
    name = next(name for name, state in one.items() if getattr(state, "kv_cache", None) is not None)
    one[name].kv_cache.cache.fill_(2.0)
    one[name].offset.fill_(5)
    assert (states[name].kv_cache.cache[:, 1] == 2.0).all()
    assert (states[name].kv_cache.cache[:, [0, 2]] == 0.0).all()
    assert states[name].offset.tolist() == [0, 5, 0]


def test_clearing_takes_everything_of_one_row() -> None:
    mimi = tiny.codec()
    mimi.streaming_forever(2)
    states = mimi.get_streaming_state()
    before = {name: _numbers(state, 0) for name, state in states.items()}
    for state in states.values():
        for value in vars(state).values():
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                value.fill_(float("nan"))
        if getattr(state, "kv_cache", None) is not None:
            state.kv_cache.cache.fill_(float("nan"))
            state.kv_cache.end_offset.fill_(9)
    streaming.clear(states, 0)
    for name, state in states.items():
        assert _numbers(state, 0) == before[name], name
        if getattr(state, "kv_cache", None) is not None:
            assert state.kv_cache.cache[:, 0].abs().sum() == 0
            assert state.kv_cache.cache[:, 1].isnan().all()
            assert state.kv_cache.end_offset.tolist() == [0, 9]


def _numbers(state: object, row: int) -> list[float]:
    tensors = [value for name, value in vars(state).items() if isinstance(value, torch.Tensor) and name != "exec_mask"]
    return [float(value[row].double().sum()) for value in tensors]


def test_the_modules_own_states_come_back_after_a_fault() -> None:
    lm = tiny.language_model()
    spare = streaming.new_states(lm, 1)
    assert not lm.is_streaming
    lm.streaming_forever(2)
    main = lm.get_streaming_state()
    with pytest.raises(RuntimeError, match="in between"):
        _fail_with(lm, spare)
    assert lm.get_streaming_state() == main


def _fail_with(lm: Any, states: streaming.States) -> None:
    with streaming.using(lm, states):
        assert lm.get_streaming_state() == states
        raise RuntimeError("in between")


def test_bytes_grow_with_rows() -> None:
    one, three = tiny.language_model(), tiny.language_model()
    assert streaming.n_bytes(streaming.new_states(three, 3)) > 2 * streaming.n_bytes(streaming.new_states(one, 1))
