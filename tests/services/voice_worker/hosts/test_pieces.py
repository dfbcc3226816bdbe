"""Long audio is cut in quiet places, and nothing is lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.hosts.pieces import pieces

HZ = 16_000


@given(seconds=st.floats(0, 12), max_s=st.floats(1, 5))
def test_the_pieces_are_the_whole(seconds: float, max_s: float) -> None:
    pcm = np.random.default_rng(0).standard_normal(int(seconds * HZ)).astype(np.float32)
    cut = list(pieces(pcm, max_s))
    assert np.array_equal(np.concatenate(cut), pcm)
    assert all(len(piece) <= max_s * HZ for piece in cut)


def test_the_cut_is_where_it_is_quiet() -> None:
    pcm = np.ones(8 * HZ, np.float32)
    pcm[int(3.4 * HZ) : int(3.6 * HZ)] = 0.0
    first, _ = pieces(pcm, 5.0)
    assert 3.4 <= len(first) / HZ <= 3.6
