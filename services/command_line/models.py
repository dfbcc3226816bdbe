"""`splitbrain models`: the models on this machine. Thin over the voice worker's models directory."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from services.command_line import console, personaplex_models
from services.command_line.exits import CommandError, Exit
from services.command_line.roles import ROLES, missing_extra
from shared.errors import ConfigError, ModelCorrupt, ModelMissing

if TYPE_CHECKING:
    from services.voice_worker.speech.models import ModelStatus

HEADS = ("MODEL", "STATE", "MB", "LANGUAGES", "LICENCE", "PATH")


def run(options: argparse.Namespace) -> Exit:
    """Run an action; 1 if a model that is not optional is missing, or any is corrupt."""
    if options.action in ("pull", "size"):
        return personaplex_models.run(options)
    try:
        from services.voice_worker.speech import models
    except ModuleNotFoundError as error:
        raise missing_extra(ROLES["voice"], error) from error
    folder = Path(options.models_dir) if options.models_dir else None
    try:
        if options.action == "list":
            statuses: Sequence[ModelStatus] = (
                *models.listing(folder),
                personaplex_models.status(folder, hashed=False),
            )
        elif options.action == "verify":
            statuses = _verify(folder, options.names)
        elif personaplex_models.NAME in (getattr(options, "name", ""), *getattr(options, "names", ())):
            raise ConfigError("personaplex comes from no package: `splitbrain models pull personaplex` fetches it")
        elif options.action == "install":
            statuses = models.install(
                folder, names=options.names, download=not options.offline, restore=options.restore
            )
        else:
            statuses = (models.replace(options.name, Path(options.path), folder),)
    except ConfigError as error:
        raise CommandError(Exit.USAGE, str(error)) from error
    except (ModelMissing, ModelCorrupt, OSError) as error:
        raise CommandError(Exit.FAILED, str(error)) from error
    _print(statuses, options.json)
    return Exit.FAILED if any(is_wrong(status) for status in statuses) else Exit.OK


def _verify(folder: Path | None, names: Sequence[str]) -> Sequence[ModelStatus]:
    """Hash the named models, all if none is named."""
    from services.voice_worker.speech import models

    speech = [name for name in names if name != personaplex_models.NAME]
    statuses = models.verify(folder, speech) if speech or not names else ()
    if not names or personaplex_models.NAME in names:
        return (*statuses, personaplex_models.status(folder, hashed=True))
    return statuses


def is_wrong(status: ModelStatus) -> bool:
    """True for a corrupt model, and for a missing one that is not optional."""
    return status.state == "corrupt" or (status.state == "missing" and not status.optional)


def as_json(status: ModelStatus) -> dict[str, object]:
    """Return a model's state in camelCase."""
    return {
        "name": status.name,
        "state": status.state,
        "replaced": status.replaced,
        "optional": status.optional,
        "path": str(status.path),
        "languages": list(status.languages),
        "licence": status.licence,
        "sizeBytes": status.size_bytes,
        "detail": status.detail,
    }


def _print(statuses: Sequence[ModelStatus], json: bool) -> None:
    if json:
        console.say_json({"models": [as_json(status) for status in statuses]})
        return
    console.say(console.table(HEADS, [_row(status) for status in statuses]))
    for status in statuses:
        if status.detail:
            console.warn(status.detail)


def _row(status: ModelStatus) -> tuple[str, ...]:
    state = f"{status.state} (your own)" if status.replaced else status.state
    if status.optional and status.state == "missing":
        state = "missing (optional)"
    size = f"{status.size_bytes / 1e6:.0f}"
    return (status.name, state, size, ",".join(status.languages), status.licence, str(status.path))
