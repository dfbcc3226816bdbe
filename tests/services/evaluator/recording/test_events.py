"""events.jsonl: every kind of event comes back as it was; words and feelings are left out where they must be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.evaluator.recording.events import MAX_LINE_BYTES, Entry, allowed, from_lines, to_lines, without_words
from services.evaluator.recording.manifest import RecordingError
from shared.events import (
    Consent,
    EngineState,
    Event,
    Notice,
    Prosody,
    ProsodyMeasured,
    SessionEnded,
    SessionStarted,
    Spoken,
    TurnStarted,
)
from shared.testing.strategies import body_kinds, events

SID = "01jd0000000000000000000001"
WORDLESS = {
    "session_started",
    "session_ended",
    "engine_state",
    "consent_changed",
    "turn_started",
    "turn_ended",
    "notice",
}


def entry(number: int, body: Any = None, **more: Any) -> Entry:
    body = body or TurnStarted("u1", "user", 5)
    return Entry(f"{number}-0", Event(f"e{number}", SID, "voice", 1, 0, 0, body, **more))


@given(st.lists(events(), max_size=2))
@settings(max_examples=10)
def test_what_is_written_is_read(chosen: list[Event]) -> None:
    entries = tuple(Entry(f"{n}-0", replace(event, session_id=SID)) for n, event in enumerate(chosen))
    assert from_lines(to_lines(entries), SID) == entries


def test_ids_of_entries_are_numbers_and_no_texts() -> None:
    entries = (
        replace(entry(1), entry_id="9-2"),
        replace(entry(2), entry_id="9-10"),
        replace(entry(3), entry_id="10-0"),
    )
    assert from_lines(to_lines(entries), SID) == entries


GOOD = to_lines([entry(1), entry(2)])
LINE = json.loads(GOOD.splitlines()[0])


def lines(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (GOOD[:-1], "cut off"),
        (GOOD[:-9] + b"\n", "line 2: is no JSON"),
        (to_lines([entry(2), entry(1)]), "line 2: is out of order: 1-0 behind 2-0"),
        (to_lines([entry(1), entry(1)]), "line 2: is out of order"),
        (b"\n", "line 1: is no JSON"),
        (b"\xff\n", "line 1: is no JSON"),
        (b"[" * 50_000 + b"\n", "line 1: is no JSON"),
        (lines([1]), "line 1: is not"),
        (lines(LINE | {"more": 1}), "line 1: is not"),
        (lines(LINE | {"entry": "last"}), "line 1: has no stream entry's id"),
        (lines(LINE | {"event": LINE["event"] | {"body": {"kind": "unheard_of"}}}), "line 1: is not an event"),
        (lines(LINE | {"event": LINE["event"] | {"sessionId": "another"}}), "of another session"),
        (b" " * (MAX_LINE_BYTES + 1) + b"\n", "line 1: has 1048577 bytes"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(data: bytes, why: str) -> None:
    with pytest.raises(RecordingError, match=why):
        from_lines(data, SID)


@pytest.mark.parametrize("kind", body_kinds())
@given(data=st.data())
@settings(max_examples=3)
def test_without_words_no_text_of_any_event_is_left(kind: Any, data: st.DataObject) -> None:
    body = data.draw(events(kind)).body
    left = without_words(body)
    assert (left is not None) == (body.kind in WORDLESS)


def test_what_may_quote_is_emptied() -> None:
    started = SessionStarted("echo", "nl", persona="de klant heet Jan")
    bodies = [
        started,
        Notice("synthesis_failed", "warning", "klant"),
        SessionEnded("idle", "klant"),
        Spoken("h1", "klant", 1),
    ]
    bodies.append(EngineState("failed", "echo", "klant"))
    kept = allowed([entry(n, body) for n, body in enumerate(bodies)], Consent(store_audio=True))
    assert b"klant" not in to_lines(kept)
    assert [each.entry_id for each in kept] == ["0-0", "1-0", "2-0", "4-0"]


@pytest.mark.parametrize("emotion", [True, False])
def test_feelings_need_a_consent_of_their_own(*, emotion: bool) -> None:
    body = ProsodyMeasured("u1", 0, 1, Prosody(0.5, "excited", 0.7))
    (kept,) = allowed([entry(1, body)], Consent(store_transcript=True, emotion=emotion))
    assert kept.event.body.prosody == (body.prosody if emotion else Prosody(None, None, 0.7))


def test_what_is_allowed_altogether_is_the_same_object() -> None:
    one = entry(1)
    assert allowed([one], Consent(True, True, True))[0] is one
