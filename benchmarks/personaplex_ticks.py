"""Ticks and prefill of one PersonaPlex batch on the device at hand, by number of sessions.

    python -m benchmarks.personaplex_ticks [--size 7b] [--device cuda] [--sessions 1 2 8 16] [--weights FOLDER]

Without weights the models are random, of the size asked for: a tick costs the same whatever they know. Every slot
hears noise and steps in every tick; the prefill puts a prompt of 400 positions into a slot that stands still.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from moshi.models import loaders

from benchmarks.figures import percentile, table
from services.voice_worker.engines.personaplex.inputs import SlotInput
from services.voice_worker.engines.personaplex.model import checkpoint, tiny
from services.voice_worker.engines.personaplex.model.batch import Batch
from services.voice_worker.engines.personaplex.model.codec import BatchCodec
from services.voice_worker.engines.personaplex.model.generator import BatchGenerator
from services.voice_worker.engines.personaplex.model.sampling import Sampling
from services.voice_worker.engines.personaplex.weights import store as weights
from shared.audio import FRAME_SAMPLES

BUDGET_MS = 80.0
PREFILL = 400
PIECE = 128
HEADS = ("sessions", "tick p50 ms", "p99 ms", "worst ms", "over 80 ms %", f"prefill of {PREFILL} ms", "worst piece ms")


def models(size: str, folder: str, device: torch.device) -> tuple[Any, Any]:
    """Return language model and codec on `device`: those of a folder of weights, else random ones of a size."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    if folder:
        files = weights.find(None if folder == "default" else Path(folder))
        return checkpoint.load(files.model, device, dtype), loaders.get_mimi(files.mimi, device=device)
    if size == "7b":
        mimi = loaders.get_mimi(None, device=device)
        for layer in mimi.modules():
            if hasattr(layer, "_initialized"):
                layer._initialized.fill_(1.0)
        return checkpoint.build(checkpoint.PERSONAPLEX_7B, device, dtype), mimi
    arguments = tiny.MID if size == "mid" else tiny.TINY
    return tiny.language_model(arguments).to(device=device, dtype=dtype), tiny.codec().to(device)


def measure(lm: Any, mimi: Any, slots: int, ticks: int) -> list[str]:
    """Run one batch and return its row."""
    batch = Batch(BatchGenerator(lm, slots), BatchCodec(mimi, slots))
    batch.warm_up()
    for slot in range(slots):
        batch.generator.configure(slot, Sampling(seed=slot))
    noise = np.random.default_rng(0).normal(0, 0.1, (slots, FRAME_SAMPLES)).astype(np.float32)
    inputs = {slot: SlotInput(noise[slot]) for slot in range(slots)}
    tick_ms = [_ms(batch, lambda: batch.tick(inputs)) for _ in range(ticks)]
    batch.clear(0)
    rows = np.random.default_rng(1).integers(4, 400, (PREFILL, 17))
    pieces = torch.split(batch.generator.embed(rows), PIECE)
    piece_ms = [_ms(batch, lambda piece=piece: batch.generator.prefill(0, piece)) for piece in pieces]
    lm.set_streaming_state(dict.fromkeys(lm.get_streaming_state()))
    mimi.set_streaming_state(dict.fromkeys(mimi.get_streaming_state()))
    over = 100 * sum(ms > BUDGET_MS for ms in tick_ms) / len(tick_ms)
    half, most = (percentile(tick_ms, ticks, share) for share in (0.5, 0.99))
    figures = (half, most, max(tick_ms), over, sum(piece_ms), max(piece_ms))
    return [str(slots), *(f"{figure:.1f}" for figure in figures)]


def _ms(batch: Batch, work: Any) -> float:
    begun = time.perf_counter()
    work()
    if batch.generator.device.type == "cuda":
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - begun)


def main() -> None:
    """Measure each number of sessions and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=("tiny", "mid", "7b"), default="tiny", help="size of the random models")
    parser.add_argument(
        "--weights", default="", metavar="FOLDER", help='real weights; "default": where they are pulled'
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 2, 8, 16])
    parser.add_argument("--ticks", type=int, default=100, help="measured ticks of each (default %(default)s)")
    given = parser.parse_args()
    device = torch.device(given.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    lm, mimi = models(given.size, given.weights, device)
    rows = [measure(lm, mimi, slots, given.ticks) for slots in given.sessions]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, one thread"
    print(f"{given.weights or given.size} on {name}\n")
    print(table(list(HEADS), rows))


if __name__ == "__main__":
    main()
