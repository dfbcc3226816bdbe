"""What evaluator tests share: a writer of event streams, and the role play."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from services.evaluator.metrics import load_metrics
from services.evaluator.timeline import Timeline, TimelineBuilder
from shared.events import Event, MetricValue
from shared.wire import event_from_json

EVENTS = Path(__file__).parents[2] / "fixtures" / "events"


def load_maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_role_play", EVENTS / "make_role_play.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def maker() -> ModuleType:
    return load_maker()


@pytest.fixture
def scene(maker: ModuleType) -> Any:
    """A fresh `Scene` in Belgian Dutch, already started."""
    scene = maker.Scene()
    scene.start()
    return scene


@pytest.fixture
def english(maker: ModuleType) -> Any:
    """A fresh `Scene` in English, already started."""
    scene = maker.Scene("en", "en-GB")
    scene.start()
    return scene


@pytest.fixture(scope="session")
def role_play() -> list[Event]:
    lines = (EVENTS / "role_play.jsonl").read_text(encoding="utf-8").splitlines()
    return [event_from_json(json.loads(line)) for line in lines]


@pytest.fixture(scope="session")
def timeline_of() -> Callable[[list[Event]], Timeline]:
    def build(events: list[Event]) -> Timeline:
        builder = TimelineBuilder()
        for event in events:
            builder.add(event)
        return builder.snapshot()

    return build


@pytest.fixture(scope="session")
def measure(timeline_of: Callable[[list[Event]], Timeline]) -> Callable[[Any, str], MetricValue]:
    """Return a function (scene or events, metric's name) -> MetricValue."""

    def compute(source: Any, name: str) -> MetricValue:
        metric = next(metric for metric in load_metrics() if metric.name == name)
        return metric.compute(timeline_of(getattr(source, "events", source)))

    return compute
