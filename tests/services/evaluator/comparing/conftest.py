from __future__ import annotations

import copy
from typing import Any

import pytest

from services.evaluator.evaluation import evaluate_events
from shared.events import Event


@pytest.fixture(scope="session")
def the_card(role_play: list[Event]) -> dict[str, Any]:
    return evaluate_events(role_play).data


@pytest.fixture
def card(the_card: dict[str, Any]) -> dict[str, Any]:
    """The role play's scorecard, a copy to change."""
    return copy.deepcopy(the_card)
