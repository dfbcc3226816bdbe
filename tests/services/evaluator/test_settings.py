from __future__ import annotations

from pathlib import Path

import pytest

from services.evaluator.settings import EvaluatorSettings
from shared.errors import ConfigError
from shared.settings import ServiceSettings, load_settings


def test_defaults_run_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_REDIS_URL", "redis://broker:6379/2")
    settings = load_settings(EvaluatorSettings)
    assert settings.queue_url == "redis://broker:6379/2"
    assert settings.max_sessions == 200


def test_the_environment_is_read_with_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_EVALUATOR_JOBS_MAX_TRIES", "2")
    monkeypatch.setenv("SPLITBRAIN_EVALUATOR_JOBS_REDIS_URL", "redis://jobs/0")
    settings = load_settings(EvaluatorSettings)
    assert (settings.jobs_max_tries, settings.queue_url) == (2, "redis://jobs/0")


def test_a_cluster_needs_a_server_for_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_REDIS_URL", "redis+cluster://nodes:6379")
    with pytest.raises(ConfigError, match="SPLITBRAIN_EVALUATOR_JOBS_REDIS_URL"):
        load_settings(EvaluatorSettings)
    monkeypatch.setenv("SPLITBRAIN_EVALUATOR_JOBS_REDIS_URL", "redis://jobs/0")
    assert load_settings(EvaluatorSettings).queue_url == "redis://jobs/0"


def test_sentinels_are_asked_for_the_jobs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_REDIS_URL", "redis+sentinel://a,b/calls")
    assert load_settings(EvaluatorSettings).queue_url == "redis+sentinel://a,b/calls"
    monkeypatch.setenv("SPLITBRAIN_EVALUATOR_JOBS_REDIS_URL", "rediss+sentinel://a/jobs")
    assert load_settings(EvaluatorSettings).queue_url == "rediss+sentinel://a/jobs"


def test_everything_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_EVALUATOR_JOBS_MAX", "0")
    monkeypatch.setenv("SPLITBRAIN_EVALUATOR_JOBS_QUEUE", "no spaces")
    with pytest.raises(ConfigError) as caught:
        load_settings(EvaluatorSettings)
    assert "SPLITBRAIN_EVALUATOR_JOBS_MAX" in str(caught.value)
    assert "SPLITBRAIN_EVALUATOR_JOBS_QUEUE" in str(caught.value)


def test_the_manual_names_every_setting_with_its_default() -> None:
    page = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    rows = {
        cells[1].strip(" `"): cells[2].strip(" `") for line in page.splitlines() if len(cells := line.split("|")) > 3
    }
    own = EvaluatorSettings.model_fields.keys() - ServiceSettings.model_fields.keys()
    for name in own:
        default = EvaluatorSettings.model_fields[name].default
        told = rows[f"SPLITBRAIN_EVALUATOR_{name.upper()}"]
        assert told == (f"{default:g}" if isinstance(default, float) else str(default) or _EMPTY[name])


_EMPTY = {"jobs_redis_url": "the broker's", "recordings": "nowhere"}
"""What an empty default means."""
