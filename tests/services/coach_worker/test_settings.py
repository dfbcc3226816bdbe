"""The coach's settings."""

from __future__ import annotations

import pytest

from services.coach_worker.settings import CoachSettings
from shared.errors import ConfigError
from shared.settings import load_settings

NAMES = ("OPENAI_BASE_URL", "OPENAI_API_KEY", "SPLITBRAIN_COACH_LLM_BASE_URL", "SPLITBRAIN_COACH_LLM_API_KEY")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, "SPLITBRAIN_COACH_BRAIN"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_used_where_one_is_configured(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert not load_settings(CoachSettings).uses_llm
    monkeypatch.setenv(name, "http://127.0.0.1:8000/v1" if name.endswith("URL") else "key")
    assert load_settings(CoachSettings).uses_llm
    monkeypatch.setenv("SPLITBRAIN_COACH_BRAIN", "policy")
    assert not load_settings(CoachSettings).uses_llm


def test_the_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "very-secret")
    assert "very-secret" not in repr(load_settings(CoachSettings))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SPLITBRAIN_COACH_BRAIN", "llm", "needs SPLITBRAIN_COACH_LLM_BASE_URL"),
        ("SPLITBRAIN_COACH_LLM_FIRST_SENTENCE_S", "20", "must not be longer"),
        ("SPLITBRAIN_COACH_LLM_BASE_URL", "example.org", "SPLITBRAIN_COACH_LLM_BASE_URL"),
        ("SPLITBRAIN_COACH_MAX_SESSIONS", "0", "SPLITBRAIN_COACH_MAX_SESSIONS"),
    ],
)
def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=reason):
        load_settings(CoachSettings)
