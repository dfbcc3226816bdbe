"""A frame's round trip: client -> edge -> Redis -> voice worker (echo) -> Redis -> edge -> client, all real processes.

Beside it, in the same run, a bare aiohttp echo with the same clients: the difference is what splitbrain costs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import number, percentile, table
from benchmarks.stack import ROOT, Stack, cpu_seconds, die_with_parent, start_process, stop_process, wait_ready
from shared.redis_server import free_port

SESSIONS = (1, 50, 100, 200)
HEADS = (
    "what", "sessions", "served", "p50 ms", "p99 ms", "worst ms", "lost", "skipped", "send late p99 ms",
    "edge %", "voice %", "redis %", "client %",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: what the client saw, and CPU seconds by process within the window."""

    sessions: int
    seconds: float
    client: dict[str, object]
    cpu_s: dict[str, float]

    def row(self, what: str) -> list[str]:
        """Return the table's row. Frames of refused sessions and of a stalled sender count as missing."""
        times = _list(self.client["round_trip_ms"])
        late = _list(self.client["lateness_ms"])
        expected = int(str(self.client["expected"]))
        percents = [
            number(100 * self.cpu_s[name] / self.seconds / self.sessions, 3) if name in self.cpu_s else "-"
            for name in ("edge", "voice", "redis", "client")
        ]
        return [
            what,
            str(self.sessions),
            str(self.client["served"]),
            *(number(percentile(times, expected, share)) for share in (0.5, 0.99, 1.0)),
            str(int(str(self.client["sent"])) - len(times)),
            str(self.client["skipped"]),
            number(percentile(late, len(late), 0.99)) if late else "missing",
            *percents,
        ]


def measure(url: str, n_sessions: int, seconds: float, cpu_s: Callable[[], dict[str, float]]) -> Measured:
    """Run the clients against `url` and take the CPU time of all processes at both ends of the window."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "figures.json"
        command = [sys.executable, "-m", "benchmarks.frame_client", url, str(result)]
        command += ["--sessions", str(n_sessions), "--seconds", str(seconds)]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
        ) as clients:
            assert clients.stdout is not None

            def used() -> dict[str, float]:
                return {**cpu_s(), "client": cpu_seconds(clients.pid)}

            _expect(clients.stdout.readline(), "measuring")
            before = used()
            _expect(clients.stdout.readline(), "measured")
            after = used()
            clients.wait()
        seen = json.loads(result.read_text(encoding="utf-8"))
    return Measured(n_sessions, seconds, seen, {name: after[name] - before[name] for name in after})


def bare(n_sessions: int, seconds: float) -> Measured:
    """Measure the bare echo, in a process of its own."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.bare_echo", str(port)]
        process = start_process("bare", command, Path(folder), dict(os.environ))
        try:
            wait_ready(process, f"http://127.0.0.1:{port}/readyz")
            url = f"ws://127.0.0.1:{port}/api/chat"
            return measure(url, n_sessions, seconds, lambda: {"edge": process.cpu_s()})
        finally:
            stop_process(process)


def whole(n_sessions: int, seconds: float) -> Measured:
    """Measure splitbrain with the echo engine, on a fresh set of processes."""
    environment = {
        "SPLITBRAIN_VOICE_ENGINES": "echo",
        "SPLITBRAIN_VOICE_LISTENER": "off",
        "SPLITBRAIN_LOG_LEVEL": "WARNING",
    }
    with Stack(("edge", "voice"), environment) as stack:
        return measure(f"{stack.url}/api/chat?engine=echo&language=en", n_sessions, seconds, stack.cpu_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=list(SESSIONS))
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each measurement")
    given = parser.parse_args()
    rows = []
    for n_sessions in given.sessions:
        for what, run in (("bare echo", bare), ("splitbrain", whole)):
            rows.append(run(n_sessions, given.seconds).row(what))
            print(f"{what}, {n_sessions} sessions: p50 {rows[-1][3]} ms, p99 {rows[-1][4]} ms", file=sys.stderr)
    print(table(HEADS, rows))
    print("\nCPU: percent of one core for each session, in that process. For the bare echo `edge` is its process.")


def _expect(line: str, word: str) -> None:
    if line.strip() != word:
        raise SystemExit(f"the clients ended before they were {word}")


def _list(value: object) -> list[float]:
    assert isinstance(value, list)
    return value


if __name__ == "__main__":
    main()
