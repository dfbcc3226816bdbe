"""Settings: from the environment only, frozen, and with the whole list of what is wrong."""

from __future__ import annotations

from typing import Self

import pytest
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from shared.errors import ConfigError
from shared.settings import ServiceSettings, load_settings


class OvenSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="SPLITBRAIN_OVEN_")

    slots: int = Field(4, ge=1, le=64)


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("SPLITBRAIN_"):
            monkeypatch.delenv(name)


def test_the_defaults_are_whole() -> None:
    settings = load_settings(OvenSettings)
    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert (settings.n_shards, settings.slots, settings.log_format, settings.health_port) == (16, 4, "auto", 0)
    assert settings.worker_id


def test_common_names_are_shared_and_own_names_carry_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SPLITBRAIN_REDIS_URL": "redis+cluster://a:1",
        "SPLITBRAIN_SHARDS": "4",
        "SPLITBRAIN_LOG_LEVEL": "DEBUG",
        "SPLITBRAIN_LEASE_S": "3",
        "SPLITBRAIN_OVEN_SLOTS": "8",
        "SPLITBRAIN_OVEN_HEALTH_PORT": "8080",
        "SPLITBRAIN_OVEN_WORKER_ID": "oven-1",
        "SPLITBRAIN_SLOTS": "9",  # another service's business
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(OvenSettings)
    assert (settings.redis_url, settings.n_shards, settings.log_level) == ("redis+cluster://a:1", 4, "DEBUG")
    assert (settings.lease_s, settings.slots, settings.health_port, settings.worker_id) == (3, 8, 8080, "oven-1")


def test_a_caller_may_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_OVEN_SLOTS", "8")
    assert load_settings(OvenSettings, slots=2, redis_url="redis://x:1").slots == 2


def test_everything_wrong_is_told_at_once_by_its_name_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SPLITBRAIN_REDIS_URL": "http://x",
        "SPLITBRAIN_SHARDS": "101",
        "SPLITBRAIN_LOG_LEVEL": "LOUD",
        "SPLITBRAIN_OVEN_SLOTS": "many",
        "SPLITBRAIN_OVEN_HEALTH_PORT": "70000",
        "SPLITBRAIN_OVEN_WORKER_ID": "a b",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load_settings(OvenSettings)
    heading, *lines = str(caught.value).splitlines()
    assert heading == "wrong settings:"
    assert {line.split(":")[0].strip() for line in lines} == {
        "SPLITBRAIN_REDIS_URL",
        "SPLITBRAIN_SHARDS",
        "SPLITBRAIN_LOG_LEVEL",
        "SPLITBRAIN_OVEN_SLOTS",
        "SPLITBRAIN_OVEN_HEALTH_PORT",
        "SPLITBRAIN_OVEN_WORKER_ID",
    }


def test_a_misspelt_name_stops_the_start_with_the_nearest_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_OVEN_SLOT", "3")
    monkeypatch.setenv("splitbrain_oven_colour_of_all", "red")
    monkeypatch.setenv("SPLITBRAIN_SHARDS", "101")
    with pytest.raises(ConfigError) as caught:
        load_settings(OvenSettings)
    _, *lines = str(caught.value).splitlines()
    assert "  SPLITBRAIN_OVEN_SLOT: there is no such setting; SPLITBRAIN_OVEN_SLOTS?" in lines
    assert "  SPLITBRAIN_OVEN_COLOUR_OF_ALL: there is no such setting" in lines
    assert len(lines) == 3


@pytest.mark.parametrize(
    "name",
    [
        "SPLITBRAIN_TOKEN",
        "SPLITBRAIN_MODELS_DIR",
        "SPLITBRAIN_VOICE_SLOT",  # of another service, in the same shell
        "SPLITBRAIN_OVEN_LEASE_S",  # a common one by the service's own name
        "splitbrain_oven_slots",
        "SPLITBRAIN_OVEN_REPLICAS",  # compose.yaml's own
    ],
)
def test_what_is_known_or_not_this_services_own_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "3")
    load_settings(OvenSettings)


def test_settings_that_do_not_go_together_are_told_in_their_own_words() -> None:
    class PairSettings(OvenSettings):
        @model_validator(mode="after")
        def _pair(self) -> Self:
            raise ValueError("SPLITBRAIN_OVEN_SLOTS and SPLITBRAIN_SHARDS do not go together")

    with pytest.raises(ConfigError) as caught:
        load_settings(PairSettings)
    assert str(caught.value) == "wrong settings:\n  SPLITBRAIN_OVEN_SLOTS and SPLITBRAIN_SHARDS do not go together"


def test_an_unknown_override_is_named() -> None:
    with pytest.raises(ConfigError, match="SPLITBRAIN_OVEN_COLOUR"):
        load_settings(OvenSettings, colour="red")


def test_settings_are_frozen() -> None:
    settings = load_settings(OvenSettings)
    with pytest.raises(ValidationError):
        settings.slots = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    "url",
    [
        *("redis://h", "rediss://h", "unix:///s", "redis+cluster://h", "rediss+cluster://h"),
        *("redis+sentinel://h,i:1/s", "rediss+sentinel://h/s"),
    ],
)
def test_every_kind_of_redis_is_named_by_its_url(url: str) -> None:
    assert load_settings(OvenSettings, redis_url=url).redis_url == url


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in ServiceSettings.model_fields.items() if not field.description] == []
