"""One slot of a batched streaming state: cleared whole, seen as a batch of one, or filled from a spare.

moshi keeps its state in the modules. A slot's *view* is a second set of states whose tensors are slices of the
main ones, so that a forward pass with T positions at batch 1 writes straight into one row of a running batch.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch

States: TypeAlias = dict[str, Any]
"""Module name -> moshi's streaming state of that module."""


@contextmanager
def using(module: Any, states: States) -> Iterator[None]:
    """Run the block with `states` in the module; the main ones are back afterwards, whatever happens."""
    main = module.get_streaming_state()
    module.set_streaming_state(states)
    try:
        yield
    finally:
        module.set_streaming_state(main)


def new_states(module: Any, batch: int) -> States:
    """Return fresh states for `batch` rows and leave the module without any; it must not be streaming."""
    module.streaming_forever(batch)
    made: States = module.get_streaming_state()
    module.set_streaming_state(no_states(made))
    return made


def no_states(like: States) -> States:
    """Return the states of a module that does not stream."""
    return dict.fromkeys(like)


def view(states: States, slot: int) -> States:
    """Return states of batch 1 that share their memory with row `slot`; their execution mask is always true."""
    return {name: _view_one(state, slot) for name, state in states.items()}


def clear(states: States, slot: int) -> None:
    """Zero everything that row `slot` holds, keys and values too.

    moshi's own reset moves offsets only. A stale NaN would live on: a masked weight of 0 times NaN is NaN.
    """
    for state in states.values():
        for name, value in _tensors(state):
            if name == "first":
                value[slot] = True
            elif name != "exec_mask":
                value[slot].zero_()
        cache = getattr(state, "kv_cache", None)
        if cache is not None:
            cache.cache[:, slot].zero_()
            cache.end_offset[slot].zero_()


def copy_into(target: States, source: States, n_positions: int) -> None:
    """Make the one row of `target` equal to that of `source`, of whose rings `n_positions` entries are in use."""
    for name, state in target.items():
        other = source[name]
        for (field, value), (_, theirs) in zip(_tensors(state), _tensors(other), strict=True):
            if field != "exec_mask":
                value.copy_(theirs)
        cache = getattr(state, "kv_cache", None)
        if cache is not None:
            n = min(n_positions, cache.capacity)
            cache.cache[:, :, :, :n].copy_(other.kv_cache.cache[:, :, :, :n])
            cache.end_offset.copy_(other.kv_cache.end_offset)


def keys_and_values(states: States, n_positions: int) -> list[torch.Tensor]:
    """Return copies of a one-row state's first `n_positions` entries, a tensor [2, 1, heads, n, dim] a layer."""
    return [cache.cache[:, :, :, :n_positions].clone() for cache in _caches(states)]


def put_keys_and_values(states: States, kept: list[torch.Tensor]) -> None:
    """Fill an empty one-row state with what `keys_and_values` gave; its next position follows."""
    n = kept[0].shape[3]
    for cache, value in zip(_caches(states), kept, strict=True):
        cache.cache[:, :, :, :n].copy_(value)
        cache.end_offset.fill_(n)
    for state in states.values():
        for name in ("offset", "offsets"):
            if hasattr(state, name):
                getattr(state, name).fill_(n)


def n_bytes(states: States) -> int:
    """Return the bytes of all tensors of the states."""
    total = 0
    for state in states.values():
        tensors = [value for _, value in _tensors(state)]
        cache = getattr(state, "kv_cache", None)
        tensors += [cache.cache] if cache is not None else []
        total += sum(value.numel() * value.element_size() for value in tensors)
    return total


def _caches(states: States) -> list[Any]:
    return [state.kv_cache for state in states.values() if getattr(state, "kv_cache", None) is not None]


def _tensors(state: Any) -> list[tuple[str, torch.Tensor]]:
    return [(name, value) for name, value in vars(state).items() if isinstance(value, torch.Tensor)]


def _view_one(state: Any, slot: int) -> Any:
    seen = copy.copy(state)
    seen.batch_size = 1
    for name, value in _tensors(state):
        setattr(seen, name, value[slot : slot + 1])
    seen.exec_mask = torch.ones(1, dtype=torch.bool, device=state.exec_mask.device)
    cache = getattr(state, "kv_cache", None)
    if cache is not None:
        seen.kv_cache = copy.copy(cache)
        seen.kv_cache.cache = cache.cache[:, slot : slot + 1]
        seen.kv_cache.end_offset = cache.end_offset[slot : slot + 1]
    return seen
