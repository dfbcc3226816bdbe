"""Writes samples in the layout of Full-Duplex-Bench: a folder for each task, in it one for each sample."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from services.evaluator.exporting.duplex_bench import RATE, Sample, samples_of
from services.evaluator.exporting.resampling import Floats, wav_bytes
from services.evaluator.report.data import SessionView
from shared.audio import SAMPLE_RATE

INDEX = "samples.json"
"""Beside the tasks' folders, not in them: the scripts take whatever they find there for a sample."""


def write_samples(views: Iterable[SessionView], folder: Path) -> tuple[dict[str, int], list[str]]:
    """Write all samples; return how many of each task there are, and the ids of recordings without sound.

    Samples are numbered from 1 in each task. `samples.json` tells where each comes from.
    """
    counts: Counter[str] = Counter()
    silent: list[str] = []
    index: list[dict[str, object]] = []
    for view in views:
        tracks = view.recording.track("input"), view.recording.track("output")
        if tracks[0] is None or tracks[1] is None:
            silent.append(view.recording.manifest.id)
            continue
        for sample in samples_of(view):
            counts[sample.task] += 1
            place = folder / sample.task / str(counts[sample.task])
            place.mkdir(parents=True, exist_ok=True)
            _write(sample, (tracks[0], tracks[1]), place)
            index.append(
                {
                    "task": sample.task,
                    "sample": str(counts[sample.task]),
                    "recording": sample.recording,
                    "start_ms": sample.part.start_ms,
                    "end_ms": sample.part.end_ms,
                }
            )
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", "utf-8")
    return dict(counts), silent


def _write(sample: Sample, tracks: tuple[Floats, Floats], place: Path) -> None:
    start, end = (ms * SAMPLE_RATE // 1000 for ms in (sample.part.start_ms, sample.part.end_ms))
    for name, track in zip(("input.wav", "output.wav"), tracks, strict=True):
        clip = np.ascontiguousarray(track[start:end])
        (place / name).write_bytes(wav_bytes(clip, RATE, sample.n_samples))
    for name, text in sample.files.items():
        (place / name).write_text(text, "utf-8")
