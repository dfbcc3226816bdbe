"""Features: their number, their parts, and that what does not matter does not move them."""

from __future__ import annotations

import numpy as np

from shared.coaching.encoder.classifier import load_classifier
from shared.coaching.encoder.features import GRAM_BUCKETS, Features
from shared.coaching.encoder.use import DIMENSIONS, load_encoder
from shared.coaching.knowledge import load_knowledge
from shared.coaching.patterns import load_patterns
from shared.coaching.words import Sentence, sentences


def features() -> Features:
    return Features(load_knowledge(), {"nl": load_patterns("nl"), "en": load_patterns("en")}, load_encoder())


def cut(text: str) -> tuple[Sentence, ...]:
    return sentences(text, load_patterns("nl").drop)


def test_they_fit_the_classifier() -> None:
    found = cut("En wat betekent dat voor u?")
    assert features().of_seller(found, "nl").shape == (len(load_classifier().techniques.weights),)
    assert features().of_customer(found, "nl").shape == (len(load_classifier().attitudes.weights),)


def test_they_are_a_vector_the_rules_the_form_and_the_word_groups() -> None:
    found = features().of_seller(cut("En wat betekent dat voor u?"), "nl")
    assert np.array_equal(found[:DIMENSIONS], load_encoder().encode("en wat betekent dat voor je?"))
    rules = found[DIMENSIONS : DIMENSIONS + 2 * len(load_knowledge().techniques)]
    assert rules[2 * list(load_knowledge().techniques).index("2.3")] > 0
    assert np.linalg.norm(found[-GRAM_BUCKETS:]) == np.float32(0.7)


def test_neither_fillers_nor_the_way_of_addressing_move_them() -> None:
    plain, *others = (
        features().of_seller(cut(text), "nl")
        for text in ("Wat wil je, en hoe?", "Euh, wat wilt u, uhm, en hoe?", "Wat wilt ge, en hoe?")
    )
    assert all(np.array_equal(plain, other) for other in others)


def test_numbers_are_one_word() -> None:
    first, second = (features().of_seller(cut(text), "nl")[-GRAM_BUCKETS:] for text in ("Dat is 12.", "Dat is 430."))
    assert np.array_equal(first, second)
