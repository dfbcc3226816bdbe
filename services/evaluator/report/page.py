"""Puts a page together: template, style, scripts and data in one file that loads nothing. Pure.

Whatever was said is hostile: templates escape, data goes as JSON that no markup can end, and the page's content policy
lets only these very scripts run.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from services.evaluator.report.texts import Words

LIBRARY = "echarts.min.js"

_SCRIPTS = {
    "session.html.j2": (LIBRARY, "common.js", "player.js", "timeline.js", "session.js"),
    "folder.html.j2": (LIBRARY, "common.js", "folder.js"),
}


def render(template: str, words: Words, data: Mapping[str, Any], **parts: Any) -> str:
    """Return a page as HTML. `data` is what its scripts read, `parts` what its template does."""
    scripts = [_asset(name) for name in _SCRIPTS[template]]
    style = _asset("page.css")
    return (
        _environment()
        .get_template(template)
        .render(
            words=words,
            t=words,
            policy=policy(scripts, style),
            scripts=[Markup(text) for text in scripts],  # noqa: S704 - files of this package
            style=Markup(style),  # noqa: S704
            data=data,
            **parts,
        )
    )


def policy(scripts: list[str], style: str) -> str:
    """Return the content security policy: these scripts and this style, sound and pictures from within, no network."""
    allowed = " ".join(_hash(text) for text in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; media-src data:; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def clock(ms: float) -> str:
    """Return a moment of the talk: 0:07, 12:40, 1:02:03."""
    seconds = int(ms // 1000)
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


@functools.cache
def _asset(name: str) -> str:
    text = (files(__package__) / "static" / name).read_text("utf-8")
    if "</script" in text.lower() or "</style" in text.lower() or "\r" in text:
        raise ValueError(f"{name} cannot stand inside a page")
    return text


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("services.evaluator.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = clock
    return environment
