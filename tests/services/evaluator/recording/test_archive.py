"""Archiving: once and whole, however often and wherever it breaks off; only what the user allows."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from services.evaluator.evaluation import scorecard_bytes
from services.evaluator.recording.archive import WAIT_FOR_CARD_MS, WAIT_FOR_END_MS
from services.evaluator.recording.manifest import StoreError
from services.evaluator.recording.reader import load_recording, read_recording
from services.evaluator.recording.store import RecordingStore
from shared.broker import Broker
from shared.dead_letters import DeadLetter, DeadLetters
from shared.events import Consent, ConsentChanged, Event, Transcript
from shared.wire import AudioFrame
from tests.services.evaluator.recording.conftest import EVERYTHING, packets_of, put_session

LONG_AGO = 3_600_000
STEPS = ("events.jsonl", "input.ogg", "output.ogg", "scorecard.json", "manifest.json", "check")

Litter = Callable[[], list[str]]


async def test_a_session_is_archived_as_it_was(broker: Broker, store: RecordingStore, role_play: list[Event]) -> None:
    session = await put_session(broker, role_play)
    assert await session.archiver(store).archive(session.keys, 5_000) == "archived"
    recording = load_recording(f"{store.url}/{session.id}")
    assert list(recording.events) == list(session.events)
    entry_ids = [entry_id.decode() for entry_id, _ in await broker.client.xrange(session.keys.events)]
    assert [each.entry_id for each in recording.entries] == entry_ids
    sent = tuple(packet for seq in range(10) for packet in packets_of(seq))
    assert recording.packets == {"input": sent, "output": sent}
    assert recording.scorecard == scorecard_bytes(recording.events)
    manifest = recording.manifest
    assert (manifest.engine, manifest.language, manifest.end_reason) == ("cascade", "nl", "client_closed")
    assert (manifest.events.is_whole, manifest.left_out, manifest.source) == (True, (), "session")
    track = manifest.tracks["input"]
    assert (track.n_samples, track.first_wall_ms, track.last_wall_ms) == (19_200, 1_000_000, 1_000_720)
    assert manifest.clocks.media_ms == max(event.media_ms for event in role_play)


@pytest.mark.parametrize("step", STEPS)
async def test_whatever_breaks_off_is_finished_by_the_next_try(
    real_broker: Broker, store: RecordingStore, role_play: list[Event], litter: Litter, step: str
) -> None:
    session = await put_session(real_broker, role_play)

    class Killed(BaseException):
        """Ends the work as the death of the process does: nothing behind it runs."""

    def die(name: str) -> None:
        if name == step:
            raise Killed

    with pytest.raises(Killed):
        await session.archiver(store, on_step=die).archive(session.keys, 5_000)
    assert (session.id in store.ids()) == (step == "check")
    assert await session.archiver(store).archive(session.keys, 5_000) == ("there" if step == "check" else "archived")
    assert store.ids() == [session.id]
    assert litter() == sorted([session.id, *(f"{session.id}/{name}" for name in STEPS[:-1])])
    assert list(read_recording(store, session.id).events) == list(session.events)


@pytest.mark.parametrize("name", STEPS[:-1])
async def test_a_write_that_breaks_off_in_the_middle_of_a_file_leaves_no_half_file(
    real_broker: Broker,
    store: RecordingStore,
    role_play: list[Event],
    litter: Litter,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    session = await put_session(real_broker, role_play)

    def no_space(source: str, target: str) -> None:
        if target.endswith(name):
            raise OSError(28, "No space left on device")
        replace_file(source, target)

    replace_file = os.replace
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", no_space)
        with pytest.raises(StoreError, match="No space left"):
            await session.archiver(store).archive(session.keys, 5_000)
    assert store.ids() == []
    assert await session.archiver(store).archive(session.keys, 5_000) == "archived"
    assert not [path for path in litter() if path.endswith(".part")]


async def test_twice_is_as_good_as_once_and_two_at_once_write_the_same(
    broker: Broker, store: RecordingStore, role_play: list[Event]
) -> None:
    session = await put_session(broker, role_play)
    other = RecordingStore(f"{store.url}-other")
    for place in (store, other):
        assert await session.archiver(place).archive(session.keys, 5_000) == "archived"
    before = store.read(session.id, "manifest.json")
    assert before == other.read(session.id, "manifest.json")
    assert await session.archiver(store).archive(session.keys, 5_000) == "there"
    await broker.client.delete(*session.keys.all())
    assert await session.archiver(store).archive(session.keys, 5_000) == "there"
    assert store.read(session.id, "manifest.json") == before


async def test_a_damaged_recording_is_written_anew_while_redis_has_the_session(
    real_broker: Broker, store: RecordingStore, role_play: list[Event]
) -> None:
    session = await put_session(real_broker, role_play)
    await session.archiver(store).archive(session.keys, 5_000)
    store.write(session.id, "input.ogg", b"OggS")
    assert await session.archiver(store).archive(session.keys, 5_000) == "archived"
    read_recording(store, session.id)
    store.write(session.id, "input.ogg", b"OggS")
    await real_broker.client.delete(*session.keys.all())
    assert await session.archiver(store).archive(session.keys, 5_000) == "gone"
    assert store.has(session.id), "what is left of it is not thrown away"


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("sound", [True, False])
async def test_only_what_the_user_allows_is_kept(
    broker: Broker, store: RecordingStore, role_play: list[Event], litter: Litter, *, sound: bool, words: bool
) -> None:
    consent = Consent(store_audio=sound, store_transcript=words, emotion=True)
    session = await put_session(broker, role_play, consent)
    outcome = await session.archiver(store).archive(session.keys, 5_000)
    if not sound and not words:
        assert outcome == "no_consent"
        assert litter() == []
        return
    recording = read_recording(store, session.id)
    assert set(recording.packets) == ({"input", "output"} if sound else set())
    assert (recording.scorecard is not None) == words
    why = {entry.what: entry.why for entry in recording.manifest.left_out}
    expected = {} if sound else {"input.ogg": "no_consent", "output.ogg": "no_consent"}
    expected |= {} if words else {"words": "no_consent", "scorecard.json": "no_consent"}
    assert why == expected
    kinds = {event.body.kind for event in recording.events}
    assert ("transcript" in kinds) == words
    said = store.read(session.id, "events.jsonl").decode()
    texts = [event.body.text for event in role_play if isinstance(event.body, Transcript)]
    assert all((text in said) == words for text in texts)


async def test_feelings_are_left_out_without_consent_and_the_card_is_the_same(
    real_broker: Broker, store: RecordingStore, role_play: list[Event]
) -> None:
    session = await put_session(real_broker, role_play, replace(EVERYTHING, emotion=False))
    await session.archiver(store).archive(session.keys, 5_000)
    recording = read_recording(store, session.id)
    assert [entry.what for entry in recording.manifest.left_out] == ["emotion"]
    assert b"frustrated" not in store.read(session.id, "events.jsonl")
    assert scorecard_bytes(recording.events) == recording.scorecard


async def test_a_consent_that_was_taken_back_counts_wherever_it_stands(
    real_broker: Broker, store: RecordingStore, role_play: list[Event]
) -> None:
    changed = replace(role_play[-2], id="edge:consent", body=ConsentChanged(Consent(store_transcript=True)))
    session = await put_session(real_broker, [*role_play[:-1], changed, role_play[-1]])
    await real_broker.client.hset(session.keys.state, "consent_store_audio", "1")
    await session.archiver(store).archive(session.keys, 5_000)
    assert not read_recording(store, session.id).packets


async def test_an_event_of_a_change_that_was_lost_is_made_up_for_by_the_state(
    real_broker: Broker, store: RecordingStore, role_play: list[Event], litter: Litter
) -> None:
    session = await put_session(real_broker, role_play)
    gone = {"consent_store_audio": "0", "consent_store_transcript": "0"}
    await real_broker.client.hset(session.keys.state, mapping=gone)
    assert await session.archiver(store).archive(session.keys, 5_000) == "no_consent"
    assert litter() == []


async def test_a_half_written_one_goes_when_nothing_may_be_kept_or_nothing_is_left(
    real_broker: Broker, store: RecordingStore, role_play: list[Event], litter: Litter
) -> None:
    session = await put_session(real_broker, role_play, Consent())
    for outcome in ("no_consent", "gone"):
        store.write(session.id, "input.ogg", b"half")
        assert await session.archiver(store).archive(session.keys, 5_000) == outcome
        assert litter() == []
        await real_broker.client.delete(*session.keys.all())


async def test_the_end_and_the_card_are_waited_for_and_then_done_without(
    real_broker: Broker, store: RecordingStore, role_play: list[Event]
) -> None:
    session = await put_session(real_broker, role_play, with_card=False)
    archiver = session.archiver(store)
    assert await archiver.archive(session.keys, WAIT_FOR_CARD_MS - 1) == "not_yet"
    assert await archiver.archive(session.keys, WAIT_FOR_CARD_MS) == "archived"
    assert read_recording(store, session.id).scorecard == scorecard_bytes(session.events)


async def test_a_session_without_its_end_is_kept_as_that(
    real_broker: Broker, store: RecordingStore, role_play: list[Event]
) -> None:
    session = await put_session(real_broker, role_play[:-1])
    archiver = session.archiver(store)
    assert await archiver.archive(session.keys, WAIT_FOR_END_MS - 1) == "not_yet"
    assert await archiver.archive(session.keys, WAIT_FOR_END_MS) == "archived"
    assert not read_recording(store, session.id).manifest.events.is_whole


async def test_a_loss_is_silence_on_both_tracks_at_the_same_place(
    real_broker: Broker, store: RecordingStore, role_play: list[Event]
) -> None:
    session = await put_session(real_broker, role_play, lost=frozenset({3, 4}), answered=7)
    await session.archiver(store).archive(session.keys, 5_000)
    recording = read_recording(store, session.id)
    heard, said = recording.manifest.tracks["input"], recording.manifest.tracks["output"]
    assert heard.n_samples == said.n_samples == 19_200
    assert (heard.lost_frames, said.lost_frames) == (2, 2)
    assert (heard.silent_samples, said.silent_samples) == (2 * 1920, 3 * 1920)
    assert recording.packets["input"][:36] == recording.packets["output"][:36]


async def test_frames_that_do_not_count_and_entries_that_cannot_be_read_are_left_out(
    real_broker: Broker, store: RecordingStore, role_play: list[Event]
) -> None:
    session = await put_session(real_broker, role_play)
    keys = session.keys
    late = AudioFrame(10, 1920, packets_of(99), epoch=0)
    real_broker.publish_audio(keys.audio_in, late)
    await real_broker.writer.drain()
    await real_broker.client.xadd(keys.audio_in, {"m": b"nothing"})
    await real_broker.client.xadd(keys.events, {"m": b"nothing"})
    ((entry_id, _),) = await real_broker.client.xrange(keys.events, count=1)
    ((second, _),) = await real_broker.client.xrange(keys.events, min=b"(" + entry_id, count=1)
    letter = DeadLetter("evaluator", "event", session.id, keys.shard, second.decode(), "x", 3, "ValueError", 1, 0)
    await DeadLetters(real_broker.client).put(letter, ValueError("x"))
    await session.archiver(store).archive(keys, 5_000)
    recording = read_recording(store, session.id)
    assert len(recording.packets["input"]) == 40
    assert (recording.manifest.events.passed_over, recording.manifest.events.set_aside) == (1, 1)
    assert list(recording.events) == [session.events[0], *session.events[2:]]


async def test_what_nobody_recorded_is_told_apart_from_what_is_not_allowed(
    real_broker: Broker, store: RecordingStore, role_play: list[Event]
) -> None:
    session = await put_session(real_broker, role_play, EVERYTHING, n_frames=0)
    await session.archiver(store).archive(session.keys, 5_000)
    why = {entry.what: entry.why for entry in read_recording(store, session.id).manifest.left_out}
    assert why == {"input.ogg": "not_recorded", "output.ogg": "not_recorded"}


async def test_streams_longer_than_a_page_are_read_whole(
    real_broker: Broker, store: RecordingStore, role_play: list[Event]
) -> None:
    session = await put_session(real_broker, role_play, n_frames=1_200)
    await session.archiver(store).archive(session.keys, LONG_AGO)
    assert read_recording(store, session.id).manifest.tracks["output"].n_packets == 4_800
