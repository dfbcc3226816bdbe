"""A conversation through the page: real microphone file, real codecs, real protocol, a double for the server."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Browser, Page, expect

from services.evaluator.evaluation import evaluate_events
from shared.audio.ogg import OggOpusDemuxer
from shared.audio.opus import OpusDecoder
from shared.events import (
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
    Transcript,
    TurnEnded,
    TurnScored,
    TurnStarted,
)
from shared.wire import event_from_json

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def open_page(page: Page, edge: Any, fragment: str = "") -> None:
    await page.goto(f"{edge.url}/{fragment}")
    await page.wait_for_selector("body[data-loaded=yes]")


async def connect(page: Page, edge: Any) -> Any:
    """Press start and take the server's end; the engine is not ready yet."""
    await page.click("#start")
    client = await edge.next_client()
    await page.wait_for_selector("body[data-status=waiting]")
    return client


async def talk(page: Page, edge: Any) -> Any:
    """Connect and get ready."""
    client = await connect(page, edge)
    await client.send(0)
    await page.wait_for_selector("body[data-status=talking]")
    return client


async def until(page: Page, condition: str) -> None:
    """Wait for a condition in the page. (Playwright's own way evaluates a string, which the page's policy forbids.)"""
    async with asyncio.timeout(20):
        await page.evaluate(
            f"new Promise((ok) => {{ const t = () => ({condition}) ? ok() : setTimeout(t, 30); t(); }})"
        )


async def status_text(page: Page) -> str:
    return (await page.inner_text("#status")).replace("\n", " ")


