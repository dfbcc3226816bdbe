"""Samples as the benchmark's scripts read them: what follows from the talk, times from each sample's start."""

from __future__ import annotations

import json
import statistics
from typing import Any

import pytest

from services.evaluator.exporting.duplex_bench import GOES_ON_MS, PAUSE_MS, Sample, samples_of
from tests.services.evaluator.conftest import load_maker
from tests.services.evaluator.recorded_talks import numbered, role_play_view, view_of


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return samples_of(role_play_view())


def of(samples: list[Sample], task: str) -> list[Sample]:
    return [sample for sample in samples if sample.task == task]


def read(sample: Sample, name: str) -> Any:
    return json.loads(sample.files[name])


def test_times_lie_within_their_sample_and_are_never_null(samples: list[Sample]) -> None:
    for sample in samples:
        length_s = sample.part.length_ms / 1000
        for name in ("output.json", "input.json"):
            found = read(sample, name)
            assert found["text"] == " ".join(chunk["text"] for chunk in found["chunks"])
            starts = [chunk["timestamp"][0] for chunk in found["chunks"]]
            assert starts == sorted(starts)
            assert all(0 <= a <= b <= length_s for a, b in (chunk["timestamp"] for chunk in found["chunks"]))
        assert sample.n_samples == sample.part.length_ms * 16


def test_a_turn_is_taken_at_its_end(samples: list[Sample]) -> None:
    """Takeover latency as the benchmark counts it: the answer's first word minus the start of the span."""
    latencies = []
    for sample in of(samples, "smooth_turn_taking"):
        (span,) = read(sample, "turn_taking.json")
        assert span["text"] == "[TURN-TAKING]"
        latencies.append(read(sample, "output.json")["chunks"][0]["timestamp"][0] - span["timestamp"][0])
    card = {metric["name"]: metric["value"] for metric in role_play_view().card["metrics"]}
    assert all(latency > 0 for latency in latencies)
    assert statistics.median(latencies) == pytest.approx(card["hugo_response_latency"], abs=0.15)


def test_pauses_are_within_what_the_user_says(samples: list[Sample]) -> None:
    found = of(samples, "pause_handling")
    assert len(found) == 2
    for sample in found:
        for pause in read(sample, "pause.json"):
            assert pause["text"] == "[PAUSE]"
            start, end = pause["timestamp"]
            assert end - start >= PAUSE_MS / 1000
            assert end < sample.part.length_ms / 1000
        assert read(sample, "output.json")["chunks"] == []  # the other kept silent


def test_one_who_speaks_into_a_pause_is_heard_in_the_sample() -> None:
    scene = load_maker().Scene()
    scene.start()
    end_ms = scene.user(1, 1_000, "Wij zoeken eigenlijk iets")
    scene.hugo(1, end_ms + 150, "Wat zoekt u dan precies", cut_at_ms=end_ms + 900)
    last_ms = scene.user(2, end_ms + GOES_ON_MS - 200, "dat de ritten zelf plant")
    scene.end(last_ms + 5_000)
    (sample,) = of(samples_of(view_of(numbered(scene.events, 1))), "pause_handling")
    assert len(read(sample, "output.json")["chunks"]) == 2


def test_an_interruptions_answer_holds_later_words_only(samples: list[Sample]) -> None:
    (sample,) = of(samples, "user_interruption")
    (told,) = read(sample, "interrupt.json")
    assert told["interrupt"].startswith("U hebt gelijk.")
    assert told["context"].startswith("Euh, ik denk")
    chunks = read(sample, "output.json")["chunks"]
    assert chunks
    assert all(chunk["timestamp"][0] >= told["timestamp"][1] for chunk in chunks)


def test_a_turn_that_nobody_could_answer_is_left_out(samples: list[Sample]) -> None:
    last = role_play_view().turns[-1].turn
    assert last.speaker == "user"
    assert all(sample.part.end_ms <= last.start_ms for sample in of(samples, "smooth_turn_taking"))


def test_the_whole_talk_is_one_sample(samples: list[Sample]) -> None:
    (sample,) = of(samples, "conversation")
    assert (sample.part.start_ms, sample.part.end_ms) == (0, role_play_view().length_ms)
