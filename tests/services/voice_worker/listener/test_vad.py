"""Voice activity on real speech, silence and noise; each session has its own state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from services.voice_worker.listener.vad import LISTEN_HZ, ListenResampler, SileroPool, SileroVad

CLIP = Path(__file__).parents[3] / "fixtures/audio/en_human/librivox_sense_and_sensibility_01_austen_64kb-0880.wav"


def windows(sound: np.ndarray[tuple[int], np.dtype[np.float32]]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return sound[: len(sound) // 512 * 512].reshape(-1, 512)


def test_speech_is_speech_and_silence_and_noise_are_not() -> None:
    sound, rate = sf.read(CLIP, dtype="float32")
    assert rate == LISTEN_HZ
    vad = SileroVad()
    spoken = np.array([vad.probability(window) for window in windows(sound)])
    assert (spoken > 0.5).mean() > 0.7
    vad.reset()
    assert max(vad.probability(window) for window in np.zeros((40, 512), dtype=np.float32)) < 0.2
    vad.reset()
    noise = (0.02 * np.random.default_rng(1).standard_normal((40, 512))).astype(np.float32)
    assert np.mean([vad.probability(window) for window in noise]) < 0.3


def test_two_sessions_do_not_mix_and_a_reset_forgets() -> None:
    sound, _ = sf.read(CLIP, dtype="float32")
    one, other = SileroVad(), SileroVad()
    alone = [one.probability(window) for window in windows(sound)]
    one.reset()
    mixed = []
    for window in windows(sound):
        mixed.append(one.probability(window))
        other.probability(window[::-1])
    assert mixed == alone


def test_a_read_only_window_is_fine() -> None:
    window = np.zeros(512, dtype=np.float32)
    window.flags.writeable = False
    assert 0 <= SileroVad().probability(window) <= 1


def test_the_pool_keeps_fresh_models_up_to_its_bound() -> None:
    sound, _ = sf.read(CLIP, dtype="float32")
    pool = SileroPool(keep=1)
    pool.warm(5)
    first = pool.lease()
    expected = [first.probability(window) for window in windows(sound)[:20]]
    second = pool.lease()
    assert second is not first
    pool.give_back(first)
    pool.give_back(second)
    again = pool.lease()
    assert again is first
    assert [again.probability(window) for window in windows(sound)[:20]] == expected
    assert pool.lease() is not second


@pytest.mark.parametrize("hz", [50.0, 200.0, 3_000.0, 6_500.0])
def test_resampled_sound_is_a_millisecond_late_and_true(hz: float) -> None:
    resampler = ListenResampler()
    given = np.sin(2 * np.pi * hz * np.arange(12 * 1_920) / 24_000).astype(np.float32)
    chunks = [resampler.push(given[at : at + 1_920]) for at in range(0, len(given), 1_920)]
    assert [len(chunk) for chunk in chunks] == [1_280] * 12
    got = np.concatenate(chunks)
    truth = np.sin(2 * np.pi * hz * (np.arange(len(got)) / 16_000 - 47.5 / 48_000))
    assert np.abs(got[100:] - truth[100:]).max() < 0.005


@pytest.mark.parametrize("hz", [9_200.0, 11_000.0])
def test_what_16_khz_cannot_carry_is_taken_out(hz: float) -> None:
    given = np.sin(2 * np.pi * hz * np.arange(24_000) / 24_000).astype(np.float32)
    assert np.abs(ListenResampler().push(given)[100:]).max() < 0.002


def test_the_size_of_the_pieces_does_not_matter() -> None:
    given = np.random.default_rng(2).standard_normal(2_400).astype(np.float32)
    whole = ListenResampler().push(given)
    resampler = ListenResampler()
    pieces = [resampler.push(given[at : at + 60]) for at in range(0, 2_400, 60)]
    assert np.allclose(np.concatenate(pieces), whole, atol=1e-6)
