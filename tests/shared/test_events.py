"""Events: every kind is complete, strict, and the same on both of its surfaces."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import pytest
from hypothesis import given
from pydantic import TypeAdapter, ValidationError

from shared.events import Body, Consent, Event, SessionStarted, Transcript, TurnStarted, Word
from shared.testing.strategies import body_kinds, events
from shared.wire import event_from_json, event_to_json

KINDS = body_kinds()
BODY: TypeAdapter[Any] = TypeAdapter(Body)


def kind_of(body: type[Body]) -> str:
    (field,) = (each for each in dataclasses.fields(body) if each.name == "kind")
    return str(field.default)


def test_every_kind_has_a_name_of_its_own() -> None:
    names = [kind_of(body) for body in KINDS]
    assert len(set(names)) == len(names) >= 17


@pytest.mark.parametrize("kind", KINDS, ids=kind_of)
def test_a_body_is_frozen_and_says_its_kind(kind: type[Body]) -> None:
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen  # type: ignore[union-attr]
    assert hasattr(kind, "__slots__")
    assert kind.__doc__


@given(event=events())
def test_clients_see_camel_case_only(event: Event) -> None:
    shown = event_to_json(event)
    assert set(shown) == {"id", "sessionId", "source", "epoch", "mediaMs", "wallMs", "body", "trace"}
    assert not any("_" in name for name in shown["body"])
    assert event_from_json(shown) == event


def test_unknown_fields_and_kinds_are_refused() -> None:
    with pytest.raises(ValidationError):
        BODY.validate_python({"kind": "turn_started", "turn": "u1", "speaker": "user", "start_ms": 0, "mood": "?"})
    with pytest.raises(ValidationError):
        BODY.validate_python({"kind": "turn_begun"})
    with pytest.raises(ValidationError):
        BODY.validate_python({"turn": "u1", "speaker": "user", "start_ms": 0})


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("turn_started", {"turn": "u1", "speaker": "user", "start_ms": -1}),
        ("turn_started", {"turn": "u1", "speaker": "nobody", "start_ms": 0}),
        ("transcript", {"turn": "u1", "speaker": "user", "text": "x" * 20_001, "final": True, "start_ms": 0,
                        "end_ms": 1, "language": "en"}),
        ("coach_to_voice", {"turn": "u1", "response_text": "a", "phase": 5}),
        ("coach_to_voice", {"turn": "u1", "response_text": "a", "delivery_hints": {"pauses": [
            {"after": "a", "duration": 11}]}}),
        ("notice", {"code": "a", "level": "fatal", "message": "b"}),
    ],
)  # fmt: skip
def test_bounds_hold(kind: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BODY.validate_python({"kind": kind, **fields})


def test_consent_is_off_until_it_is_given() -> None:
    started = SessionStarted("echo", "nl")
    assert started.consent == Consent(store_audio=False, store_transcript=False, emotion=False)


def test_both_spellings_are_read() -> None:
    snake = BODY.validate_python({"kind": "turn_started", "turn": "u1", "speaker": "user", "start_ms": 5})
    camel = BODY.validate_python({"kind": "turn_started", "turn": "u1", "speaker": "user", "startMs": 5})
    assert snake == camel == TurnStarted("u1", "user", 5)


def test_lists_become_tuples_so_that_an_event_stays_as_it_is() -> None:
    body = Transcript("u1", "user", "hi", True, 0, 9, "en", (Word("hi", 0, 9),))
    assert BODY.validate_python(BODY.dump_python(body, mode="json")) == body
    assert get_args(Body)
