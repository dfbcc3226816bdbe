"""The model in miniature: the same from run to run, and alive enough to test with."""

from __future__ import annotations

import numpy as np
import torch

from services.voice_worker.engines.personaplex.model import tiny
from services.voice_worker.engines.personaplex.tokens import EPAD, PAD


def test_a_seed_makes_the_same_model_and_touches_no_other_randomness() -> None:
    torch.manual_seed(3)
    due = torch.rand(1)
    torch.manual_seed(3)
    first, second = tiny.language_model(), tiny.language_model()
    assert torch.rand(1) == due
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    other = tiny.language_model(seed=8)
    assert not torch.equal(first.text_emb.weight, other.text_emb.weight)


def test_it_has_the_streams_and_depth_of_the_real_one() -> None:
    lm = tiny.language_model()
    assert (lm.n_q, lm.dep_q, lm.card, lm.delays) == (16, 8, 2048, [0, 0, *[1] * 7, 0, *[1] * 7])


def test_other_sound_has_other_codes_and_codes_have_a_sound() -> None:
    mimi = tiny.codec()
    rng = np.random.default_rng(0)
    sound = torch.from_numpy(rng.normal(0, 0.1, 1920 * 12).astype(np.float32))[None, None]
    with torch.no_grad():
        codes = mimi.encode(sound)
        pcm = mimi.decode(codes)
    assert len(torch.unique(codes[0, 0])) >= 6
    assert 0.005 < float(pcm.std()) < 0.5


def test_the_tokenizer_speaks_pieces_with_the_ids_that_mean_something() -> None:
    tokenizer = tiny.tokenizer()
    ids = tokenizer.encode("How are you today?")
    assert tokenizer.decode(ids) == "How are you today?"
    assert tokenizer.id_to_piece(ids[0]).startswith("▁")
    assert not {EPAD, PAD, 1, 2} & set(ids)
    assert max(ids) < tiny.VOCABULARY == tokenizer.vocab_size()
