"""Text tokens of a recogniser, one a frame, become words with times."""

from __future__ import annotations

from services.voice_worker.engines.personaplex.listening.hearing import MEMORY_MS, HeardWord, SttConfig, WordTimes

PIECES = {4: "▁hel", 5: "lo", 6: "▁there", 7: ",", 8: "▁you", 9: "<0xE2>", 10: "<0x82>", 11: "<0xAC>", 12: "▁"}
PAD, EPAD = 3, 0


def times(delay_s: float = 0.4, start_frame: int = 0) -> WordTimes:
    """Return one with a delay of five frames, so that times are easy to read."""
    return WordTimes(PIECES.__getitem__, SttConfig(delay_s), start_frame)


def hear(heard: WordTimes, *tokens: int, first: int = 0) -> WordTimes:
    for number, token in enumerate(tokens):
        heard.advance(first + number, token)
    return heard


def words(heard: WordTimes) -> list[tuple[str, int]]:
    return [(word.text, word.start_ms) for word in heard.words_between(0, 10**9)]


def test_a_word_begins_at_its_mark_minus_the_delay() -> None:
    heard = hear(times(), *[PAD] * 10, EPAD, 4, 5, 7, PAD, EPAD, 6, PAD)
    assert words(heard) == [("hello,", 400), ("there", 800)]


def test_fast_words_begin_at_their_first_token() -> None:
    heard = hear(times(), *[PAD] * 10, EPAD, 4, 5, 6, 8, PAD)
    assert words(heard) == [("hello", 400), ("there", 640), ("you", 720)]


def test_an_old_mark_does_not_count() -> None:
    heard = hear(times(), *[PAD] * 10, EPAD, PAD, PAD, 8, PAD)
    assert words(heard) == [("you", 640)]


def test_words_end_by_their_length_and_not_beyond_the_next() -> None:
    heard = hear(times(), *[PAD] * 10, EPAD, 8, PAD, PAD, PAD, EPAD, 6, EPAD, 8, PAD)
    assert heard.words_between(0, 10**9) == (
        HeardWord("you", 400, 595),
        HeardWord("there", 800, 960),
        HeardWord("you", 960, 1155),
    )


def test_a_character_in_bytes_is_put_together() -> None:
    assert words(hear(times(), *[PAD] * 6, EPAD, 12, 9, 10, 11, PAD)) == [("€", 80)]


def test_a_word_is_known_when_it_is_complete() -> None:
    heard = times()
    seen = []
    for frame, token in enumerate([*[PAD] * 10, EPAD, 4, 5, PAD, PAD]):
        heard.advance(frame, token)
        seen.append(heard.heard_until_ms)
    assert seen == [0, 0, 0, 0, 0, 80, 160, 240, 320, 400, 400, 400, 400, 720, 800]


def test_a_window_takes_the_words_that_begin_in_it() -> None:
    heard = hear(times(), *[PAD] * 10, EPAD, 8, PAD, PAD, PAD, EPAD, 6, PAD)
    assert [word.text for word in heard.words_between(400, 800)] == ["you"]
    assert [word.text for word in heard.words_between(401, 801)] == ["there"]
    assert heard.words_between(1000, 2000) == ()


def test_what_was_not_heard_ends_a_word_and_time_goes_on() -> None:
    heard = hear(times(), *[PAD] * 10, EPAD, 4, -1, -1, 5, PAD)
    assert words(heard) == [("hel", 400), ("lo", 720)]
    assert heard.heard_until_ms == 880


def test_frames_are_numbered_by_the_caller() -> None:
    heard = times(start_frame=1000)
    assert heard.heard_until_ms == 80_000
    hear(heard, EPAD, 8, PAD, first=1002)  # within the delay: a word cannot begin before the sound
    hear(heard, EPAD, 6, PAD, first=1100)  # frames were lost
    assert words(heard) == [("you", 80_000), ("there", 87_600)]
    assert heard.heard_until_ms == 87_840


def test_only_the_last_minutes_are_kept() -> None:
    heard = times()
    for number in range(500):
        hear(heard, EPAD, 8, PAD, first=number * 25)
    kept = words(heard)
    assert kept[-1][1] - kept[0][1] == MEMORY_MS
    assert len(kept) == MEMORY_MS // 2000 + 1


def test_the_pause_is_that_of_the_last_frame() -> None:
    heard = times()
    assert heard.pause_probability == 0.0
    heard.advance(0, PAD, 0.25)
    heard.advance(1, PAD, 0.75)
    assert heard.pause_probability == 0.75
