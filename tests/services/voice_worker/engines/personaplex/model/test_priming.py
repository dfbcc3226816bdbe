"""A prompt's inputs and boundary; frames that follow others. (Equality of states: test_primer.py, test_parity.py.)"""

from __future__ import annotations

import numpy as np
import torch

from services.voice_worker.engines.personaplex.model import tiny
from services.voice_worker.engines.personaplex.model.generator import BatchGenerator
from services.voice_worker.engines.personaplex.model.priming import (
    Prompt,
    again_inputs,
    following_inputs,
    start_inputs,
)
from services.voice_worker.engines.personaplex.model.voice_files import CodesVoice
from services.voice_worker.engines.personaplex.tokens import SILENCE, SINE

GENERATOR = BatchGenerator(tiny.language_model(), 1)
RNG = np.random.default_rng(0)
VOICE = CodesVoice("anna", RNG.integers(0, 2048, (7, 8)))
HISTORY = np.concatenate([RNG.integers(0, 400, (9, 1)), RNG.integers(0, 2048, (9, 16))], axis=1)


def test_a_prompt_counts_its_frames() -> None:
    assert Prompt(None).n_frames == 12
    assert Prompt(VOICE, (4, 5, 6)).n_frames == 7 + 12 + 3


def test_the_last_given_frame_has_a_step_of_its_own() -> None:
    start = start_inputs(GENERATOR, Prompt(VOICE, (4, 5)))
    assert len(start.inputs) == 7 + 12 + 2 - 1
    assert start.boundary.agent.tolist() == [-1, *SILENCE[1:]]
    assert start.boundary.user.tolist() == list(SINE)


def test_behind_a_history_the_step_is_that_of_its_last_frame() -> None:
    start = start_inputs(GENERATOR, Prompt(VOICE, (4, 5)), HISTORY)
    assert len(start.inputs) == 7 + 12 + 2 + 9 - 1
    assert start.boundary.agent.tolist() == [-1, *HISTORY[-1, 2:9]]
    assert start.boundary.user.tolist() == HISTORY[-1, 9:].tolist()


def test_rebuilding_goes_one_position_further() -> None:
    assert len(again_inputs(GENERATOR, Prompt(VOICE), HISTORY)) == 7 + 12 + 9


def test_frames_that_follow_are_the_rest_of_the_whole() -> None:
    whole = again_inputs(GENERATOR, Prompt(VOICE), HISTORY)
    first = again_inputs(GENERATOR, Prompt(VOICE), HISTORY[:4])
    rest = following_inputs(GENERATOR, HISTORY[3], HISTORY[4:])
    assert torch.equal(torch.cat([first, rest]), whole)
