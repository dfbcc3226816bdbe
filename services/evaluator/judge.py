"""The detector that judges, and the one the evaluator takes by default. Nothing is read at import."""

from __future__ import annotations

from typing import Protocol

from shared.coaching.detection import Detector
from shared.coaching.detector import default_detector
from shared.events import Language

__all__ = ["Judge", "default_detector"]


class Judge(Detector, Protocol):
    """A detector that can also tell a clear yes: the ticket from discovery to recommendation."""

    def is_clear_yes(self, text: str, language: Language) -> bool:
        """Tell whether a customer agrees without a hedge, a condition or a question."""
        ...
