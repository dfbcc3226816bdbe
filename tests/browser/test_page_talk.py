"""What the page shows of a conversation: words, hints, figures, and the scorecard at the end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from services.evaluator.evaluation import evaluate_events
from shared.events import (
    CoachToVoice,
    DeliveryHints,
    EngineState,
    Event,
    Interrupted,
    MetricsUpdated,
    MetricValue,
    Prosody,
    ProsodyMeasured,
    ScorecardReady,
    Spoken,
    Transcript,
    TurnEnded,
    TurnScored,
    TurnStarted,
)
from shared.wire import event_from_json

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def tell_a_conversation(client: Any) -> None:
    await client.event(EngineState("ready", "cascade"))
    await client.event(TurnStarted("u1", "user", 400))
    await client.event(Transcript("u1", "user", "Goedemorgen, waarmee kan ik u", False, 400, 1800, "nl"))
    final = "Goedemorgen, waarmee kan ik u vandaag helpen?"
    await client.event(TurnEnded("u1", "user", 400, 2600))
    await client.event(Transcript("u1", "user", final, True, 400, 2600, "nl"))
    await client.event(
        ProsodyMeasured("u1", 400, 2600, Prosody(energy=0.62), "normal", words_per_min=158.0, pause_share=0.11)
    )
    await client.event(
        CoachToVoice(
            "u1",
            "Goed begin. Vraag nu eerst wat er bij hem speelt.",
            DeliveryHints("slow", ("eerst",), (), "supportive"),
            techniques=("1.1",),
            phase=1,
            expected=("2.1.1",),
            rationale="De opening is klaar, de situatie van de klant is nog niet gekend.",
        ),
        source="coach",
    )
    await client.event(TurnStarted("h1", "hugo", 3200))
    for number, word in enumerate((" Ik", " zoek", " een", " nieuwe", " leverancier")):
        await client.event(Spoken("h1", word, 3200 + 300 * number))
    await client.event(Interrupted("h1", "user", 4700, "Ik zoek een nieuwe leverancier", "voor onze fietsen"))
    await client.event(TurnEnded("h1", "hugo", 3200, 4700, "interrupted"))
    await client.event(TurnScored("u1", ("1.1",), "ok", 1, (), "Goedemorgen"), source="evaluator")
    metrics = (
        MetricValue("talk_share", 0.41, "ratio", "good"),
        MetricValue("longest_monologue", 131.5, "s", "warn"),
        MetricValue("interruptions_by_hugo", 3.0, "count", "red"),
        MetricValue("filled_pauses", None, "per_100_words", "", "the recogniser leaves fillers out"),
    )
    await client.event(MetricsUpdated(metrics), media_ms=4700, source="evaluator")
    await client.event(TurnStarted("u2", "user", 4600))
    await client.event(Transcript("u2", "user", "Sorry dat ik onderbreek, hoe", False, 4600, 5600, "nl"))


async def test_the_whole_conversation_is_readable(person: Any, page: Page) -> None:
    await person.open()
    client = await person.talk()
    await tell_a_conversation(client)
    await expect(page.locator("#turns-now .turn .said")).to_have_text("Sorry dat ik onderbreek, hoe")
    await expect(page.locator("#turns .said")).to_have_text(
        ["Goedemorgen, waarmee kan ik u vandaag helpen?", "Ik zoek een nieuwe leverancier"]
    )
    await expect(page.locator("[data-turn=h1] .marks")).to_have_text("onderbroken")
    await expect(page.locator("[data-turn=u1] .marks")).to_contain_text("1.1 ")
    await expect(page.locator("#voice-user .doing")).to_have_text("spreekt")
    await expect(page.locator("#voice-hugo .doing")).to_have_text("stil")
    delivery = await page.inner_text("#delivery")
    assert "normaal, 158 woorden/min" in delivery
    assert delivery.count("niet afgeleid") == 2
    assert "62" in delivery
    hint = await page.inner_text("#hint")
    for part in ("Vraag nu eerst", "Toon: ondersteunend", "Tempo: traag", "2.1.1", "vaste regels"):
        assert part in hint
    rows = await page.locator("#metrics tbody tr").all_inner_texts()
    assert ["41" in rows[0], "goed" in rows[0], "let op" in rows[1], "te ver" in rows[2]] == [True] * 4
    assert len(rows) == 3
    await person.page.click("#metrics-count")
    assert "niet beschikbaar" in await person.page.inner_text("#metrics-others")
    assert "600 ms" in await page.inner_text("#latency")


CARD = {
    "overall": 71.5,
    "phases": {"opening": 80, "discovery": 64.0},
    "techniques": [
        {"id": "1.1", "quality": "ok", "evidence": "Goedemorgen, waarmee kan ik u helpen?"},
        {"id": "2.1.1", "quality": "missed", "evidence": ""},
    ],
    "metrics": [{"name": "talk_share", "value": 0.41, "unit": "ratio", "band": "good", "note": ""}],
    "advice": ["Vraag door", "<b>Vat samen</b>"],
}


async def test_hanging_up_brings_the_scorecard_whatever_its_form(person: Any, page: Page) -> None:
    await person.open()
    client = await person.talk()
    await page.click("#hangup")
    assert await client.json_message() == {"type": "end"}
    assert await page.get_attribute("body", "data-status") == "ending"
    last = client.payloads(1)[-1]
    assert last[5] & 4, "the last Ogg page is marked as the end"
    await client.event(ScorecardReady("1.2.0", CARD), source="evaluator")
    await asyncio.wait_for(client.is_closed.wait(), 10)
    assert client.close_code == 1000
    await person.sees("ended")
    card = await page.inner_text("#scorecard")
    for part in ("71,5", "Opening", "Discovery", "gemist", "Vraag door", "<b>Vat samen</b>", "1.2.0", "oefenen"):
        assert part in card
    assert await page.locator("#scorecard blockquote").all_inner_texts() == ["Goedemorgen, waarmee kan ik u helpen?"]
    assert await page.evaluate("document.activeElement.id") == "scorecard"
    async with page.expect_download() as saved:
        await page.click("#save-card")
    assert (await saved.value).suggested_filename == "scorecard-s-1.json"


def role_play() -> list[Event]:
    lines = (Path(__file__).parents[1] / "fixtures" / "events" / "role_play.jsonl").read_text("utf-8").splitlines()
    return [event_from_json(json.loads(line)) for line in lines]


async def test_the_evaluators_own_scorecard_is_readable(person: Any, page: Page) -> None:
    events = role_play()
    card = evaluate_events(events).data
    await person.open()
    client = await person.talk()
    for event in events:
        await client.envelope(event)
    await page.click("#hangup")
    await client.json_message()
    await client.event(ScorecardReady(card["evaluator_version"], card), source="evaluator", epoch=99)
    await person.sees("ended")
    shown = await page.inner_text("#scorecard")
    assert f"{round(card['totals']['overall'])} van 100" in shown
    assert card["notice"]["nl"] in shown
    judged = [turn for turn in card["turns"] if turn["evidence"]]
    assert judged
    quotes = await page.locator("#scorecard blockquote").all_inner_texts()
    assert {turn["evidence"] for turn in judged if turn["techniques"] or turn["errors"]} <= set(quotes)
    rows = await page.locator("#scorecard tbody tr").count()
    assert rows == len(card["phases"]) + len(card["metrics"])
    assert "undefined" not in shown
    assert "[object" not in shown
    said = await page.locator("#turns .said").all_inner_texts()
    finals = {event.body.text for event in events if isinstance(event.body, Transcript) and event.body.final}
    assert set(said) == finals


async def test_after_the_end_one_can_talk_again(person: Any, page: Page) -> None:
    await person.open()
    first = await person.talk()
    await tell_a_conversation(first)
    await first.close(1000, "the session is over: max_time")
    await person.sees("ended")
    assert await page.inner_text("#start") == "Praat opnieuw"
    await person.talk()
    assert await page.locator(".turn").count() == 0


async def test_strange_messages_do_no_harm(person: Any, page: Page) -> None:
    await person.open()
    client = await person.talk()
    for kind, payload in ((9, b"x"), (4, b"{"), (4, b"3"), (4, b'{"type":"soon"}'), (1, b"no ogg"), (6, b"")):
        await client.send(kind, payload)
    await client.event(Transcript("u1", "user", "<img src=x onerror=alert(1)>", True, 0, 900, "nl"))
    await expect(page.locator("#turns .said")).to_have_text("<img src=x onerror=alert(1)>")
    assert await page.locator("#turns img").count() == 0
