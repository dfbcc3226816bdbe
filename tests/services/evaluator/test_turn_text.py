from __future__ import annotations

from services.evaluator.turn_text import TurnText


def test_counts_of_a_turn() -> None:
    said = TurnText("Euh, ik plan uw ritten. Misschien helpt ons pakket u? Hoe loopt dat, en wat kost het?", "nl")
    assert (said.n_words, said.n_sentences) == (17, 3)
    # euh ik plan uw rit-ten mis-schien helpt ons pak-ket u hoe loopt dat en wat kost het
    assert said.n_syllables == 20
    assert (said.n_second_person, said.n_first_person) == (2, 2)
    assert [question.form for question in said.questions] == ["closed", "open"]
    assert said.n_asked == 3
    assert said.count("filled", belgian=True, prompted=False) == 1
    assert said.hedges(belgian=True) == (0, 5)  # "misschien" stands in a question


def test_content_words_leave_grammar_out() -> None:
    assert TurnText("Eigenlijk zouden de chauffeurs misschien bellen", "nl").content_words == {"chauffeurs", "bellen"}
    assert TurnText("Something is actually wrong with the drivers", "en").content_words == {"drivers"}


def test_what_was_counted_stays_counted() -> None:
    said = TurnText("Zeg maar, dat is zo", "nl")
    assert said.tokens is said.tokens
    assert said.count("discourse", belgian=False, prompted=False) == said.count(
        "discourse", belgian=False, prompted=False
    )
    assert TurnText("Ja, dat is zo", "nl").count("discourse", belgian=False, prompted=False) == 1
    assert TurnText("Ja, dat is zo", "nl").count("discourse", belgian=False, prompted=True) == 0


def test_nothing_said_is_nothing() -> None:
    said = TurnText("", "en")
    assert (said.n_words, said.n_sentences, said.n_syllables, said.n_asked) == (0, 0, 0, 0)
    assert (said.questions, said.question_forms, said.content_words) == ((), (), frozenset())
