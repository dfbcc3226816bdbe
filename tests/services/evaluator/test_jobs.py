from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from arq import Retry

from services.evaluator import telemetry
from services.evaluator.evaluation import evaluate_events
from services.evaluator.jobs import PAGE, JobContext, final_scorecard, read_events
from shared.broker import Broker
from shared.coaching.detector import default_detector
from shared.dead_letters import DeadLetter, DeadLetters
from shared.events import Consent, ConsentChanged, Event, Notice, ScorecardReady, SessionStarted
from shared.retention import Retention


def context(broker: Broker, job_try: int = 1, max_tries: int = 3) -> dict[str, Any]:
    job = JobContext(broker.client, default_detector(), broker.n_shards, Retention(60, 20), max_tries)
    return {"job": job, "job_try": job_try}


async def record(broker: Broker, events: Sequence[Event]) -> str:
    """Write events to their session's stream; return the session's id."""
    for event in events:
        broker.publish_event(broker.keys(event.session_id), event)
    assert await broker.writer.drain()
    return events[0].session_id


def with_card(events: Sequence[Event], **changes: Any) -> list[Event]:
    card = evaluate_events(events).data | changes
    last = events[-1]
    ready = replace(last, id="evaluator:scorecard", source="evaluator", body=ScorecardReady("1", card))
    return [*events, ready]


async def kept(broker: Broker, session_id: str) -> tuple[bytes | None, int]:
    key = broker.keys(session_id).scorecard
    return await broker.client.get(key), await broker.client.ttl(key)


@pytest.mark.parametrize(("allowed", "most_s", "least_s"), [(True, 60, 20), (False, 20, 0)])
async def test_the_card_is_kept_as_long_as_the_last_consent_allows(
    broker: Broker, role_play: list[Event], *, allowed: bool, most_s: int, least_s: int
) -> None:
    changed = replace(role_play[-2], id="edge:consent", body=ConsentChanged(Consent(store_transcript=allowed)))
    session_id = await record(broker, with_card([*role_play[:-1], changed, role_play[-1]]))
    assert await final_scorecard(context(broker), session_id) == "equal"
    assert least_s < (await kept(broker, session_id))[1] <= most_s


async def test_the_live_card_is_confirmed_and_kept(broker: Broker, role_play: list[Event]) -> None:
    session_id = await record(broker, with_card(role_play))
    before = telemetry.SCORECARD_MISMATCH._value.get()
    assert await final_scorecard(context(broker), session_id) == "equal"
    stored, ttl = await kept(broker, session_id)
    assert stored == evaluate_events(role_play).to_bytes()
    assert 0 < ttl <= 60
    assert telemetry.SCORECARD_MISMATCH._value.get() == before
    assert await final_scorecard(context(broker), session_id) == "equal"  # twice is as good as once


async def test_a_differing_card_is_counted_and_the_recomputed_one_kept(
    broker: Broker, role_play: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    session_id = await record(broker, with_card(role_play, errors={"made_up": 1}))
    before = telemetry.SCORECARD_MISMATCH._value.get()
    assert await final_scorecard(context(broker), session_id) == "mismatch"
    assert telemetry.SCORECARD_MISMATCH._value.get() == before + 1
    assert "differs" in caplog.text
    assert (await kept(broker, session_id))[0] == evaluate_events(role_play).to_bytes()


async def test_a_card_still_on_its_way_is_waited_for_and_then_done_without(
    broker: Broker, role_play: list[Event]
) -> None:
    session_id = await record(broker, role_play)
    with pytest.raises(Retry):
        await final_scorecard(context(broker, 1), session_id)
    assert (await kept(broker, session_id))[0] is None
    assert await final_scorecard(context(broker, 3), session_id) == "no_live"
    assert (await kept(broker, session_id))[0] == evaluate_events(role_play).to_bytes()


async def test_a_trimmed_stream_is_told_apart_from_a_mismatch(broker: Broker, role_play: list[Event]) -> None:
    events = [event for event in with_card(role_play) if not isinstance(event.body, SessionStarted)]
    assert await final_scorecard(context(broker), await record(broker, events)) == "incomplete"


async def test_what_the_evaluator_set_aside_is_left_out(broker: Broker, role_play: list[Event]) -> None:
    session_id = await record(broker, with_card(role_play))
    keys = broker.keys(session_id)
    ((entry_id, _),) = await broker.client.xrange(keys.events, count=1)
    letter = DeadLetter("evaluator", "event", session_id, keys.shard, entry_id.decode(), "x", 3, "ValueError", 1, 0)
    await DeadLetters(broker.client).put(letter, ValueError("x"))
    assert await final_scorecard(context(broker), session_id) == "incomplete"
    await DeadLetters(broker.client).unmark(letter)
    assert await final_scorecard(context(broker), session_id) == "equal"


async def test_an_expired_session_is_no_error(broker: Broker) -> None:
    assert await final_scorecard(context(broker), "01jd0000000000000000000009") == "no_events"


async def test_streams_longer_than_a_page_are_read_whole_and_bad_entries_passed_over(
    broker: Broker, role_play: list[Event]
) -> None:
    notices = [replace(role_play[0], id=f"n{n}", body=Notice("x", "info", "x")) for n in range(2 * PAGE)]
    await record(broker, notices)
    key = broker.keys(notices[0].session_id).events
    await broker.client.xadd(key, {"m": b"not msgpack"})
    assert [event.id for event in await read_events(broker.client, key)] == [event.id for event in notices]


async def test_a_lost_redis_is_tried_again(role_play: list[Event]) -> None:
    broker = Broker.open("redis://127.0.0.1:1/0")
    with pytest.raises(Retry):
        await final_scorecard(context(broker), role_play[0].session_id)
    await broker.aclose()
