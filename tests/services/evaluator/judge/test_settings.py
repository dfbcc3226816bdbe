"""The judge's settings: its own names, the usual ones of an endpoint, and no quarrel with the evaluator's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.evaluator.judge.settings import JudgeSettings
from services.evaluator.settings import EvaluatorSettings
from shared.errors import ConfigError
from shared.settings import load_settings

PREFIX = "SPLITBRAIN_EVALUATOR_JUDGE_"


@pytest.fixture(autouse=True)
def _no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_without_an_endpoint_there_is_no_judge() -> None:
    assert not load_settings(JudgeSettings).has_endpoint


@pytest.mark.parametrize("name", [f"{PREFIX}BASE_URL", "OPENAI_BASE_URL"])
def test_an_address_is_an_endpoint(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://localhost:8000/v1")
    assert load_settings(JudgeSettings).has_endpoint


def test_its_own_name_wins_and_the_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    monkeypatch.setenv(f"{PREFIX}API_KEY", "ours")
    settings = load_settings(JudgeSettings)
    assert settings.api_key.get_secret_value() == "ours"
    assert "ours" not in repr(settings)


def test_the_evaluator_starts_beside_them_and_misspelt_ones_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}MODEL", "m")
    monkeypatch.setenv(f"{PREFIX}TIMEOUT", "3")
    load_settings(EvaluatorSettings)
    with pytest.raises(ConfigError, match=r"JUDGE_TIMEOUT: there is no such setting.*JUDGE_TIMEOUT_S"):
        load_settings(JudgeSettings)


def test_the_manual_names_every_setting_with_its_default() -> None:
    manual = (Path(__file__).parents[4] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    rows = dict(re.findall(rf"^\| `{PREFIX}([A-Z_]+)` \|([^|]*)\|", manual, flags=re.MULTILINE))
    shown = {}
    for name, field in JudgeSettings.model_fields.items():
        default = field.default
        is_number = isinstance(default, int | float)
        shown[name.upper()] = f"{default:g}" if is_number else f"`{default}`" if name == "model" else ""
    assert {name: text.strip() for name, text in rows.items()} == shown
