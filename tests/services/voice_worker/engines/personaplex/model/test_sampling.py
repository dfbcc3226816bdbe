"""Sampling by slot: the right distribution, the same draws wherever a session sits."""

from __future__ import annotations

import torch

from services.voice_worker.engines.personaplex.model.sampling import key_of, penalise, sample, uniform


def draws(logits: torch.Tensor, temperature: float, top_k: int, n: int = 4000, seed: int = 1) -> torch.Tensor:
    """Draw `n` times from one row of logits, as `n` frames of one session."""
    ones = torch.ones(n, dtype=torch.long)
    return sample(
        logits.expand(n, -1), torch.full((n,), temperature), ones * top_k, key_of(ones * seed, torch.arange(n)), 0, 64
    )


def test_tokens_come_as_often_as_the_softmax_says() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, -9.0])
    for temperature in (0.5, 1.0, 2.0):
        counts = torch.bincount(draws(logits, temperature, 64), minlength=5) / 4000
        torch.testing.assert_close(counts, torch.softmax(logits / temperature, -1), atol=0.025, rtol=0)


def test_only_the_best_k_are_drawn() -> None:
    logits = torch.tensor([1.0, 3.0, 2.0, 2.9])
    assert set(draws(logits, 5.0, 2).tolist()) == {1, 3}


def test_no_temperature_is_greedy_whatever_top_k_allows() -> None:
    logits = torch.randn(50, generator=torch.Generator().manual_seed(0))
    assert set(draws(logits, 0.0, 64).tolist()) == {int(logits.argmax())}


def test_a_row_draws_the_same_in_any_batch() -> None:
    logits = torch.randn(6, 100, generator=torch.Generator().manual_seed(0))
    keys = key_of(torch.arange(6) + 10, torch.arange(6) * 7)
    temperature, top_k = torch.full((6,), 0.8), torch.full((6,), 30)
    together = sample(logits, temperature, top_k, keys, 3, 64)
    for row in range(6):
        part = slice(row, row + 1)
        alone = sample(logits[part], temperature[part], top_k[part], keys[part], 3, 64)
        assert alone.item() == together[row].item()


def test_seed_frame_and_stream_each_draw_anew() -> None:
    token = torch.arange(64)[None]
    base = uniform(key_of(torch.tensor([1]), torch.tensor([1])), 1, token)
    for seed, frame, stream in ((2, 1, 1), (1, 2, 1), (1, 1, 2)):
        other = uniform(key_of(torch.tensor([seed]), torch.tensor([frame])), stream, token)
        assert (other != base).float().mean() > 0.95


def test_the_noise_is_uniform_and_never_at_the_ends() -> None:
    value = uniform(key_of(torch.arange(200), torch.arange(200)), 0, torch.arange(500).expand(200, -1))
    assert value.min() > 0
    assert value.max() < 1
    counts = torch.histc(value, bins=20, min=0, max=1) / value.numel()
    torch.testing.assert_close(counts, torch.full((20,), 0.05), atol=0.003, rtol=0)


def test_what_was_said_lately_becomes_less_likely() -> None:
    logits = torch.tensor([[2.0, -2.0, 1.0, 0.5]])
    recent = torch.tensor([[0, 1, -1, -1]])
    changed = penalise(logits, recent, torch.tensor([2.0]))
    assert changed.tolist() == [[1.0, -4.0, 1.0, 0.5]]
    assert penalise(logits, recent, torch.tensor([1.0])).tolist() == logits.tolist()
    assert penalise(logits, torch.full((1, 4), -1), torch.tensor([2.0])).tolist() == logits.tolist()


def test_leaving_the_order_out_draws_the_same_tokens() -> None:
    logits = torch.randn(200, 300, generator=torch.Generator().manual_seed(0))
    temperature, top_k = torch.full((200,), 0.9), torch.full((200,), 64)
    temperature[:20] = 0.0
    keys = key_of(torch.arange(200), torch.arange(200))
    ranked = sample(logits, temperature, top_k, keys, 2, 64)
    assert torch.equal(sample(logits, temperature, top_k, keys, 2, 64, ranked=False), ranked)
