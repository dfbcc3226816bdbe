"""What the page makes of the events: the pure reducer, fed with the project's own events as JSON."""

from __future__ import annotations

import random
from typing import Any

import pytest
from playwright.async_api import Page

from shared.events import (
    Body,
    CoachToVoice,
    Consent,
    ConsentChanged,
    DeliveryHints,
    EngineState,
    Event,
    Interrupted,
    MetricsUpdated,
    MetricValue,
    Notice,
    Prosody,
    ProsodyMeasured,
    ScorecardReady,
    SessionStarted,
    Spoken,
    Timing,
    Transcript,
    TurnEnded,
    TurnScored,
    TurnStarted,
    VoiceToCoach,
)
from shared.wire import event_to_json

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

REDUCE = (
    "async (actions) => { const m = await import('/static/state.js'); let s = m.initialState('nl');"
    " for (const a of actions) s = m.reduce(s, a);"
    " return {...s, shown: m.shownStatus(s), texts: s.turns.map(m.turnText), settled: s.turns.map(m.isSettled)}; }"
)


def message(body: Body, id: str = "e", *, epoch: int = 1, media_ms: int = 0, source: Any = "voice") -> dict[str, Any]:
    return {"type": "message", "message": event_to_json(Event(id, "s-1", source, epoch, media_ms, 0, body))}


async def reduced(page: Page, edge: Any, actions: list[dict[str, Any]]) -> dict[str, Any]:
    await page.goto(f"{edge.url}/blank")
    state: dict[str, Any] = await page.evaluate(REDUCE, actions)
    return state


def transcript(turn: str, text: str, *, final: bool, start: int = 0, speaker: Any = "user") -> Transcript:
    return Transcript(turn, speaker, text, final, start, start + 1000, "nl")


CONVERSATION = [
    message(SessionStarted("cascade", "nl", profile="personal_training", consent=Consent(emotion=True)), "edge:start"),
    message(EngineState("ready", "cascade"), "v:ready"),
    message(TurnStarted("u1", "user", 100), "v:u1"),
    message(transcript("u1", "Goede", final=False, start=100), "v:u1:p1"),
    message(transcript("u1", "Goedemorgen", final=False, start=100), "v:u1:p2"),
    message(TurnEnded("u1", "user", 100, 1500), "v:u1:end"),
    message(transcript("u1", "Goedemorgen Hugo.", final=True, start=100), "v:u1:final"),
    message(
        VoiceToCoach(
            "u1", "Goedemorgen Hugo.", Timing(speech_pace="fast"), Prosody(energy=0.5), False, "nl", 100, 1500
        ),
        "v:u1:v2c",
    ),
    message(
        CoachToVoice("u1", "Dag!", DeliveryHints(tone="supportive"), chunk=0, last=False), "c:u1:0", source="coach"
    ),
    message(CoachToVoice("u1", "Hoe gaat het?", chunk=1, techniques=("2.1",), phase=1), "c:u1:1", source="coach"),
    message(TurnStarted("h1", "hugo", 2100), "v:h1"),
    message(Spoken("h1", " Dag!", 2100), "v:h1:w0"),
    message(Spoken("h1", " Hoe", 2400), "v:h1:w1"),
    message(Interrupted("h1", "user", 2500, "Dag! Hoe", "gaat het?"), "v:h1:cut"),
    message(TurnEnded("h1", "hugo", 2100, 2500, "interrupted"), "v:h1:end"),
    message(transcript("h1", "Dag! Hoe", final=True, start=2100, speaker="hugo"), "v:h1:final"),
    message(TurnScored("u1", ("1.2",), "ok", evidence="Goedemorgen"), "j:u1", source="evaluator"),
    message(
        MetricsUpdated((MetricValue("talk_share", 0.4, "ratio", "good"),)), "j:m", media_ms=2500, source="evaluator"
    ),
    message(Notice("audio_shed", "warning", "weg", 3), "n:1", source="edge"),
    message(ScorecardReady("1.0", {"overall": 71}), "j:card", source="evaluator"),
]


async def test_a_conversation_is_read_as_it_was_held(page: Page, edge: Any) -> None:
    state = await reduced(page, edge, [{"type": "asking"}, {"type": "handshake"}, *CONVERSATION])
    assert state["texts"] == ["Goedemorgen Hugo.", "Dag! Hoe"]
    assert [turn["isInterrupted"] for turn in state["turns"]] == [False, True]
    assert state["speaking"] == {"user": False, "hugo": False}
    assert state["answerGapMs"] == 600
    assert state["hints"][0]["text"] == "Dag! Hoe gaat het?"
    assert (state["hints"][0]["phase"], state["hints"][0]["techniques"]) == (1, ["2.1"])
    assert state["delivery"]["speechPace"] == "fast"
    assert state["delivery"]["prosody"] == {"confidence": None, "emotion": None, "energy": 0.5}
    assert state["turns"][0]["score"]["quality"] == "ok"
    assert state["metrics"][0]["value"] == 0.4
    assert state["scorecard"]["scorecard"] == {"overall": 71}
    assert state["consent"] == {"storeAudio": False, "storeTranscript": False, "emotion": True}
    assert (state["profile"], state["activeEngine"], state["status"]) == ("personal_training", "cascade", "talking")


async def test_every_event_twice_changes_nothing(page: Page, edge: Any) -> None:
    once = await reduced(page, edge, CONVERSATION)
    twice = await reduced(page, edge, [action for action in CONVERSATION for _ in range(2)])
    replayed = await reduced(page, edge, CONVERSATION + CONVERSATION)
    assert twice == once
    for key in ("texts", "hints", "metrics", "notices", "speaking", "scorecard", "turns"):
        assert replayed[key] == once[key], key


