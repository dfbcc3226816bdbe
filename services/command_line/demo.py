"""`splitbrain demo`: a spoken role-play with Hugo, end to end over the edge, with a report and its sound kept."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from services.command_line import call_report, console
from services.command_line.call_options import CallFailed, CallOptions
from services.command_line.client import Received
from services.command_line.deployment import own_deployment
from services.command_line.exits import CommandError, Exit
from services.command_line.outputs import make_folder
from services.command_line.scorecard_report import scorecard_lines
from services.command_line.talk import EXITS, Conversation, hold_conversation
from services.command_line.turn_script import TurnRules
from services.command_line.up_plan import RECORDINGS_VARIABLE
from services.command_line.wav import Pcm, parse_wav, resample, write_wav
from services.evaluator.recording.manifest import StoreError
from services.evaluator.recording.store import RecordingStore
from shared.events import Spoken, Transcript
from shared.wire import event_to_json

CONSENT = (("consent_store_transcript", "1"), ("consent_store_audio", "1"))
"""The seller is a synthetic voice that reads a script."""

RECORDINGS = "recordings"
"""The folder in that of the demo where its deployment archives the call."""

RECORDING_LIMIT_S = 30.0

RULES = TurnRules(gap_ms=600, greeting_ms=6_000, answer_timeout_ms=12_000)


def run(options: argparse.Namespace) -> Exit:
    """Run the demo. 0: every turn was understood and answered aloud; 1: something is missing, and what; a call that
    does not come about has the code that it has in `talk`.
    """
    try:
        return asyncio.run(_run(options))
    except CallFailed as error:
        raise CommandError(EXITS[error.trouble], f"the demo's call failed: {error}") from error


async def _run(options: argparse.Namespace) -> Exit:
    out = Path(options.out)
    await asyncio.to_thread(make_folder, out)
    script, clips = await asyncio.to_thread(load_role_play, options.language, options.turns)
    async with _address(options.url, options.language, out) as url:
        console.say(f"\na seller ({script['speaker']}) practises with Hugo; {len(clips)} turns, in real time:\n")
        call = CallOptions(engine="cascade", language=options.language, extra=CONSENT)
        done = await hold_conversation(
            url.replace("http", "ws", 1), clips, call, RULES, on_event=_print, scorecard_timeout_s=15.0
        )
        recording = "" if options.url else await asyncio.to_thread(_archived, done, out)
    report = report_lines(done)
    await asyncio.to_thread(_keep, out, done, report)
    for line in ["", *report]:
        console.say(line)
    missing = _missing(done, len(clips))
    console.say(f"\nkept in {out}/: conversation.wav (left: the seller, right: Hugo), events.jsonl, report.txt")
    if recording:
        console.say(f"and recorded: splitbrain recordings show {recording} --store {out / RECORDINGS}")
    for line in missing:
        console.warn(f"missing: {line}")
    return Exit.FAILED if missing else Exit.OK


def load_role_play(language: str, n_turns: int) -> tuple[dict[str, Any], list[Pcm]]:
    """Return the script of a role-play and its spoken turns (24 kHz mono)."""
    folder = files("services.command_line") / "role_play" / language
    script: dict[str, Any] = json.loads((folder / "script.json").read_text("utf-8"))
    numbers = range(1, min(n_turns, len(script["turns"])) + 1)
    return script, [resample(*parse_wav((folder / f"{number:02d}.wav").read_bytes())) for number in numbers]


def _print(thing: Received) -> None:
    if thing.event and isinstance(thing.event.body, Spoken):
        return
    if line := call_report.describe(thing):
        console.say(line)


@asynccontextmanager
async def _address(url: str | None, language: str, out: Path) -> AsyncIterator[str]:
    """Yield the address of a deployment: the given one, or an own one for the length of the block."""
    if url:
        yield url
        return
    recordings = {RECORDINGS_VARIABLE: str(out / RECORDINGS)}
    async with own_deployment("--language", language, env=recordings) as own:
        yield own.url


def _archived(done: Conversation, out: Path) -> str:
    """Wait until the call is archived, at most RECORDING_LIMIT_S; return its id, "" if it is not. Blocks."""
    session_id = next((thing.event.session_id for thing in done.received if thing.event), "")
    if not session_id:
        return ""
    store, until_s = RecordingStore(str(out / RECORDINGS)), time.monotonic() + RECORDING_LIMIT_S
    with suppress(StoreError):
        while not (is_there := store.has(session_id)) and time.monotonic() < until_s:
            time.sleep(0.2)  # looks again: nothing tells when another process has written
        return session_id if is_there else ""
    return ""


def _keep(out: Path, done: Conversation, report: list[str]) -> None:
    write_wav(out / "conversation.wav", done.recording.sent(), done.recording.heard())
    events = [event_to_json(thing.event) for thing in done.received if thing.event]
    lines = "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events)
    (out / "events.jsonl").write_text(lines, "utf-8")
    (out / "report.txt").write_text("\n".join(report) + "\n", "utf-8")


def report_lines(done: Conversation) -> list[str]:
    """Return transcripts, latencies and scorecard as lines."""
    lines = ["--- transcript (seconds of media time)"]
    for body in _finals(done):
        lines.append(f"{body.start_ms / 1000:7.2f} - {body.end_ms / 1000:7.2f}  {body.speaker:>5}: {body.text}")
    lines += ["", "--- end of the seller's speech -> Hugo's first sound"]
    lines += [call_report.latency_line(latency) for latency in done.latencies]
    if heard := _heard_ms(done):
        lines.append(f"         median {statistics.median(heard):.0f} ms over {len(heard)} turns")
    lines += ["", "--- scorecard"]
    return lines + (scorecard_lines(done.scorecard.scorecard) if done.scorecard else ["none came"])


def _finals(done: Conversation) -> list[Transcript]:
    said = [thing.event.body for thing in done.received if thing.event and isinstance(thing.event.body, Transcript)]
    return sorted((body for body in said if body.final), key=lambda body: body.start_ms)


def _heard_ms(done: Conversation) -> list[int]:
    return [latency.heard_ms for latency in done.latencies if latency.heard_ms is not None]


def _missing(done: Conversation, n_clips: int) -> list[str]:
    """Return what should have come and did not."""
    missing = [f"the end of the call: {done.failure}"] if done.failure else []
    for number, outcome in enumerate(done.outcomes, start=1):
        if outcome != "answered":
            missing.append(f"turn {number} of the seller was not answered ({outcome})")
    n_user = sum(body.speaker == "user" for body in _finals(done))
    n_heard = len(_heard_ms(done))
    if n_user < n_clips:
        missing.append(f"only {n_user} of {n_clips} turns of the seller are in the transcript")
    if n_heard < n_clips:
        missing.append(f"only {n_heard} of {n_clips} answers were heard")
    if done.scorecard is None:
        missing.append("the scorecard")
    return missing
