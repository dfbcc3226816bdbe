"""The page's pure modules, run in the browser that will run them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page

from services.evaluator.metrics import load_metrics
from shared.audio.ogg import OggOpusDemuxer, OggOpusMuxer
from shared.coaching.knowledge import load_knowledge

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

KNOWLEDGE = Path(__file__).parents[2] / "shared" / "coaching" / "knowledge" / "epic.json"
TO_BASE64 = "(bytes) => btoa(String.fromCharCode(...bytes))"
FROM_BASE64 = "(text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))"


async def run(page: Page, edge: Any, module: str, body: str, argument: Any = None) -> Any:
    """Run `body` with the module's exports as `m` and the argument as `a`."""
    await page.goto(f"{edge.url}/blank")
    return await page.evaluate(
        f"async (a) => {{ const m = await import('/static/{module}');"
        f" const to64 = {TO_BASE64}; const from64 = {FROM_BASE64}; {body} }}",
        argument,
    )


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


PACKETS = [bytes([0x48, *([n % 251] * n)]) for n in (1, 3, 254, 255, 10, 0, 600, 20)]
"""Opus packets of 20 ms (SILK wideband, code 0) whose sizes cross the edges of Ogg's lacing."""


async def test_pages_made_in_the_browser_are_read_by_the_server(page: Page, edge: Any) -> None:
    pages = await run(
        page,
        edge,
        "ogg.js",
        "const x = new m.OggOpusMuxer({serial: 0xfffffffe}); const out = [x.headers()];"
        "for (const p of a) { const page = x.add(from64(p)); if (page) out.push(page); }"
        "out.push(x.finish()); return out.map(to64);",
        [encoded(packet) for packet in PACKETS],
    )
    demuxer = OggOpusDemuxer()
    found = [packet for page_text in pages for packet in demuxer.feed(base64.b64decode(page_text))]
    assert found == PACKETS
    assert len(pages) == 1 + len(PACKETS) // 4 + 1
    assert (demuxer.bad_pages, demuxer.lost_pages) == (0, 0)


@pytest.mark.parametrize("chunk", [1, 7, 100, 10_000])
async def test_pages_of_the_server_are_read_in_any_chunking(page: Page, edge: Any, chunk: int) -> None:
    muxer = OggOpusMuxer(5)
    stream = muxer.head() + b"".join(muxer.pages([packet], 480) for packet in PACKETS)
    found = await run(
        page,
        edge,
        "ogg.js",
        "const x = new m.OggOpusDemuxer(); const all = from64(a.stream); const out = [];"
        "for (let i = 0; i < all.length; i += a.chunk) out.push(...x.push(all.slice(i, i + a.chunk)));"
        "return {packets: out.map(to64), bad: x.badPages, lost: x.lostPages, preSkip: x.preSkip, streams: x.streams};",
        {"stream": encoded(stream), "chunk": chunk},
    )
    assert [base64.b64decode(packet) for packet in found["packets"]] == PACKETS
    assert (found["bad"], found["lost"], found["streams"]) == (0, 0, 1)
    assert found["preSkip"] > 0


async def test_a_damaged_page_is_left_out_and_the_next_is_read(page: Page, edge: Any) -> None:
    muxer = OggOpusMuxer(5)
    head, first, second, third = muxer.head(), *(muxer.pages([packet], 480) for packet in PACKETS[:3])
    damaged = bytearray(second)
    damaged[-1] ^= 0xFF
    again = OggOpusMuxer(6)
    stream = b"junk" + head + first + bytes(damaged) + third + again.head() + again.pages(PACKETS[4:5], 480)
    found = await run(
        page,
        edge,
        "ogg.js",
        "const x = new m.OggOpusDemuxer(); const p = x.push(from64(a));"
        "return {packets: p.map(to64), bad: x.badPages, lost: x.lostPages, streams: x.streams};",
        encoded(stream),
    )
    kept = [PACKETS[0], PACKETS[2], PACKETS[4]]
    assert [base64.b64decode(packet) for packet in found["packets"]] == kept
    assert (found["bad"], found["lost"], found["streams"]) == (1, 1, 2)


