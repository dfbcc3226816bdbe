from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.events import Prosody, ProsodyMeasured


def item(start: int, end: int, *, energy: float | None = None, sd: float | None = None, **more: Any) -> ProsodyMeasured:
    values = {"quality": 1.0, **more}
    return ProsodyMeasured("u1", start, end, Prosody(energy=energy), f0_sd_st=sd, **values)


def test_figures_are_means_weighted_by_length_and_quality(scene: Any, measure: Any) -> None:
    scene.add(item(0, 1_000, energy=0.2, sd=1.0, f0_range_st=3.0), "a", 1_000)
    scene.add(item(1_000, 4_000, energy=0.6, sd=3.0, f0_range_st=9.0), "b", 4_000)
    scene.add(item(4_000, 9_000, energy=0.9, sd=9.0, quality=0.0), "c", 9_000)
    assert measure(scene, "voice_energy").value == 0.5
    assert (measure(scene, "pitch_variation").value, measure(scene, "pitch_variation").band) == (2.5, "good")
    assert measure(scene, "pitch_range").value == 7.5
    assert measure(scene, "loudness_variation").value is None


@pytest.mark.parametrize(("sd", "band"), [(1.4, "warn"), (1.7, ""), (2.0, "good"), (4.1, "")])
def test_pitch_bands(scene: Any, measure: Any, sd: float, band: str) -> None:
    scene.add(item(0, 1_000, sd=sd), "a", 1_000)
    assert measure(scene, "pitch_variation").band == band


def test_flat_loudness_is_told(scene: Any, measure: Any) -> None:
    scene.add(item(0, 1_000, loudness_sd_db=2.5), "a", 1_000)
    assert measure(scene, "loudness_variation").band == "warn"


def test_energy_is_not_made_up(scene: Any, measure: Any) -> None:
    scene.add(item(0, 1_000, sd=2.0), "a", 1_000)
    assert measure(scene, "voice_energy").value is None


def test_a_measured_turn_takes_the_place_of_its_stretches(scene: Any, measure: Any) -> None:
    """The listener tells each second of a turn, then the turn: the same speech counts once, and as the turn."""
    for second in range(3):
        scene.add(item(second * 1_000, second * 1_000 + 1_000, sd=1.0), f"s{second}", second * 1_000)
    assert measure(scene, "pitch_variation").value == 1.0
    scene.add(item(0, 2_900, sd=2.4), "whole", 3_000)
    assert measure(scene, "pitch_variation").value == 2.4
    scene.add(replace(item(3_000, 5_900, sd=3.4), turn="u2"), "other", 6_000)
    assert measure(scene, "pitch_variation").value == 2.9  # two turns of the same length
