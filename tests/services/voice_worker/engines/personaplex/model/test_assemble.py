"""Which model runs where, and what is said when it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from services.voice_worker.engines.personaplex.inputs import SlotInput
from services.voice_worker.engines.personaplex.model import assemble
from services.voice_worker.engines.personaplex.model.assemble import ModelChoice, make_model
from services.voice_worker.engines.personaplex.model.sampling import Sampling
from services.voice_worker.engines.personaplex.tokens import PAD
from shared.audio import FRAME_SAMPLES
from shared.errors import ConfigError, EngineError, ModelMissing


def test_the_tiny_one_needs_nothing() -> None:
    model = make_model(ModelChoice(source="tiny"), 2)
    batch = model.make_batch()
    assert batch.slots == 2
    assert model.make_library(lambda pcm: pcm).names() == ()


def test_the_tiny_one_is_silent_while_it_pads() -> None:
    batch = make_model(ModelChoice(source="tiny"), 2).make_batch()
    noise = np.random.default_rng(0).normal(0, 0.1, FRAME_SAMPLES).astype(np.float32)
    batch.generator.configure(0, Sampling(padding_bonus=500.0))
    for _ in range(3):
        out = batch.tick({0: SlotInput(noise), 1: SlotInput(noise)})
    assert out[0].text == PAD
    assert not out[0].pcm.any()
    assert out[1].text != PAD
    assert out[1].pcm.any()


def test_own_voices_go_with_the_tiny_one(tmp_path: Path) -> None:
    torch.save({"codes": torch.zeros(4, 8, dtype=torch.long)}, tmp_path / "anna.pt")
    model = make_model(ModelChoice(source="tiny", voices=str(tmp_path)), 1)
    assert model.make_library(lambda pcm: pcm).names() == ("anna",)


def test_a_folder_of_voices_that_is_not_there_is_named(tmp_path: Path) -> None:
    model = make_model(ModelChoice(source="tiny", voices=str(tmp_path / "none")), 1)
    with pytest.raises(ConfigError, match="none"):
        model.make_library(lambda pcm: pcm)


def test_without_a_gpu_the_real_one_says_what_to_do() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(EngineError, match="model `tiny`"):
        make_model(ModelChoice(), 1)


def test_without_weights_it_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="models pull personaplex"):
        make_model(ModelChoice(source=str(tmp_path), device="cpu"), 1)


def test_more_slots_than_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (24 * 10**9, 24 * 10**9))
    with pytest.raises(EngineError, match="do not fit"):
        assemble._check_room(torch.device("cuda"), 16, 16, None)
    assemble._check_room(torch.device("cuda"), 1, 8, None)
    assemble._check_room(torch.device("cpu"), 64, 16, None)