@pytest.mark.parametrize("seed", range(5))
async def test_the_transcript_does_not_depend_on_the_order_of_arrival(page: Page, edge: Any, seed: int) -> None:
    shuffled = list(CONVERSATION)
    random.Random(seed).shuffle(shuffled)
    state = await reduced(page, edge, shuffled)
    assert state["texts"] == ["Goedemorgen Hugo.", "Dag! Hoe"]
    assert state["settled"] == [True, True]


async def test_an_older_owner_is_not_believed(page: Page, edge: Any) -> None:
    state = await reduced(
        page,
        edge,
        [
            message(transcript("u1", "nieuw", final=False), epoch=2),
            message(transcript("u1", "oud", final=True), epoch=1),
            message(Notice("x", "info", "van een ander"), epoch=1, source="edge"),
        ],
    )
    assert state["texts"] == ["nieuw"]
    assert len(state["notices"]) == 1


async def test_what_was_heard_beats_what_was_meant(page: Page, edge: Any) -> None:
    full = transcript("h1", "Een lang antwoord dat niet af kwam", final=True, speaker="hugo")
    state = await reduced(page, edge, [message(full), message(Interrupted("h1", "user", 900, "Een lang", "antwoord"))])
    assert state["texts"] == ["Een lang"]


async def test_text_pieces_count_only_where_no_events_tell_the_words(page: Page, edge: Any) -> None:
    pieces = [{"type": "text", "text": " Hal"}, {"type": "text", "text": "lo"}]
    assert (await reduced(page, edge, pieces))["caption"] == " Hallo"
    with_events = await reduced(page, edge, [*pieces, message(Spoken("h1", " Hallo", 0)), *pieces])
    assert (with_events["caption"], with_events["texts"]) == ("", ["Hallo"])


@pytest.mark.parametrize(
    ("state_name", "shown"),
    [
        ("ready", "talking"),
        ("degraded", "degraded"),
        ("migrating", "migrating"),
        ("failed", "engine_failed"),
        ("resumed", "talking"),
    ],
)
async def test_the_engines_health_shows_while_talking(page: Page, edge: Any, state_name: Any, shown: str) -> None:
    actions = [{"type": "handshake"}, message(EngineState("degraded", "a")), message(EngineState(state_name, "a"))]
    assert (await reduced(page, edge, actions))["shown"] == shown


async def test_the_answer_time_is_taken_of_answers_only(page: Page, edge: Any) -> None:
    user = [message(TurnStarted("u1", "user", 0)), message(TurnEnded("u1", "user", 0, 900))]
    first = [message(TurnStarted("h1", "hugo", 1500)), message(TurnEnded("h1", "hugo", 1500, 2500))]
    again = [message(TurnStarted("h2", "hugo", 9000))]
    assert (await reduced(page, edge, user + first + again))["answerGapMs"] == 600


async def test_older_figures_do_not_replace_newer_ones(page: Page, edge: Any) -> None:
    new = message(MetricsUpdated((MetricValue("pace", 2.0, "s"),)), media_ms=900)
    old = message(MetricsUpdated((MetricValue("pace", 1.0, "s"),)), media_ms=400)
    assert (await reduced(page, edge, [new, old]))["metrics"][0]["value"] == 2.0


async def test_prosody_keeps_null_as_null(page: Page, edge: Any) -> None:
    state = await reduced(page, edge, [message(ProsodyMeasured("u1", 0, 900, Prosody(), words_per_min=151.0))])
    assert state["delivery"]["prosody"] == {"confidence": None, "emotion": None, "energy": None}
    assert state["delivery"]["wordsPerMin"] == 151.0


async def test_a_changed_consent_is_shown_as_the_server_holds_it(page: Page, edge: Any) -> None:
    actions = [{"type": "consent", "consent": {"emotion": True}}, message(ConsentChanged(Consent(store_audio=True)))]
    state = await reduced(page, edge, actions)
    assert state["consent"] == {"storeAudio": True, "storeTranscript": False, "emotion": False}


async def test_lists_are_bounded(page: Page, edge: Any) -> None:
    many = [message(transcript(f"u{n}", f"t{n}", final=True, start=n), f"t{n}") for n in range(520)]
    many += [message(Notice("n", "info", str(n)), f"n{n}") for n in range(50)]
    many += [message(CoachToVoice(f"u{n}", "tip"), f"c{n}", source="coach") for n in range(80)]
    state = await reduced(page, edge, many)
    assert (len(state["turns"]), state["turnsDropped"], state["texts"][0]) == (500, 20, "t20")
    assert (len(state["notices"]), len(state["hints"])) == (30, 50)


@pytest.mark.parametrize(
    "junk", [{}, {"body": None}, {"body": {"kind": "constructor"}}, {"body": {"kind": "next_year"}}]
)
async def test_unknown_messages_are_left_out(page: Page, edge: Any, junk: dict[str, Any]) -> None:
    plain = await reduced(page, edge, [])
    assert await reduced(page, edge, [{"type": "message", "message": junk}, {"type": "toString"}]) == plain


async def test_hanging_up_ends_whatever_the_close_code_is(page: Page, edge: Any) -> None:
    close = {"type": "closed", "meaning": "lost", "reason": "", "retryAfterS": 0}
    assert (await reduced(page, edge, [{"type": "handshake"}, {"type": "hung-up"}, close]))["status"] == "ended"
    assert (await reduced(page, edge, [{"type": "handshake"}, close]))["status"] == "lost"
