from __future__ import annotations

from typing import Any

import pytest

from shared.events import Backchannel, TurnEnded


def turn(scene: Any, name: str, speaker: str, start: int, end: int) -> None:
    scene.add(TurnEnded(name, speaker, start, end), f"end:{name}", end)


@pytest.mark.parametrize(
    ("user_start", "hugo_end", "count"),
    [
        (9_300, 10_000, 1),  # both speak for 0.7 s, then Hugo stops
        (9_600, 10_000, 0),  # Hugo had only 0.4 s left
        (8_500, 10_000, 0),  # Hugo went on for 1.5 s: he held the floor
        (10_100, 10_000, 0),
    ],
)
def test_overlap_that_silences_the_other(scene: Any, measure: Any, user_start: int, hugo_end: int, count: int) -> None:
    turn(scene, "h1", "hugo", 5_000, hugo_end)
    turn(scene, "u1", "user", user_start, 14_000)
    assert measure(scene, "interruptions_by_user").value == count
    assert measure(scene, "interruptions_by_hugo").value == 0


def test_one_cut_told_in_three_ways_counts_once(scene: Any, measure: Any) -> None:
    scene.hugo(1, 500, "Dit is een lang verhaal over van alles en nog wat", cut_at_ms=2_600)
    scene.user(1, 2_000, "Wacht even alstublieft", interrupts=True)
    assert measure(scene, "interruptions_by_user").value == 1


def test_hugo_can_interrupt_too(scene: Any, measure: Any) -> None:
    scene.add(TurnEnded("u1", "user", 0, 5_000, "interrupted"), "e", 5_000)
    turn(scene, "h1", "hugo", 4_900, 7_000)
    assert measure(scene, "interruptions_by_hugo").value == 1


@pytest.mark.parametrize(("length_s", "band"), [(50, ""), (120, "warn"), (400, "good")])
def test_the_band_needs_a_minute_of_talk(scene: Any, measure: Any, length_s: int, band: str) -> None:
    scene.hugo(1, 500, "Dit is een lang verhaal over van alles", cut_at_ms=1_600)
    scene.user(1, 1_500, "Wacht even", interrupts=True)
    turn(scene, "h2", "hugo", length_s * 1_000, length_s * 1_000 + 500)
    assert measure(scene, "interruptions_by_user").band == band


def test_overlap_share_leaves_acknowledgements_out(scene: Any, measure: Any) -> None:
    turn(scene, "h1", "hugo", 0, 8_000)
    turn(scene, "u1", "user", 7_000, 10_000)
    scene.add(Backchannel("user", "ja", 3_000, 3_500), "b", 3_500)
    value = measure(scene, "overlap_share")
    assert (value.value, value.band) == (0.1, "warn")
