"""Jobs that fail: tried again later, set aside after the last try, and neither their words nor their user's kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from arq import Retry

from services.evaluator.bounded_job import JobSetAside, bounded
from services.evaluator.jobs import JobContext, final_scorecard
from shared.broker import Broker
from shared.coaching.detector import default_detector
from shared.dead_letters import DeadLetter, DeadLetters, ask_again
from shared.retention import Retention

SESSION = "01jd0000000000000000000009"

Work = Callable[[dict[str, Any], str], Awaitable[str]]


def context(broker: Broker, job_try: int, **more: Any) -> dict[str, Any]:
    job = JobContext(broker.client, default_detector(), broker.n_shards, Retention(60, 20), max_tries=3)
    return {"job": replace(job, **more), "job_try": job_try}


def failing(error: Exception) -> Work:
    async def work(ctx: dict[str, Any], session_id: str) -> str:
        raise error

    return work


async def listed(broker: Broker) -> list[DeadLetter]:
    return [letter for _, letter in await DeadLetters(broker.client).all()]


async def test_what_is_done_is_given_back(broker: Broker) -> None:
    async def work(ctx: dict[str, Any], session_id: str) -> str:
        return session_id

    assert await bounded("card", work)(context(broker, 3), SESSION) == SESSION
    assert await listed(broker) == []


@pytest.mark.parametrize("error", [ValueError("her words"), Retry(defer=1), ConnectionError("away")])
async def test_a_job_is_tried_again_and_then_set_aside(broker: Broker, error: Exception) -> None:
    job = bounded("card", failing(error))
    for job_try in (1, 2):
        with pytest.raises(Retry):
            await job(context(broker, job_try), SESSION)
    assert await listed(broker) == []
    with pytest.raises(JobSetAside) as caught:
        await job(context(broker, 3), SESSION)
    assert "words" not in str(caught.value)
    assert caught.value.__cause__ is None
    (letter,) = await listed(broker)
    assert (letter.role, letter.kind, letter.about, letter.attempts) == ("evaluator", "job", "card", 3)
    assert letter.session_id == SESSION
    assert type(error).__name__ in letter.reason


async def test_a_job_that_takes_too_long_is_stopped_and_tried_again(broker: Broker) -> None:
    async def endless(ctx: dict[str, Any], session_id: str) -> str:
        await asyncio.get_running_loop().create_future()
        return ""

    job = bounded("card", endless)
    with pytest.raises(Retry):
        await job(context(broker, 1, timeout_s=0.01), SESSION)
    with pytest.raises(JobSetAside):
        await job(context(broker, 3, timeout_s=0.01), SESSION)
    assert (await listed(broker))[0].reason.startswith("TimeoutError")


async def test_a_job_that_ended_its_process_each_time_is_not_run_again(broker: Broker) -> None:
    with pytest.raises(JobSetAside):
        await bounded("card", failing(AssertionError("it was run")))(context(broker, 4), SESSION)
    (letter,) = await listed(broker)
    assert (letter.attempts, letter.reason.split()[0]) == (3, "NeverEnded")


async def test_a_job_that_names_no_session_has_one_try(broker: Broker) -> None:
    with pytest.raises(JobSetAside):
        await bounded("final_scorecard", final_scorecard)(context(broker, 1), "../../etc")
    (letter,) = await listed(broker)
    assert (letter.session_id, letter.attempts) == ("", 1)
    assert await ask_again(broker, [("1-0", letter)]) == "gone"


async def test_without_redis_a_job_is_set_aside_by_the_next_try() -> None:
    broker = Broker.open("redis://127.0.0.1:1/0")
    with pytest.raises(Retry):
        await bounded("card", failing(ValueError("x")))(context(broker, 3), SESSION)
    await broker.aclose()
