"""Sound through the page: a recorded microphone, the browser's codecs, real Ogg-Opus both ways."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page, expect

from shared.audio.ogg import OggOpusDemuxer
from shared.audio.opus import OpusDecoder

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_page_waits_for_the_handshake_and_then_sends_speech(person: Any) -> None:
    await person.open()
    client = await person.connect()
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


async def test_what_hugo_says_is_played_and_all_of_it_is_accounted_for(person: Any, page: Page, talker: Any) -> None:
    await person.open()
    client = await person.talk()
    speaking = asyncio.create_task(speak(client, talker))
    await person.until("splitbrain.stats.framesPlayed >= 35 && splitbrain.stats.roundTripMs !== null")
    speaking.cancel()
    stats = await page.evaluate("({...splitbrain.stats})")
    assert stats["peakRms"] == pytest.approx(0.3 * np.sqrt(0.5), rel=0.15)
    assert (stats["badPages"], stats["decodeErrors"]) == (0, 0)
    assert stats["firstSoundMs"] > 0
    known_ms = stats["playedMs"] + stats["bufferedMs"] + stats["droppedMs"] + stats["squeezedMs"]
    assert known_ms == pytest.approx(20 * stats["packetsReceived"], abs=300)  # figures come ten times a second


async def test_a_burst_of_late_sound_is_dropped_not_played_late(person: Any, page: Page, talker: Any) -> None:
    await person.open()
    client = await person.talk()
    await client.send(1, talker.head() + b"".join(talker.page() for _ in range(30)))
    await person.until("splitbrain.stats.droppedMs >= 2400 - 600 - 100")
    stats = await page.evaluate("splitbrain.stats")
    assert stats["bufferedMs"] <= 600
    assert stats["decodeErrors"] == 0


async def test_muting_sends_silence_so_that_time_goes_on(person: Any, page: Page) -> None:
    await person.open()
    client = await person.talk()
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