async def test_packet_lengths_follow_the_opus_table(page: Page, edge: Any) -> None:
    rows = [
        ([0x48], 20),
        ([0x08, 0], 20),
        ([0x80], 2.5),
        ([0x98], 20),
        ([0x99], 40),
        ([0x18], 60),
        ([0x9B, 3], 60),
        ([], 0),
    ]
    lengths = await run(
        page, edge, "ogg.js", "return a.map((p) => m.opusPacketMs(Uint8Array.from(p)));", [bytes_ for bytes_, _ in rows]
    )
    assert lengths == [ms for _, ms in rows]


@pytest.mark.parametrize(("rate_from", "rate_to"), [(48_000, 24_000), (24_000, 48_000), (44_100, 24_000)])
async def test_resampling_keeps_a_tone_and_removes_what_cannot_be_held(
    page: Page, edge: Any, rate_from: int, rate_to: int
) -> None:
    answer = await run(
        page,
        edge,
        "resample.js",
        "const tone = (hz) => { const r = new m.Resampler(a[0], a[1]); const out = [];"
        "for (let b = 0; b < 100; b += 1) out.push(...r.process(Float32Array.from({length: 441},"
        "(_, i) => Math.sin(2 * Math.PI * hz * (b * 441 + i) / a[0])))); return out; };"
        "return {low: tone(1000), high: m.rms(tone(15000).slice(500))};",
        [rate_from, rate_to],
    )
    low = np.array(answer["low"])
    assert abs(len(low) - 44_100 * rate_to / rate_from) < 40
    middle = low[1000:-1000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    peak_hz = np.argmax(spectrum) * rate_to / len(middle)
    assert peak_hz == pytest.approx(1000, abs=5)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(math_rms_of_sine(), rel=0.02)
    if rate_to < 30_000:
        assert answer["high"] < 0.01


def math_rms_of_sine() -> float:
    return float(np.sqrt(0.5))


JITTER = (
    "const j = new m.JitterBuffer(24000); const out = new Float32Array(480);"
    "const loud = () => new Float32Array(480).fill(0.5); const quiet = () => new Float32Array(480);"
    "const pull = (n) => { for (let i = 0; i < n; i += 1) j.pull(out); };"
    "const push = (n, f = loud) => { for (let i = 0; i < n; i += 1) j.push(f()); };"
)


async def test_the_player_waits_for_its_target_then_plays(page: Page, edge: Any) -> None:
    steps = await run(
        page,
        edge,
        "jitter.js",
        JITTER + "push(5); pull(1); const before = [j.playing, out[479]]; push(1); pull(1);"
        "return [before, [j.playing, out[479]], j.bufferedMs, j.playedSamples];",
    )
    assert steps == [[False, 0], [True, 0.5], 100, 480]


async def test_an_underrun_is_counted_and_raises_the_target_up_to_its_bound(page: Page, edge: Any) -> None:
    seen = await run(
        page,
        edge,
        "jitter.js",
        JITTER
        + "const seen = []; for (let k = 0; k < 4; k += 1) { push(8); pull(9); seen.push([j.underruns, j.targetMs]); }"
        "push(8); pull(4); const before = j.targetMs; for (let s = 0; s < 600; s += 1) { push(1); pull(1); }"
        "return [seen, before, j.targetMs, j.underruns];",
    )
    assert seen == [[[1, 140], [2, 160], [3, 160], [4, 160]], 160, 150, 4]


async def test_more_than_600_ms_is_cut_to_the_target(page: Page, edge: Any) -> None:
    answer = await run(
        page,
        edge,
        "jitter.js",
        JITTER + "push(30); const at = j.bufferedMs; push(1); return [at, j.bufferedMs, j.droppedMs];",
    )
    assert answer == [600, 120, 500]


async def test_a_surplus_goes_in_pauses_only(page: Page, edge: Any) -> None:
    answer = await run(
        page,
        edge,
        "jitter.js",
        JITTER + "push(20); for (let s = 0; s < 60; s += 1) { pull(1); push(1); }"
        "const loudEnd = [j.bufferedMs, j.squeezedMs];"
        "for (let s = 0; s < 40; s += 1) { pull(1); push(1, quiet); }"
        "return [loudEnd, j.bufferedMs, j.squeezedMs, j.droppedMs];",
    )
    assert answer[0] == [400, 0]
    assert answer[1] < 160
    assert answer[2] == pytest.approx(400 - answer[1])
    assert answer[3] == 0


async def test_the_round_trip_pairs_frames_of_80_ms(page: Page, edge: Any) -> None:
    median = await run(
        page,
        edge,
        "timing.js",
        "const r = new m.RoundTrip(); const none = r.medianMs();"
        "for (let k = 0; k < 20; k += 1) r.addSent(960, 20 * k);"
        "for (let k = 1; k <= 5; k += 1) r.addReceived(3840, 80 * k - 20 + 35); return [none, r.medianMs()];",
    )
    assert median == [None, 35]


async def test_close_codes_and_retry_times_have_one_meaning(page: Page, edge: Any) -> None:
    answer = await run(
        page,
        edge,
        "connection.js",
        "return [[1000, 1001, 1006, 1007, 1008, 1011, 1012, 1013].map(m.meaningOfClose),"
        "['retry after 12.2 s', '7', '', null, '99999', '0'].map(m.parseRetryAfter)];",
    )
    assert answer[0] == ["ended", "ended", "lost", "failed", "denied", "failed", "restarting", "full"]
    assert answer[1] == [13, 7, 5, 5, 600, 1]


async def test_retries_grow_and_stop_when_the_conversation_is_no_longer_kept(page: Page, edge: Any) -> None:
    pauses = await run(
        page,
        edge,
        "timing.js",
        "const p = new m.RetryPlan(12000, 0); const out = []; let now = 0;"
        "for (let pause; (pause = p.nextPauseMs(now)) !== null; now += pause) out.push(pause);"
        "return out;",
    )
    assert pauses == [300, 600, 1200, 2400, 4000]


async def test_names_of_the_method_are_those_of_the_knowledge_file(page: Page, edge: Any) -> None:
    knowledge = json.loads(KNOWLEDGE.read_text("utf-8"))
    names = await run(page, edge, "method_names.js", "return {...m};")
    assert names["TECHNIQUES"] == {item["id"]: [item["name_nl"], item["name_en"]] for item in knowledge["techniques"]}
    assert names["PHASES"] == {item["id"]: [item["name_nl"], item["name_en"]] for item in knowledge["phases"]}
    assert names["ERRORS"].keys() == knowledge["error_codes"].keys()


async def test_themes_are_named_in_both_languages(page: Page, edge: Any) -> None:
    themes = list(load_knowledge().themes)
    names = await run(page, edge, "method_names.js", "return a.map((t) => m.themeName(t, 'en'));", themes)
    assert len(names) == 8
    english = {item["name_en"] for item in json.loads(KNOWLEDGE.read_text("utf-8"))["techniques"]}
    assert set(names) <= english


async def test_every_figure_of_the_evaluator_has_a_name(page: Page, edge: Any) -> None:
    texts = await run(page, edge, "strings.js", "return m.LANGUAGES.nl;")
    assert {f"metric.{metric.name}" for metric in load_metrics()} <= texts.keys()


async def test_both_languages_have_the_same_texts_and_places(page: Page, edge: Any) -> None:
    languages = await run(page, edge, "strings.js", "return m.LANGUAGES;")
    assert languages["nl"].keys() == languages["en"].keys()
    for key, text in languages["nl"].items():
        assert text.strip(), key
        assert text.count("{") == languages["en"][key].count("{"), key
