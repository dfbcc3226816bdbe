"""`splitbrain ps`: the processes of a deployment, from what each says of itself in Redis."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import asdict

from pydantic.alias_generators import to_camel

from services.command_line import console
from services.command_line.exits import CommandError, Exit
from services.command_line.run_file import redis_url_of_running
from shared.broker import Broker
from shared.broker.connection import TRANSIENT
from shared.errors import BrokerError
from shared.presence import ProcessInfo, list_processes

HEADS = ("ROLE", "WORKER", "HOST", "PID", "STATE", "SESSIONS", "AGE", "DETAIL")
_SHOWN_SESSIONS = 4
_TIMEOUT_S = 5.0


def run(options: argparse.Namespace) -> Exit:
    """Run the subcommand: 0 if at least one process is there, 1 if none."""
    url = redis_url_of_running(options.redis_url)
    processes, now_ms = asyncio.run(_look(url))
    if options.json:
        console.say_json({"nowMs": now_ms, "processes": [as_json(info) for info in processes]})
    elif processes:
        console.say(console.table(HEADS, [row(info, now_ms) for info in processes]))
    else:
        console.say("no process has reported within the last seconds")
    return Exit.OK if processes else Exit.FAILED


def as_json(info: ProcessInfo) -> dict[str, object]:
    """Return a process in camelCase, as all JSON that leaves the system is."""
    return {to_camel(name): value for name, value in asdict(info).items()}


def row(info: ProcessInfo, now_ms: int) -> tuple[str, ...]:
    """Return a process as the table shows it: of its sessions the count, and the ends of the first ids."""
    shown = " ".join(session[-6:] for session in info.sessions[:_SHOWN_SESSIONS])
    more = " ..." if len(info.sessions) > _SHOWN_SESSIONS else ""
    sessions = f"{len(info.sessions)} ({shown}{more})" if info.sessions else "0"
    age = console.duration((now_ms - info.started_ms) / 1000)
    return (info.role, info.worker_id, info.host, str(info.pid), info.state, sessions, age, info.detail or info.url)


async def _look(url: str) -> tuple[list[ProcessInfo], int]:
    broker = Broker.open(url)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await broker.ping()
            return await list_processes(broker), broker.clock.wall_ms()
    except (*TRANSIENT, BrokerError) as error:
        raise CommandError(Exit.UNREACHABLE, str(error)) from error
    finally:
        await broker.aclose()
