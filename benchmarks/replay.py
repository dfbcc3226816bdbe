"""How fast recordings are evaluated: in process on one core, and a folder of them over worker processes. No judge.

    python -m benchmarks.replay [--rounds 5] [--recordings 200] [--profile]

Synthetic talks of 30 minutes (`benchmarks/synthetic_talk.py`), another one each round, and the recorded events of a
spoken role-play. "x real time" is media time by wall time.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.figures import number, table
from benchmarks.synthetic_talk import make_talk
from services.evaluator.recording.archive import publish
from services.evaluator.recording.events import Entry
from services.evaluator.recording.pack import Parts, pack
from services.evaluator.recording.store import RecordingStore
from services.evaluator.replay.in_process import Recorded, replay
from services.evaluator.replay.reading import read_recorded
from shared.coaching.detection import Detector
from shared.coaching.detector import default_detector, rule_detector
from shared.coaching.encoder.use import SentenceEncoder
from shared.events import Consent, Event
from shared.wire import event_from_json

DEMO_CALL = Path(__file__).parents[1] / "tests" / "fixtures" / "events" / "demo_call.jsonl"
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
MINUTES = 30
FOLDER_MINUTES = 5
WARM = 10_000


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians over rounds: seconds of the wall and of the processor."""

    wall_s: float
    cpu_s: float


def session_id(number_: int) -> str:
    return f"01bench0000000000000{number_:06d}"


def measure(rounds: int, work: Callable[[int], object]) -> Timing:
    """Run `work(round)` and return the medians. Nothing is remembered from one round to the next."""
    walls, cpus = [], []
    for round_ in range(rounds):
        SentenceEncoder.encode.cache_clear()
        wall, cpu = time.perf_counter(), time.process_time()
        work(round_)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Timing(statistics.median(walls), statistics.median(cpus))


def row(name: str, events: Sequence[Event], timing: Timing) -> list[str]:
    media_s = max(event.media_ms for event in events) / 1000
    return [
        name,
        number(media_s / 60, 1),
        str(len(events)),
        number(timing.wall_s, 3),
        number(timing.cpu_s, 3),
        number(len(events) / timing.wall_s, 0),
        number(media_s / timing.wall_s, 0),
        number(media_s / timing.cpu_s, 0),
    ]


def put(store: RecordingStore, events: Sequence[Event]) -> str:
    """Put a talk into the store; return its id."""
    entries = tuple(Entry(f"{place}-0", event) for place, event in enumerate(events, start=1))
    publish(store, pack(Parts(events[0].session_id, "session", entries, Consent(True, True), {})))
    return events[0].session_id


def in_process(rounds: int) -> list[list[str]]:
    """Return the rows of one core, in process."""
    detectors: dict[str, Detector] = {"learned detector": default_detector(), "rules alone": rule_detector()}
    talks = [make_talk(session_id(n), MINUTES, n) for n in range(rounds)]
    call = [event_from_json(json.loads(line)) for line in DEMO_CALL.read_text(encoding="utf-8").splitlines()]
    rows = []
    for name, detector in detectors.items():
        replay(Recorded("warm", tuple(make_talk(session_id(WARM), 1, WARM))), detector)
        timing = measure(rounds, lambda n, d=detector: replay(Recorded("x", tuple(talks[n])), d))  # type: ignore[misc]
        rows.append(row(f"synthetic talk, {name}", talks[0], timing))
    with tempfile.TemporaryDirectory() as folder:
        store = RecordingStore(folder)
        fresh = [make_talk(session_id(n), MINUTES, WARM + n) for n in range(rounds)]
        ids = [put(store, talk) for talk in fresh]
        timing = measure(rounds, lambda n: replay(read_recorded(store, ids[n]), detectors["learned detector"]))
        rows.append(row("the same, read from its files", fresh[0], timing))
    for name, detector in detectors.items():
        timing = measure(rounds, lambda n, d=detector: replay(Recorded("x", _renamed(call, n)), d))  # type: ignore[misc]
        rows.append(row(f"recorded role-play, {name}", call, timing))
    return rows


def _renamed(events: Sequence[Event], n: int) -> tuple[Event, ...]:
    return tuple(replace(event, session_id=session_id(n)) for event in events)


def over_workers(n_recordings: int) -> list[list[str]]:
    """Return the rows of `splitbrain evaluate` over a folder of recordings."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        store = RecordingStore(f"{folder}/recordings")
        for n in range(n_recordings):
            put(store, make_talk(session_id(n), FOLDER_MINUTES, 2 * WARM + n))
        alone_s = 0.0
        for n_workers in (1, 2):
            before_s = _children_s()
            told = _evaluate(f"{folder}/recordings", f"{folder}/out-{n_workers}", n_workers)
            wall_s, cpu_s = told["seconds"], _children_s() - before_s
            alone_s = alone_s or wall_s
            cells = (wall_s, cpu_s, n_recordings / wall_s, told["mediaS"] / wall_s)
            rows.append([str(n_workers), *(number(value, 1) for value in cells), number(alone_s / wall_s, 2)])
    return rows


def _children_s() -> float:
    """Return the processor time of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _evaluate(folder: str, out: str, n_workers: int) -> dict[str, float]:
    command = ["evaluate", folder, "--out", out, "--workers", str(n_workers), "--json"]
    done = subprocess.run([sys.executable, "-m", "services.cli", *command], capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def profile() -> None:
    """Print where the time of one synthetic talk goes."""
    detector, talk = default_detector(), make_talk(session_id(0), MINUTES, 0)
    replay(Recorded("warm", tuple(make_talk(session_id(WARM), 1, WARM))), detector)
    profiler = cProfile.Profile()
    profiler.runcall(replay, Recorded("x", tuple(talk)), detector)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--recordings", type=int, default=200)
    parser.add_argument("--profile", action="store_true", help="show where the time of one talk goes, and end")
    given = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):  # numpy reads it at its import
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.replay", *sys.argv[1:]], os.environ | ONE_THREAD)
    if given.profile:
        profile()
        return
    heads = ("one core, in process", "minutes", "events", "wall s", "CPU s", "events/s", "x real time", "x by CPU")
    print(table(heads, in_process(given.rounds)))
    if given.recordings:
        of_folder = ("workers", "wall s", "CPU s", "recordings/s", "x real time", "speed-up")
        print(f"\n{given.recordings} recordings of {FOLDER_MINUTES} minutes, start of the processes included:\n")
        print(table(of_folder, over_workers(given.recordings)))


if __name__ == "__main__":
    main()
