"""`splitbrain ps`: the processes of a deployment, from what each says of itself in Redis, and who serves which session,
from the leases.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pydantic.alias_generators import to_camel

from services.command_line import console
from services.command_line.exits import CommandError, Exit
from services.command_line.run_file import redis_url_of_running
from shared.broker import Broker
from shared.broker.connection import TRANSIENT
from shared.errors import BrokerError
from shared.ownership import SessionOwnership, list_ownership
from shared.presence import ProcessInfo, list_processes

HEADS = ("ROLE", "WORKER", "HOST", "PID", "STATE", "SESSIONS", "AGE", "DETAIL")
SESSION_HEADS = ("SESSION", "ENGINE", "VOICE", "COACH", "EVALUATOR")
_SHOWN_SESSIONS = 4
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Seen:
    processes: list[ProcessInfo]
    sessions: list[SessionOwnership]
    now_ms: int


def run(options: argparse.Namespace) -> Exit:
    """Run the subcommand: 0 if at least one process is there, 1 if none."""
    url = redis_url_of_running(options.redis_url)
    seen = asyncio.run(_look(url, sessions=options.sessions or options.json))
    if options.json:
        processes = [as_json(info) for info in seen.processes]
        console.say_json({"nowMs": seen.now_ms, "processes": processes, "sessions": sessions_as_json(seen.sessions)})
    elif not seen.processes:
        console.say("no process has reported within the last seconds")
    elif options.sessions:
        rows = [session_row(session) for session in by_session(seen.sessions)]
        console.say(console.table(SESSION_HEADS, rows) if rows else "no session is served")
    else:
        console.say(console.table(HEADS, [row(info, seen.now_ms) for info in seen.processes]))
    return Exit.OK if seen.processes else Exit.FAILED


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


def by_session(found: Sequence[SessionOwnership]) -> list[dict[str, SessionOwnership]]:
    """Return for each session its roles; of two requests in one role (the engine was changed) the later one's."""
    sessions: dict[str, dict[str, SessionOwnership]] = {}
    for one in found:
        roles = sessions.setdefault(one.session_id, {})
        if one.role not in roles or one.epoch > roles[one.role].epoch:
            roles[one.role] = one
    return list(sessions.values())


def sessions_as_json(found: Sequence[SessionOwnership]) -> list[dict[str, object]]:
    """Return each session with owner, epoch and idle time in each role, null where nobody was asked to serve it."""
    return [
        {
            "sessionId": next(iter(roles.values())).session_id,
            "voice": _role_as_json(roles.get("voice"), with_engine=True),
            "coach": _role_as_json(roles.get("coach")),
            "evaluator": _role_as_json(roles.get("evaluator")),
        }
        for roles in by_session(found)
    ]


def _role_as_json(one: SessionOwnership | None, *, with_engine: bool = False) -> dict[str, object] | None:
    if one is None:
        return None
    about: dict[str, object] = {"engine": one.engine} if with_engine else {}
    return {**about, "owner": one.owner or None, "epoch": one.epoch, "idleMs": one.idle_ms}


def session_row(roles: dict[str, SessionOwnership]) -> tuple[str, ...]:
    """Return a session as the table shows it: of each role the owner and, in brackets, the epoch."""
    voice = roles.get("voice")
    cells = [_cell(roles.get(role)) for role in ("voice", "coach", "evaluator")]
    return (next(iter(roles.values())).session_id, voice.engine if voice else "-", *cells)


def _cell(one: SessionOwnership | None) -> str:
    return f"{one.owner or 'waits'} ({one.epoch})" if one else "-"


async def _look(url: str, *, sessions: bool) -> _Seen:
    broker = Broker.open(url)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await broker.ping()
            owned = await list_ownership(broker) if sessions else []
            return _Seen(await list_processes(broker), owned, broker.clock.wall_ms())
    except (*TRANSIENT, BrokerError) as error:
        raise CommandError(Exit.UNREACHABLE, str(error) or type(error).__name__) from error
    finally:
        await broker.aclose()