async def test_the_page_waits_for_the_handshake_and_then_sends_speech(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    client = await connect(page, edge)
    assert client.payloads(1) == []
    await client.send(0)
    await client.wait_for(lambda: len(client.payloads(1)) >= 30)
    messages = client.payloads(1)
    assert messages[0][:4] == b"OggS"
    assert b"OpusHead" in messages[0]
    assert b"OpusTags" in messages[0]
    demuxer, decoder = OggOpusDemuxer(), OpusDecoder()
    pages = [demuxer.feed(message) for message in messages]
    assert pages[0] == []
    assert {len(packets) for packets in pages[1:]} == {4}
    pcm = [decoder.decode(packet) for packets in pages for packet in packets]
    assert {len(samples) for samples in pcm} == {480}
    assert np.sqrt(np.mean(np.concatenate(pcm) ** 2)) > 0.005
    assert (demuxer.bad_pages, demuxer.lost_pages) == (0, 0)


async def speak(client: Any, talker: Any) -> None:
    """Send Hugo's voice at the server's pace, a frame each 80 ms, until cancelled."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    await client.send(1, talker.head())
    for number in itertools.count():
        await asyncio.sleep(max(0.0, start + 0.08 * number - loop.time()))
        await client.send(1, talker.page())


async def test_what_hugo_says_is_played_and_all_of_it_is_accounted_for(page: Page, edge: Any, talker: Any) -> None:
    await open_page(page, edge)
    client = await talk(page, edge)
    speaking = asyncio.create_task(speak(client, talker))
    await until(page, "splitbrain.stats.framesPlayed >= 35 && splitbrain.stats.roundTripMs !== null")
    speaking.cancel()
    stats = await page.evaluate("({...splitbrain.stats})")
    assert stats["peakRms"] == pytest.approx(0.3 * np.sqrt(0.5), rel=0.15)
    assert (stats["badPages"], stats["decodeErrors"]) == (0, 0)
    assert stats["firstSoundMs"] > 0
    known_ms = stats["playedMs"] + stats["bufferedMs"] + stats["droppedMs"] + stats["squeezedMs"]
    assert known_ms == pytest.approx(20 * stats["packetsReceived"], abs=300)  # figures come ten times a second


async def test_a_burst_of_late_sound_is_dropped_not_played_late(page: Page, edge: Any, talker: Any) -> None:
    await open_page(page, edge)
    client = await talk(page, edge)
    await client.send(1, talker.head() + b"".join(talker.page() for _ in range(30)))
    await until(page, "splitbrain.stats.droppedMs >= 2400 - 600 - 100")
    stats = await page.evaluate("splitbrain.stats")
    assert stats["bufferedMs"] <= 600
    assert stats["decodeErrors"] == 0


async def test_the_query_carries_the_choices_and_no_consent_by_default(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    await page.select_option("#language", "en")
    await page.select_option("#engine", "personaplex")
    await page.click("summary:has-text('More options')")
    await page.fill("#voice", "NATF1")
    await page.fill("#prompt", "You sell bikes & tyres.")
    await page.click("label[for=consent-storeTranscript]")
    client = await connect(page, edge)
    assert client.query == {
        "events": "1",
        "engine": "personaplex",
        "language": "en",
        "voice_prompt": "NATF1",
        "text_prompt": "You sell bikes & tyres.",
        "consent_store_audio": "0",
        "consent_store_transcript": "1",
        "consent_emotion": "0",
    }


async def test_consent_changes_in_mid_call_and_follows_the_server(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    client = await talk(page, edge)
    await page.click("label[for=consent-emotion]")
    assert await client.json_message() == {
        "type": "consent",
        "storeAudio": False,
        "storeTranscript": False,
        "emotion": True,
    }
    await client.event(ConsentChanged(Consent(store_audio=True)), source="edge")
    await expect(page.locator("#consent-storeAudio")).to_be_checked()
    await expect(page.locator("#consent-emotion")).not_to_be_checked()


async def test_a_workplace_cannot_switch_emotion_on(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    client = await talk(page, edge)
    await client.event(SessionStarted("cascade", "nl", profile="workplace"), source="edge")
    await expect(page.locator("#consent-emotion")).to_be_disabled()
    await expect(page.locator("#consent-locked")).to_be_visible()


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


async def test_the_whole_conversation_is_readable(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    client = await talk(page, edge)
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
    assert "niet beschikbaar" in rows[3]
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


async def test_hanging_up_brings_the_scorecard_whatever_its_form(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    client = await talk(page, edge)
    await page.click("#hangup")
    assert await client.json_message() == {"type": "end"}
    assert await page.get_attribute("body", "data-status") == "ending"
    last = client.payloads(1)[-1]
    assert last[5] & 4, "the last Ogg page is marked as the end"
    await client.event(ScorecardReady("1.2.0", CARD), source="evaluator")
    await asyncio.wait_for(client.is_closed.wait(), 10)
    assert client.close_code == 1000
    await page.wait_for_selector("body[data-status=ended]")
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


async def test_the_evaluators_own_scorecard_is_readable(page: Page, edge: Any) -> None:
    events = role_play()
    card = evaluate_events(events).data
    await open_page(page, edge)
    client = await talk(page, edge)
    for event in events:
        await client.envelope(event)
    await page.click("#hangup")
    await client.json_message()
    await client.event(ScorecardReady(card["evaluator_version"], card), source="evaluator", epoch=99)
    await page.wait_for_selector("body[data-status=ended]")
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


async def test_after_the_end_one_can_talk_again(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    first = await talk(page, edge)
    await tell_a_conversation(first)
    await first.close(1000, "the session is over: max_time")
    await page.wait_for_selector("body[data-status=ended]")
    assert await page.inner_text("#start") == "Praat opnieuw"
    await talk(page, edge)
    assert await page.locator(".turn").count() == 0


@pytest.mark.parametrize(
    ("code", "reason", "status", "words"),
    [
        (1008, "the ticket is too old", "denied", "Geen toegang"),
        (1012, "restart", "restarting", "De server herstart"),
        (1013, "full; retry after 30 s", "full", "over ongeveer 30 s"),
        (1011, "engine_failed", "failed", "Het ging mis"),
    ],
)
async def test_closing_says_what_to_do(page: Page, edge: Any, code: int, reason: str, status: str, words: str) -> None:
    await open_page(page, edge)
    client = await connect(page, edge)
    await client.close(code, reason)
    await page.wait_for_selector(f"body[data-status={status}]")
    assert words in await status_text(page)
    assert await page.inner_text("#start") == "Probeer opnieuw"
    assert reason in await page.inner_text("#status-detail")
    await connect(page, edge)


async def test_the_seconds_to_wait_run_out(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    client = await connect(page, edge)
    await client.close(1013, "full; retry after 1 s")
    await expect(page.locator("#status-help")).to_have_text("Misschien is er weer een lijn vrij: probeer nu.")


async def test_a_lost_connection_is_told(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    client = await talk(page, edge)
    client.abort()
    await page.wait_for_selector("body[data-status=lost]")
    assert "Verbinding verbroken" in await status_text(page)


SESSION = b'{"kind":"session","sessionId":"s-1","resumeToken":"s-1.secret","resumeSeconds":30}'


async def test_a_broken_connection_is_taken_up_again(page: Page, edge: Any, talker: Any) -> None:
    await open_page(page, edge, "#token=t")
    first = await connect(page, edge)
    await first.send(4, SESSION)
    await first.send(0)
    await first.event(Transcript("u1", "user", "Goedemorgen.", True, 0, 900, "nl"), id="voice:transcript:u1:final")
    await expect(page.locator("#turns .said")).to_have_text("Goedemorgen.")
    first.abort()
    second = await edge.next_client()
    assert second.query["resume"] == "s-1.secret"
    assert second.query["last_event"] == "voice:transcript:u1:final"
    assert second.query["ticket"] == "one-time-ticket"
    assert await page.get_attribute("body", "data-status") == "resuming"
    assert await page.locator("#turns .turn").count() == 1
    await second.send(0)
    await page.wait_for_selector("body[data-status=talking]")
    await second.wait_for(lambda: len(second.payloads(1)) > 3)
    assert b"OpusHead" in second.payloads(1)[0]
    await second.send(1, talker.head() + b"".join(talker.page() for _ in range(5)))
    await until(page, "splitbrain.stats.peakRms > 0.1")


async def test_a_restarting_server_is_found_again_even_if_it_is_full_at_first(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    first = await connect(page, edge)
    await first.send(4, SESSION)
    await first.send(0)
    await page.wait_for_selector("body[data-status=talking]")
    await first.close(1012, "this server restarts: connect again")
    second = await edge.next_client()
    await second.close(1013, "try again in 5 s")
    third = await edge.next_client()
    await third.send(0)
    await page.wait_for_selector("body[data-status=talking]")


async def test_the_page_stops_looking_when_the_server_no_longer_keeps_the_conversation(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    first = await connect(page, edge)
    await first.send(4, SESSION.replace(b"30", b"1"))
    await first.send(0)
    await page.wait_for_selector("body[data-status=talking]")
    first.abort()
    for _ in range(2):
        (await edge.next_client()).abort()
    await page.wait_for_selector("body[data-status=lost]")
    assert edge.clients.empty()


async def test_one_can_hang_up_while_reconnecting(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    first = await connect(page, edge)
    await first.send(4, SESSION)
    await first.send(0)
    await page.wait_for_selector("body[data-status=talking]")
    first.abort()
    await page.wait_for_selector("body[data-status=resuming]")
    await page.keyboard.press("Escape")
    await page.wait_for_selector("body[data-status=ended]")


async def test_a_refused_upgrade_is_explained_by_the_ticket_desk(page: Page, edge: Any) -> None:
    edge.refuse_chat = 401
    edge.ticket_status = 401
    await open_page(page, edge)
    await page.click("#start")
    await page.wait_for_selector("body[data-status=denied]")


async def test_a_voice_that_is_no_name_is_refused_before_the_call(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    await page.click("summary:has-text('Meer opties')")
    await page.fill("#voice", "../secret")
    await page.click("#start")
    assert await page.evaluate("document.activeElement.id") == "voice"
    assert await page.get_attribute("body", "data-status") == "idle"


async def test_trouble_while_talking_is_shown_and_goes_away(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    client = await talk(page, edge)
    await client.event(EngineState("degraded", "cascade", "the coach is away"))
    await page.wait_for_selector("body[data-status=degraded]")
    assert "the coach is away" in await page.inner_text("#status-detail")
    await client.event(EngineState("migrating", "cascade"))
    await page.wait_for_selector("body[data-status=migrating]")
    await client.event(EngineState("resumed", "cascade"))
    await page.wait_for_selector("body[data-status=talking]")
    await client.event(Notice("audio_shed", "warning", "Audio was dropped", 4), source="edge")
    await expect(page.locator("#alert")).to_contain_text("Waarschuwing: Audio was dropped (4)")
    await page.click("#dismiss")
    await expect(page.locator("#alert")).to_be_empty()
    await expect(page.locator("#notices li")).to_have_count(1)
    await client.send(5, b"tekst van de fout")
    await expect(page.locator("#status-detail")).to_have_text("tekst van de fout")


async def test_strange_messages_do_no_harm(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    client = await talk(page, edge)
    for kind, payload in ((9, b"x"), (4, b"{"), (4, b"3"), (4, b'{"type":"soon"}'), (1, b"no ogg"), (6, b"")):
        await client.send(kind, payload)
    await client.event(Transcript("u1", "user", "<img src=x onerror=alert(1)>", True, 0, 900, "nl"))
    await expect(page.locator("#turns .said")).to_have_text("<img src=x onerror=alert(1)>")
    assert await page.locator("#turns img").count() == 0


async def test_muting_sends_silence_so_that_time_goes_on(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    client = await talk(page, edge)
    await client.wait_for(lambda: len(client.payloads(1)) > 3)
    await page.click("#mute")
    assert await page.get_attribute("#mute", "aria-pressed") == "true"
    await expect(page.locator("#voice-user .doing")).to_have_text("microfoon uit")
    n_before = len(client.payloads(1))
    await client.wait_for(lambda: len(client.payloads(1)) > n_before + 12)
    demuxer, decoder = OggOpusDemuxer(), OpusDecoder()
    pages = [demuxer.feed(message) for message in client.payloads(1)]
    late = [decoder.decode(packet) for packets in pages for packet in packets][-16:]
    assert np.max(np.abs(np.concatenate(late))) < 0.001


async def test_the_token_never_stands_in_an_address(page: Page, edge: Any) -> None:
    await open_page(page, edge, "#token=secret-token")
    assert "secret" not in page.url
    client = await connect(page, edge)
    assert client.query["ticket"] == "one-time-ticket"
    assert edge.authorizations == ["Bearer secret-token", "Bearer secret-token"]
    assert not any("secret" in request for request in edge.requests)
    await page.reload()
    await page.wait_for_selector("body[data-loaded=yes]")
    assert edge.authorizations[-1] == "Bearer secret-token"


@pytest.mark.parametrize(("http", "status", "words"), [(401, "denied", "Geen toegang"), (503, "full", "ongeveer 7 s")])
async def test_a_refused_ticket_is_told(page: Page, edge: Any, http: int, status: str, words: str) -> None:
    edge.ticket_status = http
    await open_page(page, edge, "#token=t")
    await page.click("#start")
    await page.wait_for_selector(f"body[data-status={status}]")
    assert words in await status_text(page)


async def test_without_a_list_of_engines_one_can_still_talk(page: Page, edge: Any) -> None:
    edge.engines = None
    await open_page(page, edge)
    assert "kon niet gelezen worden" in await page.inner_text("#engine-help")
    client = await connect(page, edge)
    assert "engine" not in client.query


async def test_engines_follow_the_language(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    assert await page.locator("#engine option").all_inner_texts() == [
        "Automatisch (de beste voor deze taal)",
        "cascade",
        "openai_realtime (nu niet beschikbaar)",
    ]
    await page.select_option("#language", "en")
    assert await page.locator("#engine option").all_inner_texts() == [
        "Automatic (best for this language)",
        "cascade",
        "personaplex",
        "openai_realtime (not available now)",
    ]
    assert await page.get_attribute("html", "lang") == "en"


async def test_a_refused_microphone_is_told_with_the_way_out(chromium: Browser, edge: Any) -> None:
    context = await chromium.new_context(locale="nl-NL")  # no permission: headless browsers answer "denied"
    tab = await context.new_page()
    await open_page(tab, edge)
    await tab.click("#start")
    await tab.wait_for_selector("body[data-status=mic_failed]")
    assert "geweigerd" in await status_text(tab)
    assert edge.clients.empty()
    await context.close()


async def test_a_browser_without_codecs_gets_a_clear_message(page: Page, edge: Any) -> None:
    await page.add_init_script("delete window.AudioEncoder")
    await open_page(page, edge)
    assert "WebCodecs" in await status_text(page)
    assert await page.is_hidden("#start")


async def test_one_can_hang_up_while_waiting(page: Page, edge: Any) -> None:
    await open_page(page, edge)
    client = await connect(page, edge)
    await page.click("#hangup")
    await asyncio.wait_for(client.is_closed.wait(), 10)
    await page.wait_for_selector("body[data-status=ended]")
    assert await page.evaluate("document.activeElement.id") == "start"
