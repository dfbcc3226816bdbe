"""`splitbrain drain`: has one process of any role, on any machine, do through Redis what SIGTERM makes it do."""

from __future__ import annotations

import argparse
import asyncio

from services.command_line import console
from services.command_line.exits import CommandError, Exit
from services.command_line.run_file import redis_url_of_running
from shared.broker import Broker
from shared.broker.connection import TRANSIENT
from shared.errors import BrokerError
from shared.presence import ProcessInfo, ask_to_drain, list_processes

_TIMEOUT_S = 5.0
_LOOK_EVERY_S = 0.2


def run(options: argparse.Namespace) -> Exit:
    """Run the subcommand: 0 if the process was asked and, with `--wait`, ended; 1 if it did not end in time."""
    url = redis_url_of_running(options.redis_url)
    return asyncio.run(_drain(url, options))


def find(processes: list[ProcessInfo], worker: str) -> ProcessInfo:
    """Return the process of that name, else raise CommandError with the names that there are. Pure."""
    for info in processes:
        if info.worker_id == worker:
            return info
    if not processes:
        raise CommandError(Exit.USAGE, f"there is no {worker}: no process has reported within the last seconds")
    known = ", ".join(f"{info.worker_id} ({info.role})" for info in processes)
    raise CommandError(Exit.USAGE, f"there is no {worker}; the processes are: {known}")


async def _drain(url: str, options: argparse.Namespace) -> Exit:
    broker = Broker.open(url)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await broker.ping()
            info = find(await list_processes(broker), options.worker)
            await ask_to_drain(broker, info)
    except (*TRANSIENT, BrokerError) as error:
        await broker.aclose()
        raise CommandError(Exit.UNREACHABLE, str(error) or type(error).__name__) from error
    except CommandError:
        await broker.aclose()
        raise
    try:
        return await _follow(broker, info, options) if options.wait else _tell(options, info, "asked", 0.0)
    finally:
        await broker.aclose()


async def _follow(broker: Broker, info: ProcessInfo, options: argparse.Namespace) -> Exit:
    """Wait until the process is gone from the list, showing how far it is. A Redis that is away is waited for."""
    status = console.StatusLine()
    clock = broker.clock
    began_s = clock.monotonic()
    now: ProcessInfo | None = info
    while now is not None and clock.monotonic() - began_s < options.timeout:
        if not options.json:
            status.show(f"{info.role} {info.worker_id}: {now.state}, {_sessions(now)}")
        await clock.sleep(_LOOK_EVERY_S)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                now = _same(await list_processes(broker), info)
        except TRANSIENT:
            continue
    status.clear()
    return _tell(options, info, now.state if now else "ended", clock.monotonic() - began_s)


def _same(processes: list[ProcessInfo], info: ProcessInfo) -> ProcessInfo | None:
    """Return the process if it is still the one that was asked: a supervisor may have started another of its name."""
    return next(
        (one for one in processes if (one.worker_id, one.started_ms) == (info.worker_id, info.started_ms)), None
    )


def _sessions(info: ProcessInfo) -> str:
    return "1 session" if len(info.sessions) == 1 else f"{len(info.sessions)} sessions"


def _tell(options: argparse.Namespace, info: ProcessInfo, state: str, waited_s: float) -> Exit:
    name = f"{info.role} {info.worker_id}"
    if options.json:
        console.say_json(
            {"workerId": info.worker_id, "role": info.role, "state": state, "waitedMs": round(waited_s * 1000)}
        )
    elif state == "asked":
        console.say(f"{name} was asked to drain; it serves {_sessions(info)}")
    elif state == "ended":
        console.say(f"{name} has ended after {waited_s:.1f} s")
    else:
        console.warn(f"{name} has not ended within {waited_s:.0f} s; it is {state}")
    return Exit.OK if state in ("asked", "ended") else Exit.FAILED
