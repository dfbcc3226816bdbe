"""Sentences become segments; what must not change does not."""

from __future__ import annotations

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.humanizer import HESITATIONS, HumanizerSettings, Segment, humanize
from shared.events import DeliveryHints, Pause

ALWAYS = HumanizerSettings(hesitation_rate=1.0)
NEVER = HumanizerSettings(hesitation_rate=0.0)


def run(
    text: str,
    hints: DeliveryHints | None = None,
    *,
    locale: str = "en",
    settings: HumanizerSettings = NEVER,
    first: bool = False,
    seed: int = 1,
) -> list[Segment]:
    return humanize(text, hints or DeliveryHints(), locale, random.Random(seed), settings, first=first)


def test_a_plain_sentence_is_one_segment() -> None:
    assert run("What did they say?") == [Segment("What did they say?", "What did they say?")]
    assert run("  ") == []


def test_pauses_stand_where_the_hint_says() -> None:
    hints = DeliveryHints(pauses=(Pause("the price", 0.8), Pause("not in it", 1.0)))
    segments = run("Tell me about the price, then stop.", hints)
    assert [(segment.text, segment.pause_s) for segment in segments] == [
        ("Tell me about the price,", 0.8),
        ("then stop.", 0.0),
    ]


def test_a_pause_is_bounded_and_a_last_word_needs_none_between() -> None:
    segments = run("Go on.", DeliveryHints(pauses=(Pause("on", 9.0),)))
    assert segments == [Segment("Go on.", "Go on.", 3.0)]


def test_pacing_and_emphasis_change_the_speed_only() -> None:
    assert (
        run("Go on.", DeliveryHints(pacing="slow"))[0].speed < 1 < run("Go on.", DeliveryHints(pacing="fast"))[0].speed
    )
    before, stressed = run("And the price matters.", DeliveryHints(emphasis=("price",)))
    assert before.pause_s > 0
    assert stressed.speed < before.speed
    assert f"{before.text} {stressed.text}" == "And the price matters."


def test_a_long_sentence_breathes_near_its_middle() -> None:
    text = "You asked about the planning and the people, but you did not yet ask what it costs them each month."
    segments = run(text)
    assert len(segments) == 2
    assert segments[0].text.endswith("people,")
    assert segments[0].pause_s > 0


def test_hesitates_in_its_own_variety_of_the_language_and_never_first() -> None:
    text = "Dat is wel een heel belangrijk punt voor die klant."
    for locale in ("nl-NL", "nl-BE"):
        spoken = {run(text, locale=locale, settings=ALWAYS, seed=seed)[0].spoken for seed in range(20)}
        starts = {re.split(",", sentence)[0].lower() for sentence in spoken}
        assert starts <= set(HESITATIONS[locale])
        assert len(starts) > 1
    assert run(text, locale="nl-NL", settings=ALWAYS, first=True)[0].spoken == text
    hesitant = run(text, locale="nl-BE", settings=ALWAYS)[0]
    assert hesitant.text == text
    assert hesitant.spoken.endswith("dat is wel een heel belangrijk punt voor die klant.")


def test_numbers_names_prices_and_questions_are_left_alone() -> None:
    for text in (
        "12 percent is what they lose every single month.",
        "€ 4,000 a year is the figure that they named.",
        "What would that mean for the people in the warehouse?",
        "Tell Anna that the numbers of last month are in.",
    ):
        assert run(text, settings=ALWAYS)[0].spoken == text


def test_the_same_seed_gives_the_same_speech() -> None:
    text = "That is a very good point, and I would like to hear a bit more about it from you."
    one = [run(text, settings=HumanizerSettings(hesitation_rate=0.5), seed=seed) for seed in range(30)]
    two = [run(text, settings=HumanizerSettings(hesitation_rate=0.5), seed=seed) for seed in range(30)]
    assert one == two


WORDS = st.text(alphabet="abcdefgh€$0123456789'.,?-ABC", min_size=1, max_size=12)


@given(st.lists(WORDS, min_size=1, max_size=30), st.integers(0, 5), st.sampled_from(["nl-NL", "nl-BE", "en"]))
def test_the_words_of_a_sentence_are_never_altered(words: list[str], seed: int, locale: str) -> None:
    text = " ".join(words)
    hints = DeliveryHints(emphasis=(words[0],), pauses=(Pause(words[-1], 0.5), Pause(words[0], 0.2)))
    segments = humanize(text, hints, locale, random.Random(seed), ALWAYS, first=False)
    assert " ".join(segment.text for segment in segments) == text
    spoken = " ".join(segment.spoken for segment in segments)
    assert re.findall(r"\d+", spoken) == re.findall(r"\d+", text)
