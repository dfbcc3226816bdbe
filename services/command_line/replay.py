"""`splitbrain replay`: evaluates recordings again, here or in a running deployment, and compares the scorecards."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.command_line import console
from services.command_line.exits import CommandError, Exit
from services.command_line.recordings import store_url
from services.command_line.run_file import redis_url_of_running
from services.evaluator.recording.manifest import RecordingError, StoreError, check_id
from services.evaluator.recording.store import RecordingStore
from services.evaluator.replay.in_process import Recorded, Replayed, beside_recorded, replay
from services.evaluator.replay.reading import read_recorded
from services.evaluator.replay.through_streams import ReplayFailed, StreamReplay
from shared.broker import Broker
from shared.errors import BadInput, BrokerError, Overloaded
from shared.settings import ServiceSettings, load_settings

MAX_AT_A_TIME = 8
"""Recordings that go through a deployment at the same time."""

SAID = {
    "equal": "equal to the recorded scorecard",
    "differs": "differs from the recorded scorecard",
    "not_recorded": "no scorecard was recorded",
}


def run(options: argparse.Namespace) -> Exit:
    """Run the subcommand: 1 if a card differs from the recorded one or a recording cannot be replayed."""
    url = redis_url_of_running(options.redis_url) if options.redis_url or options.speed is not None else ""
    speed = 1.0 if options.speed is None else options.speed
    bad = False
    recordings: list[Recorded] = []
    for name in options.recordings:
        try:
            recordings.append(find(name, options.store))
        except RecordingError as error:
            bad = True
            tell_failure(name, str(error), as_json=options.json)
    if url and recordings:
        cards = asyncio.run(_through(url, recordings, speed))
    else:
        cards = [replay(recording) for recording in recordings]
    for card in cards:
        if isinstance(card, Replayed):
            tell(card, as_json=options.json)
            bad = bad or card.agreement == "differs"
        else:
            recording_id, why = card
            bad = True
            tell_failure(recording_id, why, as_json=options.json)
    return Exit.FAILED if bad else Exit.OK


def find(name: str, store: str | None) -> Recorded:
    """Return a recording by its id, or by its folder or URL (`<store>/<id>`). Raises RecordingError."""
    place, _, recording_id = name.rstrip("/").rpartition("/")
    if not place:
        is_folder = store is None and Path(name).is_dir()
        place = "." if is_folder else store_url(store, os.environ)
    try:
        return read_recorded(RecordingStore(place), check_id(recording_id))
    except StoreError as error:
        raise CommandError(Exit.UNREACHABLE, str(error)) from error


def tell(replayed: Replayed, *, as_json: bool) -> None:
    """Print a card in short form, and whether it is the recorded one."""
    card: dict[str, Any] = json.loads(replayed.card)
    fields = replayed.differing()
    if as_json:
        found = {"id": replayed.recording_id, "agreement": replayed.agreement, "differing": fields, "scorecard": card}
        console.say_json(found)
        return
    console.say(f"{replayed.recording_id}: {short(card)}; {SAID[replayed.agreement]}")
    for each in fields:
        console.say(f"  {each}")


def tell_failure(recording_id: str, why: str, *, as_json: bool) -> None:
    """Say why there is no card."""
    if as_json:
        console.say_json({"id": recording_id, "agreement": "failed", "reason": why})
    else:
        console.warn(f"{recording_id}: {why}")


def short(card: dict[str, Any]) -> str:
    """Return a card in a line: totals, phases, turns, errors."""
    totals = card["totals"]
    scores = ", ".join(f"{name} {_number(totals[name])}" for name in ("overall", "reached"))
    phases = "/".join(_number(phase["score"]) for phase in card["phases"])
    errors = sum(card["errors"].values())
    return f"{scores}, phases {phases}, {card['session']['user_turns']} turns, {errors} errors"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


async def _through(url: str, recordings: Sequence[Recorded], speed: float) -> list[Replayed | tuple[str, str]]:
    """Replay through a deployment. SIGTERM and SIGHUP stop it as Ctrl-C does: what was begun is ended first."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(sig, task.cancel)
    try:
        return await _all(url, recordings, speed)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _all(url: str, recordings: Sequence[Recorded], speed: float) -> list[Replayed | tuple[str, str]]:
    broker = Broker.open(url, n_shards=load_settings(ServiceSettings).n_shards)
    running = asyncio.create_task(broker.run(), name="broker")
    turnstile = asyncio.Semaphore(MAX_AT_A_TIME)

    async def one(recording: Recorded) -> Replayed | tuple[str, str]:
        async with turnstile:
            try:
                card = await StreamReplay(broker, recording.events, speed).run()
            except (ReplayFailed, BadInput) as error:
                return recording.recording_id, str(error)
            return beside_recorded(recording, card)

    try:
        await broker.ping()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(recording)) for recording in recordings]
        return [task.result() for task in tasks]
    except BrokerError as error:
        raise CommandError(Exit.UNREACHABLE, str(error)) from error
    except ExceptionGroup as group_error:
        raise _first(group_error) from group_error
    finally:
        running.cancel()
        await asyncio.wait({running})
        await broker.aclose()


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """Return the error of a group that the user should hear of."""
    error = group.exceptions[0]
    if isinstance(error, BrokerError):
        return CommandError(Exit.UNREACHABLE, str(error))
    if isinstance(error, Overloaded):
        return CommandError(Exit.BUSY, str(error))
    return error
