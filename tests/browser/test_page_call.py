"""The life of a call through the page: choices, consent, access, closing codes, reconnection, trouble."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page, expect

from shared.events import (
    Consent,
    ConsentChanged,
    EngineState,
    Notice,
    SessionStarted,
    Transcript,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_query_carries_the_choices_and_no_consent_by_default(person: Any, page: Page) -> None:
    await person.open()
    await page.select_option("#language", "en")
    await page.select_option("#engine", "personaplex")
    await page.click("summary:has-text('More options')")
    await page.fill("#voice", "NATF1")
    await page.fill("#prompt", "You sell bikes & tyres.")
    await page.click("label[for=consent-storeTranscript]")
    client = await person.connect()
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


async def test_consent_changes_in_mid_call_and_follows_the_server(person: Any, page: Page, edge: Any) -> None:
    await person.open()
    client = await person.talk()
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


async def test_the_first_voice_can_be_had_again_when_it_is_free(person: Any, page: Page, edge: Any) -> None:
    await person.open()
    client = await person.talk()
    await client.event(SessionStarted("personaplex", "en"), source="edge")
    await client.event(Notice("engine_changed", "info", "on with cascade"), source="edge")
    await expect(page.locator("#change-engine")).to_have_count(0)
    await client.event(Notice("engine_available", "info", "free again"), source="edge")
    await page.click("#change-engine")
    assert await client.json_message() == {"type": "engine", "engine": "personaplex"}
    await expect(page.locator("#change-engine")).to_have_count(0)


async def test_a_workplace_cannot_switch_emotion_on(person: Any, page: Page, edge: Any) -> None:
    await person.open()
    client = await person.talk()
    await client.event(SessionStarted("cascade", "nl", profile="workplace"), source="edge")
    await expect(page.locator("#consent-emotion")).to_be_disabled()
    await expect(page.locator("#consent-locked")).to_be_visible()


async def test_a_workplace_is_known_before_the_call(person: Any, page: Page, edge: Any) -> None:
    edge.profile = "workplace"
    await person.open()
    await expect(page.locator("#consent-emotion")).to_be_disabled()
    await expect(page.locator("#consent-locked")).to_be_visible()


@pytest.mark.parametrize(
    ("code", "reason", "status", "words"),
    [
        (1008, "the ticket is too old", "denied", "Geen toegang"),
        (1012, "restart", "restarting", "De server herstart"),
        (1013, "full; retry after 30 s", "full", "over ongeveer 30 s"),
        (1011, "engine_failed", "failed", "Het ging mis"),
    ],
)
async def test_closing_says_what_to_do(
    person: Any, page: Page, code: int, reason: str, status: str, words: str
) -> None:
    await person.open()
    client = await person.connect()
    await client.close(code, reason)
    await person.sees(status)
    assert words in await person.status_text()
    assert await page.inner_text("#start") == "Probeer opnieuw"
    assert reason in await page.inner_text("#status-detail")
    await person.connect()


async def test_the_seconds_to_wait_run_out(person: Any, page: Page) -> None:
    await person.open()
    client = await person.connect()
    await client.close(1013, "full; retry after 1 s")
    await expect(page.locator("#status-help")).to_have_text("Misschien is er weer een lijn vrij: probeer nu.")


async def test_a_lost_connection_is_told(person: Any) -> None:
    await person.open()
    client = await person.talk()
    client.abort()
    await person.sees("lost")
    assert "Verbinding verbroken" in await person.status_text()


SESSION = b'{"kind":"session","sessionId":"s-1","resumeToken":"s-1.secret","resumeSeconds":30}'


async def test_a_broken_connection_is_taken_up_again(person: Any, page: Page, edge: Any, talker: Any) -> None:
    await person.open("#token=t")
    first = await person.connect()
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
    await person.sees("talking")
    await second.wait_for(lambda: len(second.payloads(1)) > 3)
    assert b"OpusHead" in second.payloads(1)[0]
    await second.send(1, talker.head() + b"".join(talker.page() for _ in range(5)))
    await person.until("splitbrain.stats.peakRms > 0.1")


async def test_a_restarting_server_is_found_again_even_if_it_is_full_at_first(person: Any, edge: Any) -> None:
    await person.open()
    first = await person.connect()
    await first.send(4, SESSION)
    await first.send(0)
    await person.sees("talking")
    await first.close(1012, "this server restarts: connect again")
    second = await edge.next_client()
    await second.close(1013, "try again in 5 s")
    third = await edge.next_client()
    await third.send(0)
    await person.sees("talking")


async def test_the_page_stops_looking_when_the_server_no_longer_keeps_the_conversation(person: Any, edge: Any) -> None:
    await person.open()
    first = await person.connect()
    await first.send(4, SESSION.replace(b"30", b"1"))
    await first.send(0)
    await person.sees("talking")
    tries = 0

    async def refuse_all() -> None:
        nonlocal tries
        while True:
            (await edge.clients.get()).abort()
            tries += 1

    refusing = asyncio.create_task(refuse_all())
    first.abort()
    await person.sees("lost")
    assert tries >= 1, "it looked for the server within its second, as often as the machine let it"
    refusing.cancel()


async def test_one_can_hang_up_while_reconnecting(person: Any, page: Page) -> None:
    await person.open()
    first = await person.connect()
    await first.send(4, SESSION)
    await first.send(0)
    await person.sees("talking")
    first.abort()
    await person.sees("resuming")
    await page.keyboard.press("Escape")
    await person.sees("ended")


async def test_a_refused_upgrade_is_explained_by_the_ticket_desk(person: Any, page: Page, edge: Any) -> None:
    edge.refuse_chat = 401
    edge.ticket_status = 401
    await person.open()
    await page.click("#start")
    await person.sees("denied")


async def test_a_voice_that_is_no_name_is_refused_before_the_call(person: Any, page: Page) -> None:
    await person.open()
    await page.click("summary:has-text('Meer opties')")
    await page.fill("#voice", "../secret")
    await page.click("#start")
    assert await page.evaluate("document.activeElement.id") == "voice"
    assert await page.get_attribute("body", "data-status") == "idle"


async def test_trouble_while_talking_is_shown_and_goes_away(person: Any, page: Page, edge: Any) -> None:
    await person.open()
    client = await person.talk()
    await client.event(EngineState("degraded", "cascade", "the coach is away"))
    await person.sees("degraded")
    assert "the coach is away" in await page.inner_text("#status-detail")
    await client.event(EngineState("migrating", "cascade"))
    await person.sees("migrating")
    await client.event(EngineState("resumed", "cascade"))
    await person.sees("talking")
    await client.event(Notice("audio_shed", "warning", "Audio was dropped", 4), source="edge")
    await expect(page.locator("#alert")).to_contain_text("Waarschuwing: Audio was dropped (4)")
    await page.click("#dismiss")
    await expect(page.locator("#alert")).to_be_empty()
    await expect(page.locator("#notices li")).to_have_count(1)
    await client.send(5, b"tekst van de fout")
    await expect(page.locator("#status-detail")).to_have_text("tekst van de fout")


async def test_the_token_never_stands_in_an_address(person: Any, page: Page, edge: Any) -> None:
    await person.open("#token=secret-token")
    assert "secret" not in page.url
    client = await person.connect()
    assert client.query["ticket"] == "one-time-ticket"
    assert edge.authorizations == ["Bearer secret-token", "Bearer secret-token"]
    assert not any("secret" in request for request in edge.requests)
    await page.reload()
    await page.wait_for_selector("body[data-loaded=yes]")
    assert edge.authorizations[-1] == "Bearer secret-token"


@pytest.mark.parametrize(("http", "status", "words"), [(401, "denied", "Geen toegang"), (503, "full", "ongeveer 7 s")])
async def test_a_refused_ticket_is_told(person: Any, page: Page, edge: Any, http: int, status: str, words: str) -> None:
    edge.ticket_status = http
    await person.open("#token=t")
    await page.click("#start")
    await person.sees(status)
    assert words in await person.status_text()


async def test_without_a_list_of_engines_one_can_still_talk(person: Any, page: Page, edge: Any) -> None:
    edge.engines = None
    await person.open()
    assert "kon niet gelezen worden" in await page.inner_text("#engine-help")
    client = await person.connect()
    assert "engine" not in client.query


async def test_engines_follow_the_language(person: Any, page: Page) -> None:
    await person.open()
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


async def test_a_refused_microphone_is_told_with_the_way_out(person: Any, page: Page, edge: Any) -> None:
    await page.context.clear_permissions()  # headless browsers then answer "denied"
    await person.open()
    await page.click("#start")
    await person.sees("mic_failed")
    assert "geweigerd" in await person.status_text()
    assert edge.clients.empty()


async def test_a_browser_without_codecs_gets_a_clear_message(person: Any, page: Page) -> None:
    await page.add_init_script("delete window.AudioEncoder")
    await person.open()
    assert "WebCodecs" in await person.status_text()
    assert await page.is_hidden("#start")


async def test_one_can_hang_up_while_waiting(person: Any, page: Page) -> None:
    await person.open()
    client = await person.connect()
    await page.click("#hangup")
    await asyncio.wait_for(client.is_closed.wait(), 10)
    await person.sees("ended")
    assert await page.evaluate("document.activeElement.id") == "start"
