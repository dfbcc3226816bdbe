"""What Redis knows of sessions: begin, attach, detach, deadlines, end."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from services.edge.auth import Identity
from services.edge.records import SOCKET_LEASE_MS, SessionRecord, SessionRecords, hash_secret
from shared.broker import Broker
from shared.broker.append import FIELD
from shared.broker.frames import frames_that_count
from shared.ended_sessions import EndedSessions
from shared.errors import AuthError, BadInput
from shared.events import Consent, Event, SessionEnded, SessionStarted
from shared.retention import Retention
from shared.streams import EDGE_LOOKED_KEY, EDGE_SESSIONS_KEY, new_session_id, workers_key
from shared.wire import AudioFrame, decode_audio

STARTED = SessionStarted(
    engine="echo",
    language="en",
    locale="en-GB",
    voice="v.pt",
    persona="P",
    consent=Consent(emotion=True),
    mode="scripted",
    seed=-5,
)
ANNA = Identity("anna")


def _record(broker: Broker) -> SessionRecord:
    sid = new_session_id(broker.clock.wall_ms())
    return SessionRecord(sid, "anna", STARTED, 1000, resume_hash=hash_secret("secret"))


def _records(broker: Broker) -> SessionRecords:
    return SessionRecords(broker, Retention(100, 30), max_session_s=3600)


def _first(record: SessionRecord) -> Event:
    return Event("edge:session_started", record.session_id, "edge", 1, 0, 1000, record.started)


async def _place(broker: Broker, slots: int = 1) -> None:
    """As if a live worker with `slots` served the echo engine."""
    seconds, _ = await broker.client.time()
    await broker.client.hset(workers_key("sb:voice.echo"), "w", f"{slots}:{seconds * 1000}")


async def _begin(broker: Broker, started: SessionStarted = STARTED) -> SessionRecord:
    await _place(broker, 9)
    record = replace(_record(broker), started=started)
    answer = await _records(broker).create(record, _first(record))
    return replace(record, voice_entry=answer.entry_id)


async def test_a_session_begins_with_its_first_event_in_place(broker: Broker) -> None:
    record = await _begin(broker)
    ((_, fields),) = await broker.client.xrange("sb:voice.echo")
    assert fields[b"sid"].decode() == record.session_id
    events, _ = await broker.history(record.session_id)
    assert [event.body for event in events] == [STARTED]
    assert await broker.client.zscore(EDGE_SESSIONS_KEY, record.session_id) > 0
    assert await broker.client.ttl(broker.keys(record.session_id).state) > 3600


@pytest.mark.parametrize("slots", [0, None])
async def test_a_refused_session_leaves_nothing(broker: Broker, slots: int | None) -> None:
    if slots is not None:
        await _place(broker, slots)
    record = _record(broker)
    answer = await _records(broker).create(record, _first(record))
    assert answer.outcome == ("nobody" if slots is None else "full")
    assert await broker.client.exists(*broker.keys(record.session_id).all()) == 0
    assert await broker.client.zcard(EDGE_SESSIONS_KEY) == 0


async def test_attaching_gives_the_record_back_and_counts(broker: Broker) -> None:
    record = await _begin(broker)
    again = await _records(broker).attach(record.session_id, "secret", ANNA)
    assert again == replace(record, attach=2)
    assert (await _records(broker).attach(record.session_id, "secret", ANNA)).attach == 3


async def test_an_attaching_edge_learns_who_serves_the_session_now(broker: Broker) -> None:
    record = await _begin(broker)
    moved = {"engine": "cascade", "voice_entry": "9-0", "voice_base": 4, "preferred": "echo"}
    await broker.client.hset(broker.keys(record.session_id).state, mapping=moved)
    again = await _records(broker).attach(record.session_id, "secret", ANNA)
    assert (again.started.engine, again.voice_entry, again.voice_base, again.preferred) == ("cascade", "9-0", 4, "echo")


@pytest.mark.parametrize("seed", [None, 0])
async def test_what_was_not_asked_for_stays_open(broker: Broker, seed: int | None) -> None:
    record = await _begin(broker, replace(STARTED, mode=None, seed=seed, voice="", locale=""))
    again = await _records(broker).attach(record.session_id, "secret", ANNA)
    assert again.started == record.started


@pytest.mark.parametrize(("secret", "user"), [("wrong", "anna"), ("secret", "bert"), ("", "anna")])
async def test_attaching_needs_the_secret_and_the_user(broker: Broker, secret: str, user: str) -> None:
    record = await _begin(broker)
    with pytest.raises(AuthError):
        await _records(broker).attach(record.session_id, secret, Identity(user))


async def test_an_ended_or_unknown_session_is_over(broker: Broker) -> None:
    record = await _begin(broker)
    await _records(broker).close(record.session_id, "client_closed")
    for sid in (record.session_id, "0" * 26):
        with pytest.raises(BadInput, match="over"):
            await _records(broker).attach(sid, "secret", ANNA)


async def test_the_position_is_after_the_last_frame(broker: Broker) -> None:
    record = await _begin(broker)
    records, keys = _records(broker), broker.keys(record.session_id)
    assert (await records.take_position(record)).next_seq == 0
    for seq in range(4):
        broker.publish_audio(keys.audio_in, AudioFrame(seq, 1920, (b"x",), epoch=1))
    broker.publish_audio(keys.audio_out, AudioFrame(0, 1920, (b"x",)))
    await broker.writer.drain()
    position = await records.take_position(record)
    assert position.next_seq == 4
    assert position.audio_out_after == (await broker.client.xrevrange(keys.audio_out, count=1))[0][0].decode()


async def test_what_an_older_connection_writes_after_the_position_was_taken_is_void(broker: Broker) -> None:
    record = await _begin(broker)
    records, key = _records(broker), broker.keys(record.session_id).audio_in
    broker.publish_audio(key, AudioFrame(0, 1920, (b"x",), epoch=record.attach))
    await broker.writer.drain()
    newer = await records.attach(record.session_id, "secret", ANNA)
    position = await records.take_position(newer)
    broker.publish_audio(key, AudioFrame(1, 1920, (b"late",), epoch=record.attach))
    broker.publish_audio(key, AudioFrame(position.next_seq, 1920, (b"now",), epoch=newer.attach))
    await broker.writer.drain()
    frames = [decode_audio(fields[FIELD]) for _, fields in await broker.client.xrange(key)]
    assert [frame.packets for frame in frames_that_count(frames)] == [(b"x",), (b"now",)]
    assert (await records.take_position(newer)).next_seq == 2


async def test_an_overdue_session_is_ended_once_by_one_of_many(broker: Broker) -> None:
    record = await _begin(broker)
    broker.publish_audio(broker.keys(record.session_id).audio_in, AudioFrame(9, 1920, (b"x",)))
    await broker.writer.drain()
    first, second = _records(broker), _records(broker)
    assert await first.reap() == []
    await first.renew([record.session_id], 0)
    assert [*await first.reap(), *await second.reap()] == [record.session_id]
    events, _ = await broker.history(record.session_id)
    assert (events[-1].body, events[-1].media_ms, events[-1].epoch) == (SessionEnded("client_lost"), 800, 1)
    assert 0 < await broker.client.ttl(broker.keys(record.session_id).events) <= 30


async def test_who_could_not_renew_while_redis_was_away_gets_the_time_for_it(broker: Broker) -> None:
    """Its deadline passed meanwhile, or Redis's clock jumped: the edge that is back first ends nobody."""
    record = await _begin(broker)
    records = _records(broker)
    assert await records.reap() == []
    await records.renew([record.session_id], 0)
    await broker.client.decrby(EDGE_LOOKED_KEY, 12_000)  # the last look is so much longer ago
    assert await records.reap() == []
    left_ms = await broker.client.zscore(EDGE_SESSIONS_KEY, record.session_id) - time.time() * 1000
    assert SOCKET_LEASE_MS - 2_000 < left_ms <= SOCKET_LEASE_MS + 100
    await records.renew([record.session_id], 0)
    assert await records.reap() == [record.session_id], "from then on deadlines count again"


