"""Which processes `splitbrain up` starts and with which environment; when a dead one starts again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.command_line.roles import ROLES, Role
from shared.redis_server import RedisServer

DEFAULT_PORT = 8080
MAX_OF_A_ROLE = 64
RECORDINGS_VARIABLE = "SPLITBRAIN_EVALUATOR_RECORDINGS"
STABLE_S = 30.0
"""A process that lived so long begins again with the shortest wait."""

MAX_DELAY_S = 30.0
MAX_EARLY_DEATHS = 3
"""A process that dies so often before it was ever ready stops the whole start."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What `up` was asked for. `engine` echo needs no speech model; `language` empty means all."""

    engine: str = "cascade"
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    language: str = ""
    voice_workers: int = 1
    coach_workers: int = 1
    evaluators: int = 1
    verbose: bool = False

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104  a comparison
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One process: its label on the terminal, its service and what its environment has beyond ours."""

    label: str
    role: Role
    environment: dict[str, str]

    @property
    def health_variable(self) -> str:
        """Name of the setting of its health port."""
        return f"{self.role.prefix}HEALTH_PORT"


def plan(options: UpOptions, redis_url: str, ours: Mapping[str, str]) -> list[ProcessPlan]:
    """Return the processes in the order in which they are stopped. What the user has set himself stays."""
    counts = {
        "edge": 1,
        "voice": options.voice_workers,
        "coach": options.coach_workers,
        "evaluator": options.evaluators,
    }
    shared = {"SPLITBRAIN_REDIS_URL": redis_url, "PYTHONUNBUFFERED": "1"}
    if options.verbose:
        shared["SPLITBRAIN_LOG_LEVEL"] = "INFO"
    defaults = {"SPLITBRAIN_LOG_LEVEL": "WARNING", "SPLITBRAIN_LOG_FORMAT": "text"}
    shared |= {name: value for name, value in defaults.items() if name not in ours and name not in shared}
    plans = []
    for name, count in counts.items():
        role = ROLES[name]
        own = _own(role, options, ours)
        for number in range(1, count + 1):
            label = name if count == 1 else f"{name}-{number}"
            plans.append(ProcessPlan(label, role, {**shared, **own}))
    return plans


def recordings_folder(ours: Mapping[str, str]) -> str:
    """Return the folder of this user's recordings, where no other is set: beside what other programs keep for him."""
    home = ours.get("HOME", "")
    data = ours.get("XDG_DATA_HOME") or (f"{home}/.local/share" if home else ".")
    return f"{data}/splitbrain/recordings"


def _own(role: Role, options: UpOptions, ours: Mapping[str, str]) -> dict[str, str]:
    if role.name == "edge":
        own = {"SPLITBRAIN_EDGE_HOST": options.host, "SPLITBRAIN_EDGE_PORT": str(options.port)}
        own["SPLITBRAIN_EDGE_ENGINES"] = ",".join(_engines(options.engine))
        if options.language:
            own["SPLITBRAIN_EDGE_DEFAULT_LANGUAGE"] = options.language
        return own
    if role.name == "evaluator":
        return {} if RECORDINGS_VARIABLE in ours else {RECORDINGS_VARIABLE: recordings_folder(ours)}
    if role.name != "voice":
        return {}
    if options.engine == "echo":
        wanted = {"SPLITBRAIN_VOICE_ENGINES": "echo"}
        if "SPLITBRAIN_VOICE_LISTENER" not in ours:
            wanted["SPLITBRAIN_VOICE_LISTENER"] = "off"  # it needs speech models, and echo is for trials without any
        return wanted
    wanted = {"SPLITBRAIN_VOICE_ENGINES": ",".join(_engines(options.engine))}
    if options.language:
        wanted["SPLITBRAIN_VOICE_LANGUAGES"] = options.language
    return wanted


def _engines(chosen: str) -> tuple[str, ...]:
    """The engine that was asked for first; the cascade beside one that speaks English only."""
    return tuple(dict.fromkeys((chosen, *(("cascade",) if chosen == "personaplex" else ()), "echo")))


class RestartPolicy:
    """How long to wait before a process starts again: 0.5 s, doubled up to MAX_DELAY_S, from the start after a
    life of STABLE_S.
    """

    def __init__(self) -> None:
        self._delay_s = 0.5
        self._early_deaths = 0

    def after_death(self, lived_s: float, was_ready: bool) -> float | None:
        """Return the seconds to wait; None if it never comes up and nobody should try on."""
        self._early_deaths = 0 if was_ready else self._early_deaths + 1
        if self._early_deaths >= MAX_EARLY_DEATHS:
            return None
        if lived_s >= STABLE_S:
            self._delay_s = 0.5
        delay_s, self._delay_s = self._delay_s, min(self._delay_s * 2, MAX_DELAY_S)
        return delay_s


def redis_label(server: RedisServer | None) -> str:
    """Return how the broker is named to the user."""
    return f"embedded Redis on port {server.port}" if server else "the Redis of SPLITBRAIN_REDIS_URL"
