"""The coach as a process: its check, and a session over a real broker."""

from __future__ import annotations

import asyncio

import pytest

from services.coach_worker.__main__ import main, serve
from services.coach_worker.settings import CoachSettings
from shared.broker import Broker
from shared.events import CoachToVoice, Event, Prosody, SessionEnded, SessionStarted, Timing, VoiceToCoach
from shared.leases import RequestQueue
from shared.runner import ServiceContext
from shared.streams import new_session_id, request_stream
from shared.testing.brokers import running
from shared.wire import decode_event


def test_check_says_what_it_would_run_with(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_COACH_BRAIN", "policy")
    assert main(["--check"]) == 0
    assert "brain policy" in capsys.readouterr().out


def test_wrong_settings_end_with_code_two(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_COACH_MAX_SESSIONS", "many")
    assert main(["--check"]) == 2
    assert "SPLITBRAIN_COACH_MAX_SESSIONS" in capsys.readouterr().err


async def test_a_session_is_greeted_and_answered(real_broker: Broker, real_redis_url: str) -> None:
    settings = CoachSettings(redis_url=real_redis_url, brain="policy", worker_id="c1")
    context = ServiceContext(real_broker)
    session_id = new_session_id(1_700_000_000_000)
    keys = real_broker.keys(session_id)
    said: asyncio.Queue[CoachToVoice] = asyncio.Queue()

    def look(_: str, entries: list[tuple[str, bytes]]) -> None:
        for _, data in entries:
            body = decode_event(data).body
            if isinstance(body, CoachToVoice):
                said.put_nowait(body)

    async def answer() -> list[CoachToVoice]:
        parts = [await said.get()]
        while not parts[-1].last:
            parts.append(await said.get())
        return parts

    async with running(Broker.open(real_redis_url)) as onlooker, asyncio.timeout(20):
        onlooker.reader.subscribe(keys.events, "0", look)

        def publish(id_: str, body: SessionStarted | VoiceToCoach | SessionEnded) -> None:
            onlooker.publish_event(keys, Event(id_, session_id, "voice", 1, 0, 0, body))

        publish("started", SessionStarted("cascade", "nl", "nl-BE"))
        await onlooker.writer.drain()
        await RequestQueue(onlooker).admit(request_stream("coach"), session_id, {}, by_slots=False)
        service = asyncio.create_task(serve(context, settings))
        greeting = await answer()
        publish("turn", VoiceToCoach("u1", "Ik verkoop zonnepanelen.", Timing(), Prosody(), False, "nl", 0, 1))
        reply = await answer()
        publish("ended", SessionEnded("client_closed"))
        context.stopping.set()
        await service
    assert {part.turn for part in greeting} == {""}
    assert {part.turn for part in reply} == {"u1"}
    assert "zonnepanelen" in " ".join(part.response_text for part in reply).lower()


async def test_with_a_model_configured_the_model_answers(
    real_broker: Broker, real_redis_url: str, llm_server: object
) -> None:
    async with llm_server("Good. Who do you sell that to?") as server:  # type: ignore[operator]
        settings = CoachSettings(redis_url=real_redis_url, llm_base_url=server.url, worker_id="c2")
        context = ServiceContext(real_broker)
        service = asyncio.create_task(serve(context, settings))
        session_id = new_session_id(1_700_000_000_000)
        keys = real_broker.keys(session_id)
        async with running(Broker.open(real_redis_url)) as onlooker, asyncio.timeout(20):
            arrived: asyncio.Queue[CoachToVoice] = asyncio.Queue()

            def look(_: str, entries: list[tuple[str, bytes]]) -> None:
                for _, data in entries:
                    body = decode_event(data).body
                    if isinstance(body, CoachToVoice) and body.brain == "llm":
                        arrived.put_nowait(body)

            onlooker.reader.subscribe(keys.events, "0", look)
            bodies = (
                SessionStarted("cascade", "en", "en-GB"),
                VoiceToCoach("u1", "I sell solar panels.", Timing(), Prosody(), False, "en", 0, 1),
            )
            for number, body in enumerate(bodies):
                onlooker.publish_event(keys, Event(f"e{number}", session_id, "voice", 1, 0, 0, body))
            await onlooker.writer.drain()
            await RequestQueue(onlooker).admit(request_stream("coach"), session_id, {}, by_slots=False)
            assert [(await arrived.get()).response_text for _ in range(2)] == ["Good.", "Who do you sell that to?"]
            context.stopping.set()
            await service
