from __future__ import annotations

from typing import Any

import pytest

from shared.events import Backchannel, TurnEnded


def talk(scene: Any, turns: list[tuple[str, int, int]]) -> None:
    for number, (speaker, start, end) in enumerate(turns):
        name = f"{speaker[0]}{start}-{number}"
        scene.add(TurnEnded(name, speaker, start, end), f"end:{name}", end)


def test_the_median_of_positive_gaps_each_way(scene: Any, measure: Any) -> None:
    talk(
        scene,
        [
            ("hugo", 0, 1_000),
            ("user", 1_400, 2_000),  # 0.4
            ("hugo", 2_700, 4_000),  # Hugo 0.7
            ("user", 5_000, 6_000),  # 1.0
            ("hugo", 6_300, 7_000),  # Hugo 0.3
            ("user", 6_900, 8_000),  # overlap: no gap
            ("hugo", 8_500, 9_000),  # Hugo 0.5
            ("user", 11_000, 12_000),  # 2.0
        ],
    )
    patience, latency = measure(scene, "patience"), measure(scene, "hugo_response_latency")
    assert (patience.value, patience.band, patience.note) == (1.0, "good", "over 3 gaps")
    assert (latency.value, latency.band, latency.note) == (0.5, "", "over 3 gaps")


@pytest.mark.parametrize(("gap_ms", "band"), [(200, "warn"), (400, ""), (600, "good"), (2_000, ""), (3_100, "warn")])
def test_bands(scene: Any, measure: Any, gap_ms: int, band: str) -> None:
    talk(scene, [("hugo", 0, 1_000), ("user", 1_000 + gap_ms, 9_000)])
    assert measure(scene, "patience").band == band


def test_a_second_turn_in_a_row_and_an_acknowledgement_are_no_answers(scene: Any, measure: Any) -> None:
    talk(scene, [("hugo", 0, 1_000), ("hugo", 2_000, 3_000), ("user", 4_000, 5_000), ("user", 9_000, 9_500)])
    scene.add(Backchannel("user", "ja", 1_100, 1_300), "b", 1_300)
    assert measure(scene, "patience").value == 1.0
    assert measure(scene, "hugo_response_latency").value is None


def test_there_is_no_silence_where_somebody_spoke_on(scene: Any, measure: Any) -> None:
    # Hugo's remark at 5-6 lies within the user's turn 0-20; the user goes on at 20.5. From Hugo's end to that are
    # 14.5 s, but nobody was silent and the user answered nothing.
    talk(scene, [("user", 0, 20_000), ("hugo", 5_000, 6_000), ("user", 20_500, 30_000)])
    assert measure(scene, "patience").value is None
    talk(scene, [("hugo", 29_500, 60_000), ("user", 45_000, 46_000), ("hugo", 60_400, 61_000)])
    assert measure(scene, "hugo_response_latency").value is None
