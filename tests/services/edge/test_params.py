"""Query parameters: all optional, each checked, unknown ones left alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge import params
from services.edge.params import SessionParams, read_params
from shared.errors import BadInput
from shared.events import Consent

STOCK = {
    "text_temperature": "0.7",
    "text_topk": "25",
    "audio_temperature": "0.8",
    "audio_topk": "250",
    "pad_mult": "0",
    "text_seed": "1",
    "audio_seed": "2",
    "repetition_penalty_context": "64",
    "repetition_penalty": "1",
    "worker_auth_id": "",
    "email": "a@example.org",
}


def test_nothing_is_needed() -> None:
    assert read_params({}) == SessionParams()


def test_the_stock_web_client_s_parameters_are_left_alone() -> None:
    assert read_params({**STOCK, "voice_prompt": "NATM1.pt", "text_prompt": "You are Hugo."}) == SessionParams(
        voice="NATM1.pt", persona="You are Hugo."
    )


def test_all_of_ours() -> None:
    query = {
        "engine": "echo",
        "language": "nl",
        "locale": "nl-BE",
        "seed": "42",
        "mode": "scripted",
        "events": "1",
        "consent_store_audio": "true",
        "consent_store_transcript": "0",
        "consent_emotion": "1",
        "resume": "0" * 26 + "." + "a" * 43,
        "last_event": "voice:turn_started:u3",
    }
    assert read_params(query) == SessionParams(
        engine="echo",
        language="nl",
        locale="nl-BE",
        seed=42,
        mode="scripted",
        wants_events=True,
        consent=Consent(store_audio=True, emotion=True),
        resume=query["resume"],
        last_event="voice:turn_started:u3",
    )


@pytest.mark.parametrize(("locale", "language"), [("nl-BE", "nl"), ("en_US", "en"), ("fr", None), ("NL", "nl")])
def test_a_locale_says_the_language(locale: str, language: str | None) -> None:
    assert read_params({"locale": locale}).language == language


@pytest.mark.parametrize(("seed", "expected"), [("-1", None), ("0", 0), ("-5", -5), ("", None)])
def test_seeds(seed: str, expected: int | None) -> None:
    assert read_params({"seed": seed}).seed == expected


@pytest.mark.parametrize(
    ("mode", "expected"), [("free", "free"), ("guided", "guided"), ("scripted", "scripted"), ("", None)]
)
def test_modes(mode: str, expected: str | None) -> None:
    assert read_params({"mode": mode}).mode == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("voice_prompt", "../etc/passwd"),
        ("voice_prompt", "/etc/passwd"),
        ("voice_prompt", ".."),
        ("voice_prompt", ".hidden"),
        ("voice_prompt", "a/b.pt"),
        ("voice_prompt", "a\\b.pt"),
        ("voice_prompt", "a\x00.pt"),
        ("voice_prompt", "x" * 101),
        ("voice_prompt", "a.pt\n"),
        ("text_prompt", "x" * 4001),
        ("seed", "1.5"),
        ("seed", "abc"),
        ("seed", "9" * 19),
        ("seed", "१२"),
        ("mode", "chatty"),
        ("mode", "Free"),
        ("mode", " free"),
        ("language", "fr"),
        ("locale", "not a locale"),
        ("engine", "Echo!"),
        ("engine", "../x"),
        ("events", "maybe"),
        ("consent_emotion", "2"),
        ("resume", "x"),
        ("last_event", "has blanks in it"),
    ],
)
def test_bad_values_name_the_parameter(name: str, value: str) -> None:
    with pytest.raises(BadInput, match=name) as caught:
        read_params({name: value})
    assert caught.value.code == f"bad_{name}"


@given(
    st.dictionaries(
        st.sampled_from(["voice_prompt", "seed", "mode", "engine", "locale", "events"]), st.text(max_size=30)
    )
)
def test_any_query_is_read_or_refused(query: dict[str, str]) -> None:
    try:
        params = read_params(query)
    except BadInput:
        return
    assert not set("/\\\0") & set(params.voice)
    assert not params.voice.startswith(".")


def test_every_parameter_is_in_the_document() -> None:
    text = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
    source = Path(params.__file__).read_text()
    names = set(re.findall(r'query(?:\.get\(|, )"(\w+)"', source))
    assert len(names) == 13
    assert {name for name in names if f"| `{name}` |" not in text} == set()
