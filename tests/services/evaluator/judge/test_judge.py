"""Asking: in order, within bounds, once for each different question, and an outcome for every failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.evaluator.judge.answers import Answer, Failed, Refused
from services.evaluator.judge.endpoint import Reply
from services.evaluator.judge.judge import GIVE_UP_AFTER, Judge, open_judge
from services.evaluator.judge.prompts import Prompt
from services.evaluator.judge.questions import Question
from services.evaluator.judge.settings import JudgeSettings
from shared.errors import ConfigError
from shared.testing.chat_endpoint import Reply as Sent

Make = Callable[..., Question]
Say = Callable[..., str]


def test_without_an_endpoint_there_is_no_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="JUDGE_BASE_URL"):
        open_judge(JudgeSettings())


async def test_outcomes_come_in_the_order_of_the_questions(
    on_endpoint: Any, asked_of: Any, question: Make, said: Say
) -> None:
    def answer(request: dict[str, Any]) -> str:
        criterion, text = asked_of(request)
        return said(criterion, text, {"2.2": "partial", "2.3": "ok", "2.4": "absent"}[criterion])

    asked = [question(criterion) for criterion in ("2.4", "2.3", "2.2", "2.3")]
    async with on_endpoint(answer=answer) as (judge, server):
        result = await judge.ask(asked)
    assert [outcome.verdict for outcome in result.outcomes] == ["absent", "ok", "partial", "ok"]
    assert len(server.requests) == 3  # the same question is asked once
    assert result.served_as == ("test",)
    assert (judge.spent.requests, judge.spent.tokens_in, judge.spent.tokens_out) == (3, 300, 30)


@pytest.mark.parametrize("first", [429, 500, "not JSON", lambda sent: sent.raw("{")])
async def test_it_asks_again_where_that_can_help(on_endpoint: Any, question: Make, said: Say, first: Any) -> None:
    async with on_endpoint(first, said()) as (judge, server):
        (outcome,) = (await judge.ask([question()])).outcomes
    assert isinstance(outcome, Answer)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("step", "outcome", "n_requests"),
    [
        (500, Failed("refused"), 3),
        (401, Failed("refused"), 1),
        (lambda sent: sent.raw("{"), Failed("malformed"), 3),
        ("not JSON", Refused("malformed"), 3),
        ('{"criterion": "2.3", "evidence": "never said this", "verdict": "ok"}', Refused("evidence_not_in_turn"), 1),
        ('{"criterion": "9.9", "evidence": "", "verdict": "ok"}', Refused("wrong_criterion"), 1),
    ],
)
async def test_what_stays_wrong_is_an_outcome(
    on_endpoint: Any, question: Make, step: Any, outcome: Any, n_requests: int
) -> None:
    async with on_endpoint(step, max_tries=3) as (judge, server):
        assert (await judge.ask([question()])).outcomes == (outcome,)
    assert len(server.requests) == n_requests


async def test_it_gives_up_on_an_endpoint_that_does_not_answer(on_endpoint: Any, question: Make) -> None:
    asked = [question(text=f"Vraag nummer {n}?") for n in range(40)]
    async with on_endpoint(500, max_parallel=1, max_tries=1) as (judge, server):
        outcomes = (await judge.ask(asked)).outcomes
        assert len(server.requests) == GIVE_UP_AFTER
        assert outcomes == (Failed("refused"),) * GIVE_UP_AFTER + (Failed("gave_up"),) * (40 - GIVE_UP_AFTER)
        await judge.ask(asked[:1])  # the next session tries again
        assert len(server.requests) == GIVE_UP_AFTER + 1


async def test_one_answer_between_failures_is_reason_to_go_on(on_endpoint: Any, question: Make, said: Say) -> None:
    asked = [question(text=f"Wat betekent dat concreet, {n}?") for n in range(9)]
    steps = [500] * 4 + [said()] + [500] * 4
    async with on_endpoint(*steps, max_parallel=1, max_tries=1) as (judge, server):
        outcomes = (await judge.ask(asked)).outcomes
    assert Failed("gave_up") not in outcomes
    assert len(server.requests) == 9


class Stalling:
    """An endpoint that answers what is quick and nothing else."""

    async def ask(self, prompt: Prompt) -> Reply:
        if "snel" not in prompt.user:
            await asyncio.Event().wait()
        return Reply('{"criterion": "2.3", "evidence": "snel antwoord", "verdict": "ok"}')

    async def aclose(self) -> None:
        pass


async def test_the_time_of_a_session_is_bounded_and_what_came_in_time_counts(question: Make) -> None:
    judge = Judge(Stalling(), JudgeSettings(session_s=0.05))
    asked = [question(text="traag antwoord"), question(text="snel antwoord")]
    assert (await judge.ask(asked)).outcomes == (Failed("time_over"), Answer("ok", 0, 13))


class Counting:
    """An endpoint that counts who waits, lets all go at once, and breaks where it is told to."""

    def __init__(self, until: int) -> None:
        self.now = self.most = 0
        self.full = asyncio.Event()
        self.until = until

    async def ask(self, prompt: Prompt) -> Reply:
        self.now += 1
        self.most = max(self.most, self.now)
        if self.now == self.until:
            self.full.set()
        await self.full.wait()
        await asyncio.sleep(0)
        self.now -= 1
        if "breuk" in prompt.user:
            raise RuntimeError("a bug")
        return Reply("{}")

    async def aclose(self) -> None:
        pass


async def test_so_many_at_a_time_and_a_bug_costs_one_question(question: Make, caplog: pytest.LogCaptureFixture) -> None:
    endpoint = Counting(until=3)
    judge = Judge(endpoint, JudgeSettings(max_parallel=3, max_tries=1))
    asked = [question(text=f"vraag {n}") for n in range(9)] + [question(text="breuk hier")]
    outcomes = (await judge.ask(asked)).outcomes
    assert endpoint.most == 3
    assert outcomes == (Refused("malformed"),) * 9 + (Failed("internal"),)
    assert "breuk" not in caplog.text


async def test_being_cancelled_is_no_failure(on_endpoint: Any, question: Make) -> None:
    asked = asyncio.Event()

    async def stall(sent: Sent) -> None:
        asked.set()
        await sent.stall()

    async with on_endpoint(stall) as (judge, _):
        task = asyncio.create_task(judge.ask([question()]))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*.json"))


async def test_what_was_said_is_not_asked_for_again(
    on_endpoint: Any, asked_of: Any, question: Make, said: Say, tmp_path: Path
) -> None:
    def answer(request: dict[str, Any]) -> Any:
        text = asked_of(request)[1]
        return {"goed zo": said(evidence=text), "niet gezegd": said(evidence="dat zei niemand")}.get(text, 500)

    asked = [question(text=text) for text in ("goed zo", "niet gezegd", "kapot hier")]
    first = None
    for n_requests in (4, 2):  # only what failed is asked again, twice
        async with on_endpoint(answer=answer, cache_dir=str(tmp_path)) as (judge, server):
            result = await judge.ask(asked)
        assert len(server.requests) == n_requests
        assert first in (None, result)
        first = result
    assert judge.spent.from_cache == 2
    kept = all_bytes(tmp_path)
    assert b"goed" not in kept
    assert b"niemand" not in kept


async def test_a_cache_that_cannot_be_written_costs_nothing_else(
    on_endpoint: Any, question: Make, said: Say, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    async with on_endpoint(said(), cache_dir=str(tmp_path / "file")) as (judge, _):
        assert isinstance((await judge.ask([question()])).outcomes[0], Answer)
