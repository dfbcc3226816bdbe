"""Recordings for tests of reports and exports: the role play and short talks, with and without sound."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from services.evaluator.evaluation import Evaluation
from services.evaluator.recording.events import Entry
from services.evaluator.recording.import_sound import encode_track
from services.evaluator.recording.pack import Packed, Parts, pack
from services.evaluator.recording.reader import Recording, check_content
from services.evaluator.report.data import SessionView, session_view
from shared.audio import FRAME_SAMPLES, SAMPLE_RATE
from shared.coaching.detector import rule_detector
from shared.events import Consent, Event, SessionStarted
from shared.wire import event_from_json
from tests.services.evaluator.conftest import EVENTS, load_maker

KEPT = Consent(store_audio=True, store_transcript=True)
EVIL = '</script><script>document.title="owned"</script><img src=x onerror=alert(1)> {{ 7*7 }}'


def role_play_events() -> list[Event]:
    lines = (EVENTS / "role_play.jsonl").read_text(encoding="utf-8").splitlines()
    return [event_from_json(json.loads(line)) for line in lines]


def scene_events(*lines: str, language: str = "nl", locale: str = "nl-BE", number: int = 0) -> list[Event]:
    """Return a talk in which the seller says these lines and the other side answers each."""
    scene: Any = load_maker().Scene(language, locale)
    scene.start()
    at_ms = 1_000
    for turn, text in enumerate(lines, start=1):
        at_ms = scene.user(turn, at_ms, text) + 700
        at_ms = scene.hugo(turn, at_ms, "Dat is elke maandag weer druk voor ons") + 600
    scene.end(at_ms + 3_000)
    return numbered(scene.events, number)


def numbered(events: Sequence[Event], number: int) -> list[Event]:
    """Return the events as those of another session, a day later for each number."""
    session_id = f"01jd0000000000000000{number:06d}"
    return [replace(e, session_id=session_id, wall_ms=e.wall_ms + number * 86_400_000) for e in events]


def packed(events: Sequence[Event], *, sound: bool = False, consent: Consent = KEPT, engine: str = "") -> Packed:
    """Return a recording's files. With sound each speaker hums (seller 200 Hz, Hugo 100 Hz) while he speaks."""
    started = events[0].body
    assert isinstance(started, SessionStarted)
    first = replace(events[0], body=replace(started, engine=engine or started.engine, consent=consent))
    entries = tuple(Entry(f"1-{n}", event) for n, event in enumerate([first, *events[1:]], start=1))
    tracks = hums(events) if sound else {}
    why = "" if sound else "not_recorded"
    return pack(Parts(events[0].session_id, "session", entries, consent, tracks, None, lost_sound=why))  # type: ignore[arg-type]


def hums(events: Sequence[Event]) -> Any:
    talk = Evaluation(rule_detector())
    for event in events:
        talk.add(event)
    n_frames = -(-max(event.media_ms for event in events) * SAMPLE_RATE // 1000 // FRAME_SAMPLES)
    tracks = {}
    for side, who, hz in (("input", "user", 200), ("output", "hugo", 100)):
        sound = np.zeros(n_frames * FRAME_SAMPLES, dtype=np.float32)
        for part in talk.timeline.all_speech(who):  # type: ignore[arg-type]
            at = np.arange(part.start_ms * SAMPLE_RATE // 1000, part.end_ms * SAMPLE_RATE // 1000)
            at = at[at < len(sound)]
            wave = sum(np.sin(2 * np.pi * k * hz * at / SAMPLE_RATE) / k for k in range(1, 8))
            sound[at] = 0.1 * np.asarray(wave, dtype=np.float32)
        tracks[side] = encode_track(sound)
    return tracks


def recorded(events: Sequence[Event], **more: Any) -> Recording:
    made = packed(events, **more)
    return check_content(made.manifest, made.files)


def view_of(events: Sequence[Event], **more: Any) -> SessionView:
    return session_view(recorded(events, **more), rule_detector())


@functools.cache
def role_play_view() -> SessionView:
    return view_of(role_play_events())


@functools.cache
def humming_view() -> SessionView:
    """A talk of twelve seconds with sound."""
    return view_of(scene_events("Hoe plant u vandaag uw ritten?", "Wat betekent dat voor u?"), sound=True)
