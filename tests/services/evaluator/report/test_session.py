"""The page about one recording: what it says in both languages, with and without sound and words."""

from __future__ import annotations

import re

import pytest

from services.evaluator.report.session import session_page, started
from services.evaluator.report.texts import Words
from services.evaluator.scorecard import NOTICE
from shared.events import Consent, Language
from tests.services.evaluator.recorded_talks import humming_view, role_play_events, role_play_view, view_of


def text_of(page: str) -> str:
    body = re.sub(r"<(script|style)[^>]*>.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).replace("&#39;", "'")


@pytest.fixture(scope="module")
def dutch() -> str:
    return session_page(role_play_view(), Words("nl"), {}, {})


@pytest.mark.parametrize("language", ["nl", "en"])
def test_every_turn_is_there_in_words(language: Language) -> None:
    page = session_page(role_play_view(), Words(language), {}, {})
    text = re.sub(r"\s+", "", text_of(page))
    assert [e for e in role_play_view().turns if re.sub(r"\s+", "", e.turn.text) not in text] == []
    assert NOTICE[language] in text_of(page)
    assert f'<html lang="{language}">' in page


def test_scores_lead_to_their_evidence(dutch: str) -> None:
    verdict = next(each.verdict for each in role_play_view().turns if each.verdict and each.verdict.errors)
    watch = dutch[dutch.index('class="card watch"') :]
    assert f'data-at="{verdict.start_ms}"' in watch[: watch.index("</section>")]
    assert dutch.count('class="at"') > 40


def test_the_evidence_is_marked_in_the_turn(dutch: str) -> None:
    assert "<mark>" in dutch


def test_what_was_left_unsaid_is_struck_out(dutch: str) -> None:
    assert re.search(r"<s [^>]*>ik wil eerst weten wat</s>", dutch)


def test_half_a_turn_is_not_called_talk_to_the_coach(dutch: str) -> None:
    assert "afgebroken beurt" in dutch


def test_figures_have_bands_in_words_and_nothing_is_zero_for_want_of_it(dutch: str) -> None:
    text = text_of(dutch)
    assert "Spreektijd van de verkoper 55 %" in text
    assert "let op" in text
    absent = [m["name"] for m in role_play_view().card["metrics"] if m["value"] is None]
    assert f"Niet beschikbaar ({len(absent)})" in text


def test_without_sound_the_page_says_why_and_has_no_player(dutch: str) -> None:
    assert "Zonder geluid: het is niet opgenomen" in dutch
    assert 'id="player"' not in dutch
    assert 'body class="silent"' in dutch


def test_without_words_it_says_so_too() -> None:
    page = text_of(session_page(view_of(role_play_events(), consent=Consent()), Words("en"), {}, {}))
    assert "there was no consent to keep it" in page
    assert "there was no consent to keep what was said" in page
    assert "(no words kept)" in page


def test_sound_that_is_left_out_is_told() -> None:
    assert "it was left out of this report" in session_page(humming_view(), Words("en"), {}, {})


def test_with_sound_there_is_a_player_for_both() -> None:
    uris = {"user": "data:audio/ogg;base64,AA", "hugo": "data:audio/ogg;base64,BB"}
    page = session_page(humming_view(), Words("nl"), {}, uris)  # type: ignore[arg-type]
    assert 'id="audio-user" preload="auto" src="data:audio/ogg;base64,AA"' in page
    assert 'id="audio-hugo" preload="auto" src="data:audio/ogg;base64,BB"' in page
    assert 'class="lack"' not in page[page.index("<main>") :]


def test_a_date_is_written_out() -> None:
    assert started(1_700_000_000_000, Words("nl")) == "14 november 2023, 22:13 UTC"
