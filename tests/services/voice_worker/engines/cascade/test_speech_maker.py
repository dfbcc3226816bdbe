"""Frames of speech: trimming, word times, the phrase cache."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.engines.cascade.player import Utterance
from services.voice_worker.engines.cascade.speech_maker import (
    Clip,
    PhraseCache,
    SpeechMaker,
    VoiceChoice,
    _Framer,
    _WordPlacer,
    silence,
)
from services.voice_worker.humanizer import Segment
from services.voice_worker.speech.interfaces import Pcm
from shared.audio.opus import OpusDecoder
from shared.errors import SpeechError
from shared.testing.tones import ToneSynthesizer

TONE = VoiceChoice("en", "tone")


@pytest.fixture
async def maker() -> AsyncIterator[SpeechMaker]:
    made = SpeechMaker(ToneSynthesizer())
    yield made
    made.close()


async def test_words_begin_where_they_sound(maker: SpeechMaker) -> None:
    utterance = Utterance("h1", "aaaa bbbb cccc dddd")
    await maker.fill(utterance, Segment("aaaa bbbb cccc dddd", "aaaa bbbb cccc dddd"), TONE)
    assert len(utterance.frames) == 10
    assert [word for _, word in utterance.words] == ["aaaa", "bbbb", "cccc", "dddd"]
    begins = [frame for frame, _ in utterance.words]
    assert begins[0] == 0
    assert begins == sorted(begins)
    assert max(begins) < len(utterance.frames)


async def test_a_pause_is_frames_of_silence(maker: SpeechMaker) -> None:
    utterance = Utterance("h1", "one")
    await maker.fill(utterance, Segment("one", "one", pause_s=0.4), TONE)
    assert utterance.frames[-5:] == [silence()] * 5
    assert utterance.frames[0] != silence()


async def test_the_second_time_comes_from_the_cache_with_its_words() -> None:
    synth = ToneSynthesizer()
    maker = SpeechMaker(synth)
    first, second = Utterance("h1", "one two"), Utterance("h2", "one two")
    second.frames.append(silence())
    for utterance in (first, second):
        await maker.fill(utterance, Segment("one two", "one two"), TONE)
    assert synth.asked == ["one two"]
    assert second.frames[1:] == first.frames
    assert [(frame - 1, word) for frame, word in second.words] == list(first.words)
    maker.close()


async def test_a_voice_that_is_not_there_is_replaced_by_the_best_one(maker: SpeechMaker) -> None:
    assert maker.choose("en", "tone2") == VoiceChoice("en", "tone2")
    assert maker.choose("en", "NATM1.pt") == VoiceChoice("en", "tone")
    assert maker.choose("nl", "") == VoiceChoice("nl", "toon")


class Mute(ToneSynthesizer):
    """Gives silence only."""

    async def synthesize(self, text: str, *, language: str, voice: str, speed: float) -> AsyncIterator[Pcm]:
        yield np.zeros(4_800, np.float32)


async def test_a_voice_without_sound_is_an_error_and_is_not_kept() -> None:
    maker = SpeechMaker(Mute())
    with pytest.raises(SpeechError, match="no sound"):
        await maker.fill(Utterance("h1", "one"), Segment("one", "one"), TONE)
    assert maker.cached("one", TONE) is None
    assert not await maker.warm("one", TONE)
    maker.close()


def test_silence_around_the_speech_is_cut() -> None:
    framer = _Framer()
    quiet, loud = np.zeros(24_000, np.float32), np.full(9_600, 0.3, np.float32)
    frames = framer.push(quiet) + framer.push(loud) + framer.push(quiet) + framer.finish()
    assert 5 <= len(frames) <= 7, "0.4 s of sound, not 2.4 s"
    decoder = OpusDecoder()
    sound = np.concatenate([decoder.decode(packet) for frame in frames for packet in frame])
    assert np.abs(sound[:1_920]).max() > 0.1, "it begins at once"


@given(st.lists(st.integers(1, 9_000), min_size=1, max_size=8))
def test_no_sound_is_lost_however_it_comes(sizes: list[int]) -> None:
    framer = _Framer()
    count = sum(len(framer.push(np.full(size, 0.2, np.float32))) for size in sizes) + len(framer.finish())
    assert count == framer.n_frames == -(-sum(sizes) // 1_920)


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=12), min_size=1, max_size=20), st.lists(st.integers(0, 30)))
def test_every_word_gets_one_place_in_order(words: list[str], growth: list[int]) -> None:
    placer = _WordPlacer(" ".join(words), 15.0)
    placed, n_frames = [], 0
    for frames in growth:
        n_frames += frames
        placed += placer.place(n_frames)
    placed += placer.finish(max(n_frames, 1))
    assert [word for _, word in placed] == words
    assert [frame for frame, _ in placed] == sorted(frame for frame, _ in placed)


def clip(n_bytes: int) -> Clip:
    return Clip(((b"x" * (n_bytes - 64),),), ())


def test_the_cache_is_bounded_and_the_longest_unused_goes_first() -> None:
    cache = PhraseCache(limit_bytes=1_000)
    segments = [Segment(f"s{n}", f"s{n}") for n in range(12)]
    for segment in segments[:10]:
        cache.put(TONE, segment, clip(100))
    assert cache.get(TONE, segments[0]) is not None
    cache.put(TONE, segments[10], clip(100))
    assert (TONE, segments[0]) in cache
    assert (TONE, segments[1]) not in cache
    cache.put(TONE, segments[11], clip(200))
    assert (TONE, segments[11]) not in cache, "one clip may take an eighth at the most"
