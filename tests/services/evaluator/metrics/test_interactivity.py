from __future__ import annotations

from typing import Any

import pytest

from shared.events import Backchannel, TurnEnded


def talk(scene: Any, speakers: str, each_ms: int) -> None:
    for number, letter in enumerate(speakers):
        name, speaker = f"{letter}{number}", {"u": "user", "h": "hugo"}[letter]
        start = number * each_ms
        scene.add(TurnEnded(name, speaker, start, start + each_ms), f"end:{name}", start + each_ms)


@pytest.mark.parametrize(
    ("speakers", "each_ms", "rate", "band"),
    [("uhhu", 15_000, 2.0, "good"), ("uh", 45_000, 0.6667, "warn"), ("uhuhuhuhuhuh", 5_000, 11.0, "warn")],
)
def test_changes_of_speaker_per_minute(
    scene: Any, measure: Any, speakers: str, each_ms: int, rate: float, band: str
) -> None:
    talk(scene, speakers, each_ms)
    value = measure(scene, "interactivity")
    assert (value.value, value.band) == (rate, band)


def test_acknowledgements_change_no_speaker(scene: Any, measure: Any) -> None:
    talk(scene, "uh", 20_000)
    before = measure(scene, "interactivity")
    scene.add(Backchannel("user", "ja", 25_000, 25_300), "b", 25_300)
    assert measure(scene, "interactivity") == before


def test_backchannels_per_minute_of_the_others_speech(scene: Any, measure: Any) -> None:
    talk(scene, "uh", 40_000)
    for at in (45_000, 55_000):
        scene.add(Backchannel("user", "ja", at, at + 300), f"b{at}", at)
    assert measure(scene, "backchannels_by_user").value == 3.0
    assert measure(scene, "backchannels_by_hugo").value == 0.0


def test_short_talks_have_no_rates(scene: Any, measure: Any) -> None:
    talk(scene, "uh", 10_000)
    for name in ("interactivity", "backchannels_by_user", "backchannels_by_hugo"):
        assert measure(scene, name).value is None
