"""How a session begins: the choice of an engine, and what the first event says."""

from __future__ import annotations

from typing import Any

import pytest

from services.edge.auth import Identity
from services.edge.opening import Opener
from services.edge.params import SessionParams
from services.edge.records import SessionRecords
from services.edge.session import Doors
from services.edge.settings import EdgeSettings
from shared.broker import Broker
from shared.errors import BadInput, Overloaded
from shared.events import Consent, SessionStarted, VoiceMode
from shared.leases import MAX_REQUESTS
from shared.retention import Retention
from shared.streams import new_session_id, workers_key

ANNA = Identity("anna")
SECRET = "s" * 43


def _opener(broker: Broker, **settings: Any) -> Opener:
    chosen = EdgeSettings(engines="cascade,personaplex,echo", **settings)
    return Opener(Doors(chosen, broker, SessionRecords(broker, Retention(100, 30), 3600)))


async def _serve(broker: Broker, engine: str, slots: int = 5) -> None:
    seconds, _ = await broker.client.time()
    await broker.client.hset(workers_key(f"sb:voice.{engine}"), "w", f"{slots}:{seconds * 1000}")


def _sid(broker: Broker) -> str:
    return new_session_id(broker.clock.wall_ms())


@pytest.mark.parametrize(
    ("served", "params", "engine", "language"),
    [
        (["cascade", "echo"], SessionParams(), "cascade", "nl"),
        (["echo"], SessionParams(), "echo", "nl"),
        (["personaplex", "echo"], SessionParams(), "personaplex", "en"),
        (["personaplex", "echo"], SessionParams(language="nl"), "echo", "nl"),
        (["cascade", "echo"], SessionParams(engine="echo", language="en"), "echo", "en"),
    ],
)
async def test_the_engine_and_its_language(
    broker: Broker, served: list[str], params: SessionParams, engine: str, language: str
) -> None:
    for name in served:
        await _serve(broker, name)
    opened = await _opener(broker).open(params, ANNA, _sid(broker), SECRET)
    assert (opened.record.started.engine, opened.record.started.language) == (engine, language)
    assert await broker.client.xlen(f"sb:voice.{engine}") == 1


async def test_a_full_engine_gives_way_to_the_next(broker: Broker) -> None:
    await _serve(broker, "cascade", 0)
    await _serve(broker, "echo")
    assert (await _opener(broker).open(SessionParams(), ANNA, _sid(broker), SECRET)).record.started.engine == "echo"


async def test_nobody_and_full_are_told_apart(broker: Broker) -> None:
    with pytest.raises(Overloaded, match="no voice worker serves cascade or personaplex or echo"):
        await _opener(broker).open(SessionParams(), ANNA, _sid(broker), SECRET)
    await _serve(broker, "echo", 0)
    with pytest.raises(Overloaded, match=r"all places are taken \(echo\)") as caught:
        await _opener(broker, retry_after_s=9).open(SessionParams(), ANNA, _sid(broker), SECRET)
    assert caught.value.retry_after_s == 9


async def test_an_unknown_engine_is_the_client_s_mistake(broker: Broker) -> None:
    with pytest.raises(BadInput):
        _opener(broker).engines_for(SessionParams(engine="mouth"))


async def test_the_deployment_s_defaults_fill_the_gaps(broker: Broker) -> None:
    await _serve(broker, "echo")
    opener = _opener(broker, default_voice="hugo.pt", default_persona="You are Hugo.", profile="research")
    opened = await opener.open(SessionParams(engine="echo"), ANNA, _sid(broker), SECRET)
    assert opened.record.started == SessionStarted(
        engine="echo", language="nl", voice="hugo.pt", persona="You are Hugo.", profile="research"
    )


@pytest.mark.parametrize(("mode", "seed"), [("scripted", 7), ("free", 0), (None, None)])
async def test_the_first_event_says_who_decides_the_words_and_with_what_luck(
    broker: Broker, mode: VoiceMode | None, seed: int | None
) -> None:
    await _serve(broker, "echo")
    params = SessionParams(engine="echo", mode=mode, seed=seed)
    opened = await _opener(broker).open(params, ANNA, _sid(broker), SECRET)
    (first,), _ = await broker.history(opened.record.session_id)
    assert first.body == opened.record.started
    assert (opened.record.started.mode, opened.record.started.seed) == (mode, seed)


@pytest.mark.parametrize(("profile", "emotion"), [("workplace", False), ("education", False), ("research", True)])
async def test_the_profile_decides_on_emotion(broker: Broker, profile: str, emotion: bool) -> None:
    await _serve(broker, "echo")
    params = SessionParams(engine="echo", consent=Consent(store_audio=True, emotion=True))
    opened = await _opener(broker, profile=profile).open(params, ANNA, _sid(broker), SECRET)
    assert opened.record.started.consent == Consent(store_audio=True, emotion=emotion)
    assert [notice.code for notice in opened.notices] == ([] if emotion else ["emotion_locked"])


async def test_a_full_coach_queue_costs_the_hints_only(real_broker: Broker) -> None:
    await _serve(real_broker, "echo")
    pipe = real_broker.client.pipeline(transaction=False)
    for _ in range(MAX_REQUESTS):
        pipe.xadd("sb:coach", {"sid": "x"})
    await pipe.execute()
    opened = await _opener(real_broker).open(SessionParams(engine="echo"), ANNA, _sid(real_broker), SECRET)
    assert [notice.code for notice in opened.notices] == ["no_coach"]


async def test_the_resume_token_is_stored_as_its_hash_only(broker: Broker) -> None:
    await _serve(broker, "echo")
    opened = await _opener(broker).open(SessionParams(engine="echo"), ANNA, _sid(broker), SECRET)
    assert opened.resume_token == f"{opened.record.session_id}.{SECRET}"
    state = await broker.client.hgetall(broker.keys(opened.record.session_id).state)
    assert SECRET.encode() not in b"".join(state.values())


async def test_an_earlier_session_is_claimed_and_taken_up(broker: Broker) -> None:
    await _serve(broker, "echo")
    opener = _opener(broker)
    opened = await opener.open(SessionParams(engine="echo"), ANNA, _sid(broker), SECRET)
    record = await opener.claim(SessionParams(resume=opened.resume_token), ANNA)
    again = await opener.take_up(record, opened.resume_token)
    assert again.record.attach == 2
    assert [event.id for event in again.history] == ["edge:session_started"]
    assert again.position.events_after != "0"
    assert [notice.code for notice in again.notices] == ["client_back"]
