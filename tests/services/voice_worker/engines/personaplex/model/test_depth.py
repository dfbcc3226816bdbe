"""The unrolled depth transformer against moshi's own streaming one."""

from __future__ import annotations

import torch
from moshi.utils.compile import no_compile

from services.voice_worker.engines.personaplex.model import tiny
from services.voice_worker.engines.personaplex.model.depth import DepthTransformer


def test_it_gives_the_logits_of_moshis_own() -> None:
    lm = tiny.language_model()
    generator = torch.Generator().manual_seed(0)
    text = torch.randint(0, 400, (3,), generator=generator)
    hidden = torch.randn(3, 1, 64, generator=generator)
    given = torch.randint(0, 2048, (3, 8), generator=generator)
    mine: list[torch.Tensor] = []

    def choose(codebook: int, logits: torch.Tensor) -> torch.Tensor:
        mine.append(logits)
        return given[:, codebook]

    with torch.no_grad(), no_compile():
        tokens = DepthTransformer(lm)(text, hidden, choose)
        previous = text
        with lm.depformer.streaming(3):
            for codebook in range(8):
                due = lm.forward_depformer(codebook, previous[:, None, None], hidden)[:, 0, 0]
                torch.testing.assert_close(mine[codebook], due, atol=1e-4, rtol=1e-4)
                previous = given[:, codebook]
    assert torch.equal(tokens, given)
