"""Hypothesis strategies for events of every kind, built from the types in `shared.events`."""

from __future__ import annotations

from dataclasses import is_dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from shared.events import Body, Event

MAX_TEXT = 40
MAX_MS = 2**53 - 1
"""Whole numbers beyond this lose digits in JSON readers that know floats only."""


def body_kinds() -> tuple[type[Body], ...]:
    """Return every class that may be an event's body."""
    union, *_ = get_args(Body)
    return get_args(union)


def events(kind: type[Body] | None = None) -> st.SearchStrategy[Event]:
    """Return a strategy for events with a body of `kind`, or of any kind."""
    bodies = _of(kind) if kind else st.one_of([_of(each) for each in body_kinds()])
    hints = get_type_hints(Event, include_extras=True)
    return st.builds(Event, **{name: bodies if name == "body" else _of(hint) for name, hint in hints.items()})


def json_values() -> st.SearchStrategy[Any]:
    """Return a strategy for values that JSON and msgpack both keep as they are."""
    whole = st.integers(-MAX_MS, MAX_MS)
    leaves = st.none() | st.booleans() | whole | _floats({}) | st.text(max_size=MAX_TEXT)
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    )


def _of(hint: Any, bounds: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _of(inner[0], {**(bounds or {}), **_bounds(inner[1:])})
    if origin is Literal:
        return st.sampled_from(inner)
    if origin in (Union, UnionType):
        return st.one_of([_of(each, bounds) for each in inner])
    if origin is tuple:
        return st.lists(_of(inner[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(st.text(max_size=8), json_values(), max_size=3)
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint, include_extras=True)
        return st.builds(hint, **{name: _of(each) for name, each in hints.items()})
    return _plain(hint, bounds or {})


def _plain(hint: Any, bounds: dict[str, Any]) -> st.SearchStrategy[Any]:
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.integers(bounds.get("ge", -MAX_MS), bounds.get("le", MAX_MS))
    if hint is float:
        return _floats(bounds)
    if hint is str:
        return st.text(max_size=min(bounds.get("max_length", MAX_TEXT), MAX_TEXT))
    if hint is type(None):
        return st.none()
    raise TypeError(f"no strategy for {hint!r}: add one")


def _floats(bounds: dict[str, Any]) -> st.SearchStrategy[float]:
    return st.floats(bounds.get("ge"), bounds.get("le"), allow_nan=False, allow_infinity=False)


def _bounds(notes: tuple[Any, ...]) -> dict[str, Any]:
    """Return the `ge`, `le` and `max_length` that pydantic will hold the value to."""
    found: dict[str, Any] = {}
    for note in notes:
        for limit in note.metadata if isinstance(note, FieldInfo) else [note]:
            found |= {name: getattr(limit, name) for name in ("ge", "le", "max_length") if hasattr(limit, name)}
    return found
