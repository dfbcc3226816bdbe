"""The four services as the command line knows them: module, settings, prefix, extra. Imports none of them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from services.command_line.exits import CommandError, Exit
from shared.settings import ServiceSettings


@dataclass(frozen=True, slots=True)
class Role:
    """A service. `extra` is the package extra that brings what it imports."""

    name: str
    module: str
    settings_class: str
    extra: str

    @property
    def prefix(self) -> str:
        """Prefix of its environment variables."""
        return f"SPLITBRAIN_{self.name.upper()}_"

    def settings_type(self) -> type[ServiceSettings]:
        """Import and return its settings class. Raises CommandError if its extra is not installed."""
        try:
            module = importlib.import_module(f"{self.module}.settings")
        except ModuleNotFoundError as error:
            raise missing_extra(self, error) from error
        kind: type[ServiceSettings] = getattr(module, self.settings_class)
        return kind


ROLES: dict[str, Role] = {
    role.name: role
    for role in (
        Role("edge", "services.edge", "EdgeSettings", "edge"),
        Role("voice", "services.voice_worker", "VoiceSettings", "voice,speech"),
        Role("coach", "services.coach_worker", "CoachSettings", "coach"),
        Role("evaluator", "services.evaluator", "EvaluatorSettings", "evaluator"),
    )
}
"""In the order in which they are stopped: nobody new comes in first."""


def missing_extra(role: Role, error: ModuleNotFoundError) -> CommandError:
    """Return the error that says what to install."""
    if (error.name or "").partition(".")[0] in ("services", "shared"):
        return CommandError(Exit.FAILED, f"this installation lacks {error.name}: install splitbrain again")
    return CommandError(
        Exit.USAGE,
        f"the {role.name} service needs the Python module {error.name}: pip install 'splitbrain[{role.extra}]'",
    )
