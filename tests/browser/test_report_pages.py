"""The pages of reports in a real browser: nothing is loaded, evidence is played, what was said runs nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page

from services.evaluator.report.build import report_recording
from services.evaluator.report.folder import folder_page
from services.evaluator.report.session import session_page
from services.evaluator.report.summary import summary_of
from services.evaluator.report.texts import Words
from shared.coaching.detector import rule_detector
from tests.services.evaluator.recorded_talks import EVIL, humming_view, role_play_view, scene_events, view_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

Open = Callable[[str], "asyncio.Future[Page]"]


@pytest_asyncio.fixture(loop_scope="session")
async def show(page: Page, tmp_path: Path) -> AsyncIterator[Open]:
    """A function that opens a page; nothing but the file itself may be asked for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    async def open_page(html: str) -> Page:
        path = tmp_path / "report.html"
        path.write_text(html, "utf-8")
        await page.goto(path.as_uri())
        await page.wait_for_selector("body[data-ready=yes]")
        return page

    yield open_page  # type: ignore[misc]
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


async def until(page: Page, condition: str) -> None:
    async with asyncio.timeout(10):
        while not await page.evaluate(condition):
            await asyncio.sleep(0.03)  # looks again: a page has no event for what a test wants to see


async def test_evidence_is_played_on_both_tracks_from_its_place(show: Open) -> None:
    page = await show(report_recording(humming_view().recording, detector=rule_detector()))
    assert await page.locator("#chart canvas").count() == 1
    await until(page, "[...document.querySelectorAll('audio')].every((sound) => sound.readyState >= 2)")
    turn = humming_view().turns[2].turn
    await page.click(f"#turn-{turn.id} button.at")
    await until(page, f"player.lead.currentTime > {turn.start_ms / 1000 + 0.3}")
    assert await page.locator(f"#turn-{turn.id}.now").count() == 1
    apart = "Math.abs(player.sounds[0].currentTime - player.sounds[1].currentTime)"
    await until(page, f"player.sounds.every((sound) => !sound.paused) && {apart} < 0.12")
    await page.keyboard.press("Escape")
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press(" ")
    await until(page, "player.sounds.every((sound) => sound.paused)")
    await page.uncheck("#hear-hugo")
    assert await page.evaluate("[...document.querySelectorAll('audio')].map((sound) => sound.muted)") == [True, False]


async def test_keys_move_through_the_talk(show: Open) -> None:
    page = await show(session_page(role_play_view(), Words("en"), {}, {}))
    for key, at_ms in (("n", 500), ("n", 5_200), ("ArrowRight", 10_200), ("p", 5_200), ("ArrowLeft", 200)):
        await page.keyboard.press(key)
        near = await page.evaluate("player.at_ms")
        assert abs(near - at_ms) < 1_500, key
    await page.click("button[data-filter=errors]")
    shown = await page.locator("li.turn:visible").count()
    assert 0 < shown < len(role_play_view().turns)


async def test_what_was_said_runs_nowhere(show: Open) -> None:
    page = await show(session_page(view_of(scene_events(EVIL)), Words("nl"), {}, {}))
    assert await page.title() != "owned"
    assert EVIL in await page.inner_text("ol.talk")
    assert await page.locator("img").count() == 0


@pytest.mark.parametrize("width", [360, 1280])
async def test_pages_fit_a_phone_and_a_desk(show: Open, page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 800})
    one = summary_of(role_play_view())
    many = [replace(one, id=f"01jd{n:022d}", engine="echo" if n % 2 else "cascade") for n in range(4)]
    for html in (session_page(role_play_view(), Words("nl"), {}, {}), folder_page("calls", many, Words("nl"))):
        shown = await show(html)
        assert await shown.evaluate("document.documentElement.scrollWidth") <= width


async def test_a_list_of_many_is_drawn_and_sorted(show: Open) -> None:
    one = summary_of(role_play_view())
    many = [
        replace(one, id=f"01jd{n:022d}", started_wall_ms=n * 86_400_000, n_turns=20 - n, engine="ab"[n % 2])
        for n in range(6)
    ]
    page = await show(folder_page("calls", many, Words("en")))
    assert await page.locator(".chart canvas").count() == 5
    await page.select_option("#pick", "talk_share")
    await page.click("#recordings button[data-column='3']")
    column = await page.eval_on_selector_all(
        "#recordings tbody tr", "rows => rows.map((row) => row.cells[3].textContent)"
    )
    assert column == sorted(column, key=int)
