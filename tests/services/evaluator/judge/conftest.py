"""What the judge's tests share: verdicts, questions, and a judge on a local endpoint."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from services.evaluator.judge.judge import Judge, open_judge
from services.evaluator.judge.questions import Question, SellerTurn
from services.evaluator.judge.settings import JudgeSettings
from services.evaluator.scoring import TurnVerdict
from shared.coaching.knowledge import Knowledge, load_knowledge
from shared.testing.chat_endpoint import ChatEndpoint, Step, chat_endpoint

IMPACT = "Een dag per maand dus. Wat betekent dat concreet voor u?"


@pytest.fixture(scope="session")
def knowledge() -> Knowledge:
    return load_knowledge()


@pytest.fixture
def verdict() -> Callable[..., TurnVerdict]:
    def make(turn: str = "u1", **changes: Any) -> TurnVerdict:
        values: dict[str, Any] = {
            "turn": turn,
            "start_ms": 0,
            "end_ms": 1_000,
            "techniques": ("2.3",),
            "quality": "ok",
            "phase": 2,
            "errors": (),
            "evidence": "wat betekent",
            "attitude": None,
            "expected": (),
            "is_handled": None,
            "is_scored": True,
            "is_final": True,
        }
        return TurnVerdict(**{**values, **changes})

    return make


@pytest.fixture
def seller_turn(verdict: Callable[..., TurnVerdict]) -> Callable[..., SellerTurn]:
    def make(turn: str = "u1", text: str = IMPACT, customer: str = "", **changes: Any) -> SellerTurn:
        return SellerTurn(verdict(turn, **changes), text, "nl", customer)

    return make


@pytest.fixture
def question() -> Callable[..., Question]:
    def make(criterion: str = "2.3", text: str = IMPACT, **changes: Any) -> Question:
        values: dict[str, Any] = {"kind": "technique", "turn": "u1", "before": "", "language": "nl", **changes}
        return Question(criterion=criterion, text=text, **values)

    return make


@pytest.fixture(scope="session")
def said() -> Callable[..., str]:
    """Return an answer as a model writes it."""

    def write(criterion: str = "2.3", evidence: str = "Wat betekent dat concreet", verdict: str = "ok") -> str:
        return json.dumps({"criterion": criterion, "evidence": evidence, "verdict": verdict})

    return write


@pytest.fixture(scope="session")
def asked_of() -> Callable[[dict[str, Any]], tuple[str, str]]:
    """Return what a request asks about: the criterion and the judged text."""

    def read(request: dict[str, Any]) -> tuple[str, str]:
        system, user = (message["content"] for message in request["messages"])
        criterion = system.split('{"criterion": "')[1].split('"')[0]
        return criterion, json.loads(user)["turn"]

    return read


@pytest.fixture
def on_endpoint() -> Callable[..., AbstractAsyncContextManager[tuple[Judge, ChatEndpoint]]]:
    """Return a judge on a local endpoint: `async with on_endpoint("answer", max_tries=1) as (judge, server)`."""

    @asynccontextmanager
    async def run(
        *script: Step, answer: Callable[[dict[str, Any]], Step] | None = None, **settings: Any
    ) -> AsyncIterator[tuple[Judge, ChatEndpoint]]:
        async with chat_endpoint(*script, answer=answer) as server:
            given = {"base_url": server.url, "model": "test", "retry_wait_s": 0.0, **settings}
            async with open_judge(JudgeSettings(**given)) as judge:
                yield judge, server

    return run
