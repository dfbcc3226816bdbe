"""Which voice engines a client may ask for, and which one suits it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from shared.errors import BadInput
from shared.events import Language


@dataclass(frozen=True, slots=True)
class Engine:
    """What an engine can do. `duplex` full: it listens while it speaks. `stands_in`: it may take another's place."""

    id: str
    languages: tuple[Language, ...]
    duplex: str
    stands_in: bool = True


CATALOGUE: Mapping[str, Engine] = {
    engine.id: engine
    for engine in (
        Engine("personaplex", ("en",), "full"),
        Engine("personaplex_remote", ("en",), "full"),
        Engine("openai_realtime", ("nl", "en"), "full"),
        Engine("cascade", ("nl", "en"), "full"),
        Engine("echo", ("nl", "en"), "full", stands_in=False),  # nobody wants to hear himself instead of Hugo
    )
}


@dataclass(frozen=True, slots=True)
class Capacity:
    """Slots of an engine's live workers, and how many sessions are admitted."""

    slots: int
    admitted: int

    @property
    def free(self) -> int:
        """Sessions that could begin now."""
        return max(0, self.slots - self.admitted)


def candidates(asked: str, language: Language | None, offered: Sequence[str]) -> list[Engine]:
    """Return the engines to try, best first: the one asked for, else all that are offered and know the language.

    Raises BadInput for an engine that is unknown, not offered here, or does not speak the language.
    """
    if not asked:
        return [CATALOGUE[name] for name in offered if language is None or language in CATALOGUE[name].languages]
    if asked not in offered:
        raise BadInput("unknown_engine", f"engine must be one of: {', '.join(offered)}")
    engine = CATALOGUE[asked]
    if language is not None and language not in engine.languages:
        raise BadInput(
            "engine_language", f"the engine {asked} speaks {', '.join(engine.languages)}; ask for another language"
        )
    return [engine]


def stand_ins(own: Collection[str], language: Language, offered: Sequence[str]) -> list[Engine]:
    """Return the engines that a running session may go on with, best first: its `own` ones, and those that stand in."""
    return [engine for engine in candidates("", language, offered) if engine.stands_in or engine.id in own]


def preferred(asked: str, language: Language, offered: Sequence[str]) -> str:
    """Return the engine that a session belongs to: the one asked for, else the best that may stand in; "" for none."""
    return asked or next((engine.id for engine in stand_ins((), language, offered)), "")


def language_for(engine: Engine, wanted: Language | None, default: Language) -> Language:
    """Return the session's language: the one wanted, else the deployment's if the engine speaks it, else its first."""
    if wanted is not None:
        return wanted
    return default if default in engine.languages else engine.languages[0]


def check_offered(names: Collection[str]) -> None:
    """Raise BadInput if a name is not in the catalogue, or there is none."""
    unknown = sorted(set(names) - set(CATALOGUE))
    if unknown or not names:
        known = ", ".join(CATALOGUE)
        raise BadInput("unknown_engine", f"{', '.join(unknown) or 'no engine'}: engines are {known}")


def describe(engine: Engine, capacity: Capacity | None) -> dict[str, object]:
    """Return an engine as `GET /api/engines` shows it. No capacity: Redis is away, so nothing is available."""
    return {
        "id": engine.id,
        "languages": cast("list[str]", list(engine.languages)),
        "duplex": engine.duplex,
        "available": capacity is not None and capacity.free > 0,
        "slots": capacity.slots if capacity else 0,
        "free": capacity.free if capacity else 0,
    }
