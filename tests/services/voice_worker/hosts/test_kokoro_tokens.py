"""The phoneme table, against numbers of the published one."""

from __future__ import annotations

from services.voice_worker.hosts.kokoro_tokens import MAX_TOKENS, VOCABULARY, dutch_tokens


def test_the_table() -> None:
    assert len(VOCABULARY) == len(set(VOCABULARY.values())) == 113
    assert max(VOCABULARY.values()) < 178
    assert [VOCABULARY[symbol] for symbol in (" ", ";", "a", "ə", "ɡ", "ˈ", "ː", "ᵻ")] == [
        16,
        1,
        43,
        83,
        92,
        156,
        158,
        177,
    ]


def test_dutch_sounds_have_tokens() -> None:
    for phoneme in "abdefhijklmnoprstuvwxyzøŋœɑəɛɣɔɪʃʋʒːˈˌʏɵg.,?! ":
        assert dutch_tokens([phoneme]), phoneme


def test_unknown_sounds_are_left_out_and_the_length_is_bounded() -> None:
    assert dutch_tokens("a§b") == dutch_tokens("ab")
    assert len(dutch_tokens("a" * 1_000)) == MAX_TOKENS
