from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.evaluator.intervals import Interval, clip, gaps, merge, overlap, total_ms

PARTS = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 40)).map(lambda pair: Interval(pair[0], pair[0] + pair[1]))
)


def covered(parts: tuple[Interval, ...] | list[Interval]) -> set[int]:
    return {ms for part in parts for ms in range(part.start_ms, part.end_ms)}


def test_short_gaps_are_closed_and_long_ones_stay() -> None:
    parts = [Interval(0, 100), Interval(349, 400), Interval(650, 700)]
    assert merge(parts, gap_ms=250) == (Interval(0, 400), Interval(650, 700))


@given(PARTS)
def test_merging_keeps_every_millisecond_once(parts: list[Interval]) -> None:
    merged = merge(parts)
    assert covered(merged) == covered(parts)
    assert total_ms(merged) == len(covered(parts))
    assert all(gap.length_ms > 0 for gap in gaps(merged))


@given(PARTS, PARTS)
def test_overlap_is_what_both_cover(a: list[Interval], b: list[Interval]) -> None:
    assert covered(overlap(merge(a), merge(b))) == covered(a) & covered(b)


@given(PARTS, st.integers(0, 200), st.integers(0, 60))
def test_clipping_leaves_nothing_outside(parts: list[Interval], start: int, length: int) -> None:
    bounds = Interval(start, start + length)
    assert covered(clip(merge(parts), bounds)) == covered(parts) & covered([bounds])
