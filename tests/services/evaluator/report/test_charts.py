"""The numbers behind the timeline: JSON, complete, and short however long a turn is."""

from __future__ import annotations

import json

from services.evaluator.report.charts import MAX_TEXT, hugo_name, session_data
from services.evaluator.report.sound import measure
from services.evaluator.report.texts import Words
from tests.services.evaluator.recorded_talks import humming_view, role_play_view, scene_events, view_of


def test_everything_of_the_talk_is_in_the_data() -> None:
    data = session_data(role_play_view(), Words("nl"), {})
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert len(data["turns"]) == len(role_play_view().turns)
    assert data["cuts"] == [["user", 64_630, "h6", "Verkoper onderbreekt"]]
    assert data["overlaps"] == [[64_230, 64_630]]
    assert data["acks"][0][:3] == ["user", 35_630, 35_930]
    assert data["curves"] == {}
    assert any(each["errors"] for each in data["techniques"])


def test_names_are_in_the_language_of_the_page() -> None:
    dutch, english = (session_data(role_play_view(), Words(lang), {}) for lang in ("nl", "en"))  # type: ignore[arg-type]
    assert dutch["phases"][0][3] == "Openingsfase"
    assert english["phases"][0][3] == "Opening"


def test_curves_are_those_of_the_voices() -> None:
    view = humming_view()
    sound = view.recording.track("input")
    assert sound is not None
    data = session_data(view, Words("nl"), {"user": measure(sound, view.timeline.all_speech("user"))})
    assert set(data["curves"]) == {"user"}
    assert max(hz for hz in data["curves"]["user"]["pitch"]["values"] if hz) < 220


def test_long_texts_are_cut_in_hints() -> None:
    view = view_of(scene_events("woord " * 200))
    assert max(len(turn["text"]) for turn in session_data(view, Words("nl"), {})["turns"]) == MAX_TEXT


def test_the_other_side_of_a_live_session_is_hugo() -> None:
    assert hugo_name(role_play_view(), Words("nl")) == "Hugo"
