"""Sizing: the arithmetic agrees with the model as it is built, and with what was published."""

from __future__ import annotations

import pytest

from services.voice_worker.engines.personaplex.weights import sizing
from services.voice_worker.engines.personaplex.weights.sizing import CARDS, Card, find_card, fit


def card(name: str) -> Card:
    found = find_card(name)
    assert found is not None
    return found


def slots(name: str, weight_bits: sizing.WeightBits) -> int:
    return fit(round(card(name).memory_gb * 1e9), weight_bits=weight_bits).slots


def test_the_parts_of_the_model() -> None:
    assert sizing.TEMPORAL_PARAMETERS == 6_576_930_816
    assert sizing.MODEL_PARAMETERS == 7_687_729_152
    assert round(sizing.READ_PARAMETERS * 2 / 1e9, 2) == 14.84
    assert sizing.KV_BYTES_PER_FRAME == 512 * 1024
    assert round(sizing.kv_bytes() / 1e9, 3) == 1.573


def test_they_are_those_of_the_model_that_is_built() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("moshi")
    from services.voice_worker.engines.personaplex.model import checkpoint, quantize

    def n_bytes() -> int:
        tensors = [*model.parameters(), *model.buffers()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    model = checkpoint.build(checkpoint.PERSONAPLEX_7B, "meta", torch.bfloat16)
    assert n_bytes() == sizing.MODEL_BYTES[16]
    quantize.Int8Linear.replace_all(model)
    assert n_bytes() == sizing.MODEL_BYTES[8]


@pytest.mark.parametrize(
    ("name", "bf16", "int8"),
    [("H100", 35, 40), ("H200", 71, 76), ("A100 80GB", 35, 40), ("L40S", 16, 21), ("RTX 4090", 2, 7), ("L4", 2, 7)],
)
def test_slots_by_memory(name: str, bf16: int, int8: int) -> None:
    assert (slots(name, 16), slots(name, 8)) == (bf16, int8)


@pytest.mark.parametrize(
    ("name", "sessions"),
    [("H100", 118), ("H200", 173), ("A100 80GB", 68), ("L40S", 23), ("RTX 4090", 29), ("L4", 2)],
)
def test_sessions_by_bandwidth(name: str, sessions: int) -> None:
    assert sizing.bandwidth_cap(card(name)) == sessions


def test_sessions_by_bandwidth_of_8_bit_kernels() -> None:
    assert sizing.bandwidth_cap(card("L40S"), weight_bits=8) == 28
    assert sizing.bandwidth_cap(card("L4"), weight_bits=8) == 6
    assert sizing.bandwidth_cap(card("L4"), budget_ms=20) == 0


@pytest.mark.parametrize(
    ("name", "floors_ms"),
    [("H100", (4.9, 8.2, 11.9, 19.5)), ("L40S", (19.0, 31.7, 46.3, 75.4)), ("L4", (54.7, 91.4, 133.4, 217.3))],
)
def test_the_floor_of_a_tick(name: str, floors_ms: tuple[float, ...]) -> None:
    found = [round(sizing.tick_floor_ms(card(name), batch), 1) for batch in (1, 8, 16, 32)]
    assert found == list(floors_ms)


def test_what_was_measured_is_above_the_floor_of_the_fastest_card() -> None:
    fastest = max(CARDS, key=lambda each: each.bandwidth_gb_s)
    assert all(sizing.tick_floor_ms(fastest, batch) < ms for batch, ms in sizing.PUBLISHED_TICKS_MS.items())


@pytest.mark.parametrize("memory_gb", [8, 24, 40, 48, 80, 141, 192])
@pytest.mark.parametrize("context", [250, 1_500, 3_000])
@pytest.mark.parametrize("weight_bits", [16, 8])
def test_no_slot_more_would_fit(memory_gb: int, context: int, weight_bits: sizing.WeightBits) -> None:
    memory_bytes = round(memory_gb * 1e9)
    found = fit(memory_bytes, weight_bits=weight_bits, context=context)
    assert found.slots == 0 or found.needed_bytes(found.slots) <= memory_bytes
    assert found.needed_bytes(found.slots + 1) > memory_bytes


def test_half_the_context_is_more_than_twice_the_slots_where_memory_is_scarce() -> None:
    assert fit(24_000_000_000, weight_bits=16, context=1_500).slots > 2 * slots("L4", 16)


def test_a_small_card_holds_none() -> None:
    assert fit(16_000_000_000, weight_bits=16).slots == 0


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("NVIDIA H100 80GB HBM3", "H100 80GB SXM"),
        ("NVIDIA H100 PCIe", "H100 80GB PCIe"),
        ("NVIDIA A100-SXM4-40GB", "A100 40GB SXM"),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB SXM"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090 24GB"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada 48GB"),
        ("NVIDIA L40S", "L40S 48GB"),
        ("l4", "L4 24GB"),
        ("a100 40", "A100 40GB SXM"),
        ("A100 40 GB", "A100 40GB SXM"),
        *((each.name, each.name) for each in CARDS),
    ],
)
def test_a_card_is_found_by_what_people_and_drivers_call_it(said: str, meant: str) -> None:
    assert card(said).name == meant


@pytest.mark.parametrize("said", ["", "NVIDIA", "Tesla T4", "RTX", "80GB", "Quadro RTX 6000", "RTX 4090 Laptop GPU"])
def test_a_card_that_is_not_known(said: str) -> None:
    assert find_card(said) is None
