"""`splitbrain talk`: speaks WAV files into a call, in turns, prints what comes back and writes the answer."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.command_line import call_report, console
from services.command_line.call_options import DEFAULT_URL, CallFailed, CallOptions, Trouble
from services.command_line.client import Received, VoiceClient
from services.command_line.exits import CommandError, Exit
from services.command_line.outputs import check_file
from services.command_line.recording import CallRecording
from services.command_line.run_file import edge_url_of_running
from services.command_line.turn_script import Done, Outcome, Say, TurnRules, TurnScript
from services.command_line.wav import Pcm, read_wav, write_wav
from shared.events import ScorecardReady
from shared.wire import event_to_json

EXITS: dict[Trouble, Exit] = {
    "unreachable": Exit.UNREACHABLE,
    "refused": Exit.REFUSED,
    "protocol": Exit.REFUSED,
    "busy": Exit.BUSY,
    "restarting": Exit.BUSY,
    "failed": Exit.CUT_OFF,
}
"""With which code a call's trouble ends a command."""


@dataclass(slots=True)
class Conversation:
    """A scripted call and what came of it. `outcomes` has one word for each clip that was answered or waited for
    (turn_script.Outcome); `failure` says how the server ended the call before its end, if it did.
    """

    recording: CallRecording
    received: list[Received]
    outcomes: list[Outcome]
    latencies: list[call_report.AnswerLatency]
    scorecard: ScorecardReady | None
    late_frames: int
    failure: CallFailed | None = None

    @property
    def unanswered(self) -> bool:
        """True if nothing at all came back, whatever was said."""
        return bool(self.outcomes) and all(outcome == "no_answer" for outcome in self.outcomes)


async def hold_conversation(
    url: str,
    clips: list[Pcm],
    options: CallOptions,
    rules: TurnRules,
    *,
    on_event: Callable[[Received], None] | None = None,
    scorecard_timeout_s: float = 10.0,
) -> Conversation:
    """Call `url`, speak the clips one after the other by `rules`, hang up.

    Raises CallFailed if the call does not come about; one that is cut off later is in the answer's `failure`.
    """
    script = TurnScript(len(clips), rules)
    over = asyncio.Event()

    def take(thing: Received) -> None:
        if thing.event:
            script.on_event(thing.event)
            meter.on_event(thing.event)
        if on_event:
            on_event(thing)

    def tick(media_ms: int) -> None:
        if over.is_set():
            return
        script.on_loud(int(call.recording.loud_ms))
        action = script.tick(media_ms, call.queued_ms)
        if isinstance(action, Say):
            call.send_pcm(clips[action.clip])
        elif isinstance(action, Done):
            over.set()

    call = VoiceClient(url, options, on_event=take, on_tick=tick)
    meter = call_report.LatencyMeter(call.recording)
    done = Conversation(call.recording, call.received, script.outcomes, [], None, 0)
    async with call:
        await _until(over, call)
        done.failure = call.failure()
        done.scorecard = await call.hang_up(scorecard_timeout_s)
    done.latencies, done.late_frames = meter.latencies(), call.late_frames
    return done


async def _until(over: asyncio.Event, call: VoiceClient) -> None:
    waits = [asyncio.create_task(over.wait()), asyncio.create_task(call.wait_closed())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def run(options: argparse.Namespace) -> Exit:
    """Run the subcommand."""
    if options.out:
        check_file(Path(options.out))
    options.url = options.url or edge_url_of_running(DEFAULT_URL)
    clips = [read_wav(Path(path)) for path in options.wav]
    try:
        return asyncio.run(_run(options, clips))
    except CallFailed as error:
        raise CommandError(EXITS[error.trouble], str(error)) from error


async def _run(options: argparse.Namespace, clips: list[Pcm]) -> Exit:
    rules = TurnRules(
        gap_ms=round(options.gap * 1000),
        answer_timeout_ms=round(options.answer_timeout * 1000),
        tail_ms=None if options.tail is None else round(options.tail * 1000),
        greeting_ms=round(options.greeting * 1000),
    )
    printer = _Printer(options.json, options.events)
    done = await hold_conversation(
        options.url, clips, _call_options(options), rules, on_event=printer.show, scorecard_timeout_s=options.scorecard
    )
    if options.out:
        sent, heard = done.recording.sent(), done.recording.heard()
        channels = (heard,) if options.mono else (sent, heard)
        await asyncio.to_thread(write_wav, Path(options.out), *channels)
    printer.summary(done, options.out)
    if done.failure:
        raise done.failure
    if done.unanswered:
        raise CommandError(Exit.FAILED, "no clip was answered")
    return Exit.OK


def _call_options(options: argparse.Namespace) -> CallOptions:
    return CallOptions(
        engine=options.engine or "",
        language=options.language or "",
        voice=options.voice or "",
        prompt=options.prompt or "",
        token=options.token or os.environ.get("SPLITBRAIN_TOKEN", ""),
        extra=tuple((f"consent_{name}", "1") for name in options.consent or ()),
    )


class _Printer:
    """Writes events as they come, and the summary."""

    def __init__(self, as_json: bool, verbose: bool) -> None:
        self._json = as_json
        self._verbose = verbose

    def show(self, thing: Received) -> None:
        if self._json:
            console.say_json(call_report.as_json(thing))
        elif line := call_report.describe(thing, verbose=self._verbose):
            console.say(line)

    def summary(self, done: Conversation, out: str | None) -> None:
        if self._json:
            for latency in done.latencies:
                console.say_json(call_report.latency_json(latency))
            console.say_json(_summary_json(done))
            return
        if done.latencies:
            console.say("end of speech -> Hugo's first sound:")
        for latency in done.latencies:
            console.say(call_report.latency_line(latency))
        sent_s, heard_s = done.recording.sent_frames * 0.08, done.recording.heard_ms / 1000
        console.say(f"sent {sent_s:.2f} s, got {heard_s:.2f} s back; clips: {', '.join(done.outcomes) or 'none'}")
        if done.late_frames:
            console.say(f"this machine was too slow for {done.late_frames} frames; latencies are too long")
        if done.scorecard is None:
            console.say("no scorecard came")
        if out:
            console.say(f"wrote {out}")


def _summary_json(done: Conversation) -> dict[str, Any]:
    heard = [latency.heard_ms for latency in done.latencies if latency.heard_ms is not None]
    scorecards = [t.event for t in done.received if t.event and isinstance(t.event.body, ScorecardReady)]
    return {
        "type": "summary",
        "sentMs": done.recording.sent_frames * 80,
        "heardMs": round(done.recording.heard_ms),
        "outcomes": done.outcomes,
        "heardLatencyMedianMs": sorted(heard)[len(heard) // 2] if heard else None,
        "lateFrames": done.late_frames,
        "scorecard": event_to_json(scorecards[-1])["body"] if scorecards else None,
    }
