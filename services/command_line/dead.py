"""`splitbrain dead`: what was set aside since it makes its consumer fail; looks at it and asks for it again."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from itertools import groupby
from typing import TypeVar

from pydantic.alias_generators import to_camel

from services.command_line import console
from services.command_line.exits import CommandError, Exit
from services.command_line.run_file import redis_url_of_running
from shared.broker import Broker
from shared.broker.connection import TRANSIENT
from shared.dead_letters import Answer, DeadLetter, DeadLetters, ask_again
from shared.errors import BrokerError, WireError
from shared.wire import decode_event, event_to_json

HEADS = ("ID", "ROLE", "WHAT", "SESSION", "TRIES", "AGE", "REASON")
_ID = re.compile(r"\d{1,20}-\d{1,20}")

T = TypeVar("T")

Listed = list[tuple[str, DeadLetter]]

TOLD: dict[Answer, str] = {
    "asked": "is asked for again",
    "gone": "nothing is left of its session",
    "over": "its session has ended: there is nothing more to do for it",
    "full": "too many sessions wait for this role: try again later",
}


def run(options: argparse.Namespace) -> Exit:
    """Run the subcommand: 0 if done, 1 if an id is not listed or something could not be asked for again."""
    url = redis_url_of_running(options.redis_url)
    if options.action == "list":
        return asyncio.run(_with_broker(url, lambda broker: _list(broker, options)))
    if options.id is not None and not _ID.fullmatch(options.id):
        raise CommandError(Exit.USAGE, f"{options.id!r} is no id: `splitbrain dead list` shows them")
    if options.action == "show":
        return asyncio.run(_with_broker(url, lambda broker: _show(broker, options)))
    return asyncio.run(_with_broker(url, lambda broker: _retry(broker, options)))


def as_json(letter_id: str, letter: DeadLetter) -> dict[str, object]:
    """Return a letter in camelCase, as all JSON that leaves the system is."""
    return {"id": letter_id, **{to_camel(name): value for name, value in asdict(letter).items()}, "key": letter.key}


def row(letter_id: str, letter: DeadLetter, now_ms: int) -> tuple[str, ...]:
    """Return a letter as the table shows it."""
    what = letter.about if letter.kind != "job" else f"job {letter.about}"
    age = console.duration((now_ms - letter.wall_ms) / 1000)
    return (letter_id, letter.role, what, letter.session_id or "-", str(letter.attempts), age, letter.reason)


async def _with_broker(url: str, work: Callable[[Broker], Awaitable[T]]) -> T:
    broker = Broker.open(url)
    try:
        await broker.ping()
        return await work(broker)
    except (*TRANSIENT, BrokerError) as error:
        raise CommandError(Exit.UNREACHABLE, str(error) or type(error).__name__) from error
    finally:
        await broker.aclose()


async def _list(broker: Broker, options: argparse.Namespace) -> Exit:
    found, now_ms = await DeadLetters(broker.client).all(), broker.clock.wall_ms()
    if options.json:
        console.say_json({"nowMs": now_ms, "deadLetters": [as_json(*one) for one in found]})
    elif found:
        console.say(console.table(HEADS, [row(*one, now_ms) for one in found]))
    else:
        console.say("nothing is set aside")
    return Exit.OK


async def _show(broker: Broker, options: argparse.Namespace) -> Exit:
    store = DeadLetters(broker.client)
    letter = await _named(store, options.id)
    data, words = await store.content(letter)
    value = {**as_json(options.id, letter), "error": words, **_content(data)}
    if options.json:
        console.say_json(value)
        return Exit.OK
    lines = [(name, _text(part)) for name, part in value.items()]
    width = max(len(name) for name, _ in lines)
    console.say("\n".join(f"{name.ljust(width)}  {text}" for name, text in lines))
    return Exit.OK


def _text(part: object) -> str:
    if part is None:
        return "gone with its session"
    return json.dumps(part, ensure_ascii=False) if isinstance(part, dict) else str(part)


def _content(data: bytes | None) -> dict[str, object]:
    """Return the entry as its event, and as base64 where it cannot be read."""
    if data is None:
        return {"content": None}
    try:
        return {"content": event_to_json(decode_event(data))}
    except WireError:
        return {"base64": base64.b64encode(data).decode()}


async def _retry(broker: Broker, options: argparse.Namespace) -> Exit:
    store = DeadLetters(broker.client)
    listed = await store.all() if options.all else [(options.id, await _named(store, options.id))]
    answers: dict[str, Answer] = {}
    for group in _by_session(listed):
        answers |= dict.fromkeys([letter_id for letter_id, _ in group], await ask_again(broker, group))
    if options.json:
        outcomes = [{"id": letter_id, "outcome": answer} for letter_id, answer in answers.items()]
        console.say_json({"retried": outcomes})
    else:
        for letter_id, answer in answers.items():
            (console.say if answer == "asked" else console.warn)(f"{letter_id}: {TOLD[answer]}")
        if not answers:
            console.say("nothing is set aside")
    return Exit.OK if all(answer == "asked" for answer in answers.values()) else Exit.FAILED


def _by_session(listed: Listed) -> list[Listed]:
    """Return the letters in groups of one session and role each: these are asked for together. Pure."""

    def key(one: tuple[str, DeadLetter]) -> tuple[str, str]:
        return one[1].session_id, one[1].role

    return [list(group) for _, group in groupby(sorted(listed, key=key), key=key)]


async def _named(store: DeadLetters, letter_id: str) -> DeadLetter:
    letter = await store.find(letter_id)
    if letter is None:
        raise CommandError(Exit.FAILED, f"nothing is set aside under {letter_id} (any more)")
    return letter
