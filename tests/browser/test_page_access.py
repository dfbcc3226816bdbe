"""The page for everybody: names and roles, keyboard, contrast, small screens, no motion. Own checks, computed."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from shared.events import (
    CoachToVoice,
    Consent,
    DeliveryHints,
    EngineState,
    MetricsUpdated,
    MetricValue,
    Notice,
    Prosody,
    ProsodyMeasured,
    ScorecardReady,
    SessionStarted,
    Transcript,
    TurnScored,
    TurnStarted,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NEEDS_NAME = {"button", "checkbox", "switch", "combobox", "textbox", "link", "meter", "region", "complementary", "log"}

CONTRAST = """() => {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    context.clearRect(0, 0, 1, 1); context.fillStyle = color; context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => {
    const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const backdrop = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
      if (color[3] !== 0) throw new Error("half transparent: " + at.className);
    }
    throw new Error("the page has no background");
  };
  const seen = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    const isText = walker.currentNode.data.trim() !== "" && !node.closest("script, noscript, option");
    if (!isText || !node.checkVisibility()) continue;
    const style = getComputedStyle(node);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    seen.push({ text: walker.currentNode.data.trim().slice(0, 40), need: isLarge ? 3 : 4.5,
      got: ratio(rgba(style.color), backdrop(node)) });
  }
  for (const node of document.querySelectorAll("select, input, textarea, button:not(#dismiss)")) {
    if (!node.checkVisibility()) continue;
    const style = getComputedStyle(node);
    if (node.type === "checkbox" && node.getAttribute("role") !== "switch") continue;
    seen.push({ text: "#" + node.id, need: 3, got: ratio(rgba(style.borderTopColor), backdrop(node.parentElement)) });
  }
  return seen;
}"""


async def start(page: Page, edge: Any) -> Any:
    await page.goto(edge.url)
    await page.wait_for_selector("body[data-loaded=yes]")
    await page.click("#start")
    client = await edge.next_client()
    await client.send(0)
    await page.wait_for_selector("body[data-status=talking]")
    return client


async def fill(page: Page, client: Any) -> None:
    """Bring every panel to show something of every colour."""
    await client.event(SessionStarted("cascade", "nl", profile="personal_training", consent=Consent(emotion=True)))
    await client.event(TurnStarted("u1", "user", 0))
    await client.event(Transcript("u1", "user", "Wat wilt u?", True, 0, 900, "nl"))
    await client.event(Transcript("h1", "hugo", "Een fiets.", True, 950, 1900, "nl"))
    await client.event(Transcript("u2", "user", "Welke", False, 2000, 2400, "nl"))
    await client.event(
        TurnScored("u1", ("2.1.1",), "partial", 2, ("stacked_questions",), "Wat wilt u?"), source="evaluator"
    )
    await client.event(ProsodyMeasured("u1", 0, 900, Prosody(0.4, "excited", 0.7), "fast", words_per_min=201.0))
    hints = DeliveryHints(tone="challenging", emphasis=("rustig",))
    await client.event(CoachToVoice("u0", "Vraag rustig door.", hints, techniques=("2.1",)), source="coach")
    await client.event(CoachToVoice("u1", "Vat samen."), source="coach")
    bands = [MetricValue(f"m_{band}", 1.0, "s", band, "a note") for band in ("good", "warn", "red", "")]
    await client.event(MetricsUpdated((*bands, MetricValue("none", None, "s"))), source="evaluator")
    await client.event(Notice("one", "info", "een"), source="edge")
    await client.event(Notice("two", "error", "twee"), source="edge")
    await client.event(EngineState("degraded", "cascade", "minder"))
    card = {"overall": 3, "evidence": "Wat wilt u?", "metrics": [{"name": "a", "value": 1, "unit": "s", "band": "red"}]}
    await client.event(ScorecardReady("1", card), source="evaluator")
    await expect(page.locator("#scorecard blockquote")).to_be_visible()


async def too_faint(page: Page) -> list[Any]:
    await page.evaluate("document.getAnimations().forEach((animation) => animation.finish())")
    return [item for item in await page.evaluate(CONTRAST) if item["got"] < item["need"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_all_text_and_controls_stand_out(page: Page, edge: Any, scheme: Any) -> None:
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    await page.goto(edge.url)
    await page.wait_for_selector("body[data-loaded=yes]")
    assert await too_faint(page) == []
    client = await start(page, edge)
    await fill(page, client)
    await page.click("#mute")
    assert await too_faint(page) == []
    for code, status in ((1008, "denied"), (1013, "full")):
        await client.close(code, "reason")
        await page.wait_for_selector(f"body[data-status={status}]")
        assert await too_faint(page) == []
        await page.click("#start")
        client = await edge.next_client()


async def test_the_contrast_check_can_fail(page: Page, edge: Any) -> None:
    await page.goto(edge.url)
    await page.wait_for_selector("body[data-loaded=yes]")
    await page.evaluate("document.querySelector('.tagline').style.color = '#8a8a8a'")
    await page.evaluate("document.querySelector('#engine').style.borderColor = '#dddddd'")
    found = {item["text"][:7] for item in await too_faint(page)}
    assert found == {"Een ver", "#engine"}


async def test_everything_has_a_name_and_a_place(page: Page, edge: Any) -> None:
    client = await start(page, edge)
    await fill(page, client)
    session = await page.context.new_cdp_session(page)
    tree = (await session.send("Accessibility.getFullAXTree"))["nodes"]
    nodes = [node for node in tree if not node["ignored"]]
    named = [(node["role"]["value"].lower(), node.get("name", {}).get("value", "")) for node in nodes]
    assert [role for role, name in named if role in NEEDS_NAME and not name.strip()] == []
    roles = {role for role, _ in named}
    assert {"banner", "main", "complementary", "status", "alert", "heading", "switch", "table", "meter"} <= roles
    assert [role for role, _ in named].count("main") == 1
    focusable = [node for node in nodes if any(item["name"] == "focusable" for item in node.get("properties", []))]
    unnamed = [
        node for node in focusable if not node.get("name", {}).get("value") and node["role"]["value"] != "RootWebArea"
    ]
    assert unnamed == []


async def test_the_documents_structure_is_sound(page: Page, edge: Any) -> None:
    client = await start(page, edge)
    await fill(page, client)
    facts = await page.evaluate(
        """() => ({
          levels: [...document.querySelectorAll("h1,h2,h3,h4,h5,h6")].map((h) => Number(h.tagName[1])),
          ids: [...document.querySelectorAll("[id]")].map((n) => n.id),
          references: [...document.querySelectorAll("[aria-labelledby],[aria-describedby]")].flatMap((n) =>
            [n.getAttribute("aria-labelledby"), n.getAttribute("aria-describedby")].filter(Boolean)),
          inline: document.querySelectorAll("[onclick],[style*='javascript'],script:not([src])").length,
          untranslated: [...document.querySelectorAll("[data-t]")].filter((n) => !n.textContent.trim()).length,
          live: document.querySelector("#turns").getAttribute("aria-live"),
          now: document.querySelector("#turns-now").getAttribute("aria-live"),
        })"""
    )
    levels = facts["levels"]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(set(facts["ids"])) == len(facts["ids"])
    assert set(facts["references"]) <= set(facts["ids"])
    assert (facts["inline"], facts["untranslated"]) == (0, 0)
    assert (facts["live"], facts["now"]) == ("polite", "off")


async def focused(page: Page) -> str:
    return str(
        await page.evaluate(
            """() => { const at = document.activeElement; const style = getComputedStyle(at);
              const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
              return (at.id || at.tagName + "." + at.className).toLowerCase() + (seen ? "" : " (invisible)"); }"""
        )
    )


async def test_everything_is_reached_by_tab_with_a_visible_focus(page: Page, edge: Any) -> None:
    await page.goto(edge.url)
    await page.wait_for_selector("body[data-loaded=yes]")
    reached = []
    for _ in range(10):
        await page.keyboard.press("Tab")
        reached.append(await focused(page))
    assert reached == [
        "a.skip",
        "language",
        "start",
        "keys",
        "engine",
        "summary.",
        "consent-storeaudio",
        "consent-storetranscript",
        "consent-emotion",
        "body. (invisible)",  # the end of the page
    ]


async def test_a_whole_call_without_a_mouse(page: Page, edge: Any) -> None:
    await page.goto(edge.url)
    await page.wait_for_selector("body[data-loaded=yes]")
    await page.focus("#start")
    await page.keyboard.press("Enter")
    client = await edge.next_client()
    await client.send(0)
    await page.wait_for_selector("body[data-status=talking]")
    assert await focused(page) == "hangup"
    await page.keyboard.press("m")
    await expect(page.locator("#mute")).to_have_attribute("aria-pressed", "true")
    assert "uit" in await page.inner_text("#status-help")
    await page.keyboard.press("M")
    await expect(page.locator("#mute")).to_have_attribute("aria-pressed", "false")
    await page.focus("#consent-storeAudio")
    await page.keyboard.press("Space")
    assert (await client.json_message())["storeAudio"] is True
    await page.keyboard.press("Escape")
    assert (await client.json_message(1)) == {"type": "end"}
    await client.close(1000, "goodbye")
    await page.wait_for_selector("body[data-status=ended]")
    assert await page.evaluate("document.activeElement !== document.body")


async def test_shortcuts_can_be_switched_off_and_leave_typing_alone(page: Page, edge: Any) -> None:
    await start(page, edge)
    await page.focus("#language")
    await page.keyboard.press("m")
    await page.uncheck("#keys")
    await page.focus("#hangup")
    await page.keyboard.press("m")
    await page.keyboard.press("Escape")
    assert await page.get_attribute("#mute", "aria-pressed") == "false"
    assert await page.get_attribute("body", "data-status") == "talking"


@pytest.mark.parametrize("width", [360, 768, 1280])
async def test_nothing_is_wider_than_the_screen(page: Page, edge: Any, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 700})
    await page.goto(edge.url)
    await page.wait_for_selector("body[data-loaded=yes]")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    client = await start(page, edge)
    await client.event(Transcript("u9", "user", "woord" * 60, True, 0, 900, "nl"))
    await fill(page, client)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    small = await page.evaluate(
        "[...document.querySelectorAll('button, select, summary')].filter((n) => n.checkVisibility())"
        ".filter((n) => n.getBoundingClientRect().height < 24).map((n) => n.id)"
    )
    assert small == []


async def test_motion_stops_for_who_asks(page: Page, edge: Any) -> None:
    await page.emulate_media(reduced_motion="reduce")
    await start(page, edge)
    durations = await page.evaluate(
        "[...document.querySelectorAll('.disc, [role=switch]')].map((n) => ['::before', '::after']"
        ".map((part) => getComputedStyle(n, part).transitionProperty).join())"
    )
    assert set(durations) == {"none,none"}
    moving = await page.evaluate("document.getAnimations().length")
    assert moving == 0


async def test_only_settled_turns_are_announced(page: Page, edge: Any) -> None:
    client = await start(page, edge)
    await page.evaluate(
        """() => { window.said = []; new MutationObserver((changes) => {
          for (const change of changes) for (const node of change.addedNodes) window.said.push(node.textContent.trim());
        }).observe(document.querySelector("#turns"), { childList: true }); }"""
    )
    for text in ("Goede", "Goede morgen"):
        await client.event(Transcript("u1", "user", text, False, 0, 900, "nl"))
    await client.event(Transcript("u1", "user", "Goedemorgen.", True, 0, 900, "nl"))
    await expect(page.locator("#turns .said")).to_have_text("Goedemorgen.")
    assert await page.evaluate("window.said") == ["JijGoedemorgen."]


async def test_a_page_without_scripts_says_so(chromium: Browser, edge: Any) -> None:
    context = await chromium.new_context(java_script_enabled=False)
    tab = await context.new_page()
    await tab.goto(edge.url)
    assert await tab.is_visible(".noscript")
    assert "JavaScript is nodig" in await tab.inner_text(".noscript")
    await asyncio.wait_for(context.close(), 10)
