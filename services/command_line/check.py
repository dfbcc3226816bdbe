"""`splitbrain check`: could this deployment run? Settings, Redis, speech models, ports; changes nothing."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from services.command_line import console, parity
from services.command_line.exits import CommandError, Exit
from services.command_line.models import is_wrong
from services.command_line.roles import ROLES, Role
from services.command_line.run_file import running
from services.command_line.up import REDIS_URL_VARIABLE, check_port
from services.command_line.up_plan import DEFAULT_PORT
from shared.broker import Broker
from shared.broker.connection import TRANSIENT
from shared.broker.sentinel import is_sentinel
from shared.errors import BrokerError, ConfigError, ModelCorrupt
from shared.redis_server import find_redis_binary
from shared.settings import ServiceSettings, load_settings

State = Literal["ok", "warning", "failed", "skipped"]

OLDEST_REDIS = (6, 2)
"""XAUTOCLAIM, by which a session is taken over, came with 6.2."""

GOOD_REDIS = (7, 0)
"""Since 7.0 XAUTOCLAIM leaves out entries that were deleted meanwhile."""

_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    area: str
    subject: str
    state: State
    detail: str


def run(options: argparse.Namespace) -> Exit:
    """Run the subcommand: 0 unless something failed; warnings do not count."""
    if parity.NAME in options.services or getattr(options, "parity", None):
        return parity.run(options)
    found: list[Finding] = []
    settings = {role.name: _check_settings(role, found) for role in _chosen(options.services)}
    found += _check_redis(os.environ.get(REDIS_URL_VARIABLE, ""))
    if "voice" in settings and not options.no_models:
        found += _check_models()
    found += _check_ports(settings, for_up=not options.services)
    failed = any(finding.state == "failed" for finding in found)
    if options.json:
        console.say_json({"ok": not failed, "findings": [asdict(finding) for finding in found]})
    else:
        rows = [(f.area, f.subject, f.state, f.detail) for f in found]
        console.say(console.table(("AREA", "WHAT", "STATE", "DETAIL"), rows))
    return Exit.FAILED if failed else Exit.OK


def judge_redis(info: Mapping[str, Any]) -> list[Finding]:
    """Return what the answer to INFO says. Pure."""
    version = str(info.get("redis_version", "0"))
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {version}"
    number = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    found = []
    if number < OLDEST_REDIS:
        found.append(Finding("redis", "version", "failed", f"{name}; at least 6.2 is needed, 7.0 or later is better"))
    elif number < GOOD_REDIS:
        found.append(Finding("redis", "version", "warning", f"{name} works; 7.0 or later is better"))
    else:
        found.append(Finding("redis", "version", "ok", name))
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        found.append(Finding("redis", "maxmemory-policy", "ok", policy))
    else:
        why = f"{policy}: under memory pressure live sessions would vanish; set maxmemory-policy noeviction"
        found.append(Finding("redis", "maxmemory-policy", "warning", why))
    if int(info.get("aof_enabled", 0)):
        found.append(Finding("redis", "persistence", "ok", "append-only file"))
    else:
        why = "no append-only file: a Redis that restarts forgets the live sessions (appendonly yes)"
        found.append(Finding("redis", "persistence", "warning", why))
    return found


def judge_replicas(info: Mapping[str, Any]) -> Finding:
    """Return whether somebody could take over from the master that the sentinels name. Pure."""
    count = int(info.get("connected_slaves", 0))
    if not count:
        return Finding(
            "redis", "replicas", "warning", "no replica is connected: nobody takes over when the master dies"
        )
    return Finding("redis", "replicas", "ok", f"{count} connected")


def _chosen(names: list[str]) -> list[Role]:
    return [ROLES[name] for name in names] if names else list(ROLES.values())


def _check_settings(role: Role, found: list[Finding]) -> ServiceSettings | None:
    try:
        settings = load_settings(role.settings_type())
    except CommandError as error:
        found.append(Finding("settings", role.name, "skipped", str(error)))
        return None
    except ConfigError as error:
        found.append(Finding("settings", role.name, "failed", " ".join(str(error).split())))
        return None
    found.append(Finding("settings", role.name, "ok", f"{role.prefix}*"))
    return settings


def _check_redis(url: str) -> list[Finding]:
    if not url:
        try:
            return [Finding("redis", "server", "ok", f"embedded: {find_redis_binary().name}")]
        except BrokerError as error:
            return [Finding("redis", "server", "failed", str(error))]
    try:
        info = asyncio.run(_redis_info(url))
        found = [Finding("redis", "server", "ok", "answers"), *judge_redis(info)]
        return [*found, judge_replicas(info)] if is_sentinel(url) else found
    except (*TRANSIENT, BrokerError, ConfigError) as error:
        return [Finding("redis", "server", "failed", str(error) or type(error).__name__)]


async def _redis_info(url: str) -> Mapping[str, Any]:
    broker = Broker.open(url)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await broker.ping()
            answer: Mapping[str, Any] = await broker.client.info()
            return answer
    finally:
        await broker.aclose()


def _check_models() -> list[Finding]:
    try:
        from services.voice_worker.speech import models
    except ModuleNotFoundError as error:
        return [Finding("models", "all", "skipped", f"the Python module {error.name} is not installed")]
    try:
        statuses = models.verify()
    except ModelCorrupt as error:
        return [Finding("models", "all", "failed", str(error))]
    found = []
    for status in statuses:
        state: State = "ok" if status.state == "ok" else "failed" if is_wrong(status) else "warning"
        detail = status.detail or ("your own files, SHA-256 as recorded" if status.replaced else "SHA-256 is right")
        found.append(Finding("models", status.name, state, detail))
    return found


def _check_ports(settings: Mapping[str, ServiceSettings | None], *, for_up: bool) -> list[Finding]:
    """Look at what would be listened on. `up` takes a port of its own for the edge and free ones for health."""
    wanted: dict[str, tuple[str, int]] = {}
    edge = settings.get("edge")
    for_up = for_up and not (edge and "port" in edge.model_fields_set)
    if for_up:
        wanted["up"] = ("127.0.0.1", DEFAULT_PORT)
    for name, value in settings.items():
        if value is None:
            continue
        wanted[f"{name} health"] = (value.health_host, value.health_port)
        if name == "edge" and not for_up:
            wanted["edge"] = (str(getattr(value, "host", "127.0.0.1")), int(getattr(value, "port", 0)))
    found = [_check_one_port(what, host, port) for what, (host, port) in wanted.items() if port]
    seen: dict[int, str] = {}
    for what, (_, port) in wanted.items():
        if port and seen.setdefault(port, what) != what:
            found.append(Finding("ports", what, "failed", f"port {port} is also that of {seen[port]}"))
    return found


def _check_one_port(what: str, host: str, port: int) -> Finding:
    try:
        check_port(host, port)
    except CommandError as error:
        by = [info for info in running() if info.url.endswith(f":{port}")]
        if by:
            return Finding("ports", what, "warning", f"{host}:{port} is used by `splitbrain up` (pid {by[0].pid})")
        advice = "`splitbrain up --port N` takes another" if what == "up" else "choose another"
        return Finding("ports", what, "failed", f"{str(error).partition(';')[0]}; {advice}")
    return Finding("ports", what, "ok", f"{host}:{port} is free")