async def test_an_overdue_session_that_has_ended_is_left_alone(broker: Broker) -> None:
    record = await _begin(broker)
    records = _records(broker)
    await records.close(record.session_id, "client_closed")
    await records.renew([record.session_id], 0)
    await records.reap()
    events, _ = await broker.history(record.session_id)
    assert [event.body.kind for event in events] == ["session_started"]


async def test_a_detached_session_has_its_time(broker: Broker) -> None:
    record = await _begin(broker)
    records = _records(broker)
    before = await broker.client.zscore(EDGE_SESSIONS_KEY, record.session_id)
    await records.detach(record, 500)
    assert await broker.client.zscore(EDGE_SESSIONS_KEY, record.session_id) > before + 400_000
    assert await broker.client.hget(broker.keys(record.session_id).state, "status") == b"detached"


async def test_a_late_detach_does_not_touch_who_came_back(broker: Broker) -> None:
    record = await _begin(broker)
    records = _records(broker)
    await records.attach(record.session_id, "secret", ANNA)
    await records.detach(record, 0)
    assert await broker.client.hget(broker.keys(record.session_id).state, "status") == b"live"
    assert await records.reap() == []


async def test_other_roles_are_asked(broker: Broker) -> None:
    record = await _begin(broker)
    records = _records(broker)
    assert await records.ask("coach", record.session_id)
    assert await records.ask("evaluator", record.session_id)
    assert await broker.client.xlen("sb:coach") == await broker.client.xlen("sb:evaluator") == 1


async def test_capacities(broker: Broker) -> None:
    await _begin(broker)
    assert await _records(broker).capacities(["echo", "cascade"]) == {"echo": (9, 1), "cascade": (0, 0)}


async def test_consent_is_kept(broker: Broker) -> None:
    record = await _begin(broker)
    await _records(broker).set_consent(record.session_id, Consent(store_audio=True))
    again = await _records(broker).attach(record.session_id, "secret", ANNA)
    assert again.started.consent == Consent(store_audio=True)


async def test_the_latest_consent_decides_how_long_the_keys_live(broker: Broker) -> None:
    record = await _begin(broker)
    records, keys = _records(broker), broker.keys(record.session_id)
    broker.publish_audio(keys.audio_in, AudioFrame(0, 1920, (b"x",)))
    await broker.writer.drain()
    await records.set_consent(record.session_id, Consent(store_audio=True, store_transcript=True))
    await records.set_consent(record.session_id, Consent(store_transcript=True))
    await records.close(record.session_id, "client_closed")
    assert await broker.client.ttl(keys.audio_in) <= 30
    assert 30 < await broker.client.ttl(keys.events) <= 100


async def test_whatever_ends_a_session_puts_it_on_the_list_of_those_to_be_archived(broker: Broker) -> None:
    by_client, lost = await _begin(broker), await _begin(broker)
    records, ended = _records(broker), EndedSessions(broker.client)
    assert await ended.waiting() == 0
    await records.close(by_client.session_id, "client_closed")
    await records.renew([lost.session_id], 0)
    await records.reap()
    assert await ended.listed(by_client.session_id)
    assert await ended.listed(lost.session_id)
    await records.close(lost.session_id, "client_lost")
    assert await ended.waiting() == 2
