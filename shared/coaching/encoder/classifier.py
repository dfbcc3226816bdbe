"""A linear classifier over features: weights from a file, probabilities out. Trained by scripts/train_techniques.py."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.coaching.encoder.use import Floats
from shared.coaching.knowledge import read_package_data
from shared.errors import ConfigError

FILE_NAME = "classifier.npz"
NONE = "none"
HEADS = ("techniques", "attitudes", "errors")
DECIMALS = 4
"""Probabilities are rounded so: matrix products differ in the seventh digit between processors."""


@dataclass(frozen=True, slots=True)
class Head:
    """One classifier. `classes` has NONE among them; `weights` is features by classes, `bias` one for each class."""

    classes: tuple[str, ...]
    weights: Floats
    bias: Floats

    def probabilities(self, features: Floats) -> dict[str, float]:
        """Return each class's probability, rounded."""
        logits = features @ self.weights + self.bias
        powers = np.exp(logits - logits.max())
        return {
            name: round(float(value), DECIMALS) for name, value in zip(self.classes, powers / powers.sum(), strict=True)
        }


@dataclass(frozen=True, slots=True)
class Classifier:
    """The classifiers of techniques, attitudes and error codes. `fingerprint` is the SHA-256 of their file."""

    techniques: Head
    attitudes: Head
    errors: Head
    fingerprint: str


@functools.cache
def load_classifier() -> Classifier:
    """Return the packaged classifier; read on the first call only. Raises ConfigError if it is damaged."""
    sha256 = read_package_data(f"{FILE_NAME}.sha256").decode().split()[0]
    return parse_classifier(read_package_data(FILE_NAME), sha256)


def parse_classifier(data: bytes, sha256: str) -> Classifier:
    """Return the classifier in a file's bytes."""
    fingerprint = hashlib.sha256(data).hexdigest()
    if fingerprint != sha256:
        raise ConfigError(f"{FILE_NAME} is damaged: its SHA-256 is not the one beside it; install splitbrain again")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            heads = [_head(archive, name) for name in HEADS]
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{FILE_NAME} cannot be read: {error}") from error
    return Classifier(techniques=heads[0], attitudes=heads[1], errors=heads[2], fingerprint=fingerprint)


def _head(archive: np.lib.npyio.NpzFile, name: str) -> Head:
    classes = tuple(str(item) for item in json.loads(bytes(archive[f"{name}_classes"]).decode()))
    scale = archive[f"{name}_scale"].astype(np.float32)
    weights = archive[f"{name}_weights"].astype(np.float32) * scale
    bias = archive[f"{name}_bias"].astype(np.float32)
    if weights.shape[1] != len(classes) or bias.shape != (len(classes),) or NONE not in classes:
        raise ValueError(f"the parts of {name!r} do not fit together")
    return Head(classes, weights, bias)


def pack_classifier(heads: dict[str, Head]) -> bytes:
    """Return the file of some heads: weights as whole numbers from -127 to 127 with one scale for each class."""
    parts: dict[str, npt.NDArray[Any]] = {}
    for name, head in heads.items():
        scale = np.maximum(np.abs(head.weights).max(axis=0), 1e-9).astype(np.float32) / np.float32(127)
        parts[f"{name}_classes"] = np.frombuffer(json.dumps(head.classes).encode(), dtype=np.uint8)
        parts[f"{name}_scale"] = scale
        parts[f"{name}_weights"] = np.round(head.weights / scale).astype(np.int8)
        parts[f"{name}_bias"] = head.bias.astype(np.float32)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in parts.items():
            content = io.BytesIO()
            np.save(content, value, allow_pickle=False)
            # A fixed date: the same weights give the same bytes.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), content.getvalue())
    return file.getvalue()
