"""The whole system from a browser: a recorded voice speaks, Hugo answers aloud, the words and the score are shown.

`running_stack` (tests/conftest.py) is the whole product as a user starts it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page

from services.command_line.deployment import Deployment

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

STATE = "({...splitbrain.getState(), stats: {...splitbrain.stats}})"


async def state_when(page: Page, condition: str, timeout_s: float) -> Any:
    """The page's state as soon as `condition` (over `s`, `stats`) holds; fails with that state otherwise."""
    script = (
        "new Promise((ok) => { const look = () => { const s = splitbrain.getState(); const stats = splitbrain.stats;"
        f" if ({condition}) ok({STATE}); else setTimeout(look, 50); }}; look(); }})"
    )
    try:
        async with asyncio.timeout(timeout_s):
            return await page.evaluate(script)
    except TimeoutError:
        state = await page.evaluate(STATE)
        pytest.fail(f"not within {timeout_s} s: {condition}\n{state['status']} {state['detail']} {state['stats']}")


async def test_a_person_talks_with_hugo_and_gets_a_scorecard(running_stack: Deployment, page: Page) -> None:
    await page.goto(running_stack.url)
    await page.wait_for_selector("body[data-loaded=yes]")
    await page.select_option("#language", "en")
    await page.click("#start")
    await state_when(page, "s.status === 'talking'", 60)

    heard = await state_when(page, "stats.peakRms > 0.01 && stats.framesPlayed > 10", 60)
    assert heard["stats"]["firstSoundMs"] > 0

    told = await state_when(
        page,
        "s.turns.some((t) => t.speaker === 'user' && t.isFinal && t.text) && s.turns.some((t) => t.speaker === 'hugo')",
        60,
    )
    assert told["stats"]["decodeErrors"] == 0
    assert told["stats"]["badPages"] == 0
    assert told["delivery"] is None or told["delivery"]["prosody"]["emotion"] is None
    shown = await page.locator("#turns .turn.user .said").all_inner_texts()
    assert any(text.strip() for text in shown)

    await page.click("#hangup")
    ended = await state_when(page, "s.status === 'ended'", 30)
    assert ended["scorecard"] is not None, ended["notices"]
    assert await page.is_visible("#scorecard")
