"""Log-mel features: of the right shape, and where a tone is."""

from __future__ import annotations

import numpy as np
import pytest

from services.voice_worker.hosts.mel import log_mel

HZ = 16_000


@pytest.mark.parametrize(("n_mels", "seconds"), [(80, 1.0), (128, 2.5)])
def test_shape(n_mels: int, seconds: float) -> None:
    features = log_mel(np.zeros(int(seconds * HZ), np.float32), n_mels)
    assert features.shape == (n_mels, int(seconds * 100))
    assert features.dtype == np.float32


@pytest.mark.parametrize("hertz", [200, 1_000, 3_000])
def test_a_tone_lies_in_its_band(hertz: int) -> None:
    tone = np.sin(np.arange(HZ) * 2 * np.pi * hertz / HZ).astype(np.float32)
    features = log_mel(tone)
    linear = 3.0 * hertz / 200.0
    mel = linear if hertz <= 1_000 else 15.0 + np.log(hertz / 1_000) * 27.0 / np.log(6.4)
    top = 15.0 + np.log(8.0) * 27.0 / np.log(6.4)
    assert abs(int(features[:, 50].argmax()) - (mel / top * 81 - 1)) <= 1.0
    assert features.max() - features.min() <= 2.0 + 1e-6


def test_it_equals_the_reference_implementation(clip: np.ndarray) -> None:
    reference = pytest.importorskip("faster_whisper.feature_extractor").FeatureExtractor()
    expected = reference(clip, padding=0, chunk_length=None)[:, : len(clip) // 160]
    assert np.allclose(log_mel(clip), expected[:, : len(clip) // 160], atol=2e-3)
