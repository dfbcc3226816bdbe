"""Which processes there are, with what environment, and how long a dead one waits."""

from __future__ import annotations

import pytest

from services.command_line.up_plan import (
    MAX_DELAY_S,
    RECORDINGS_VARIABLE,
    RestartPolicy,
    UpOptions,
    plan,
    redis_label,
)
from shared.redis_server import RedisServer

URL = "redis://127.0.0.1:1/0"


def test_one_process_of_each_role_by_default_edge_first() -> None:
    plans = plan(UpOptions(), URL, {})
    assert [item.label for item in plans] == ["edge", "voice", "coach", "evaluator"]
    assert {item.environment["SPLITBRAIN_REDIS_URL"] for item in plans} == {URL}
    edge, voice = plans[0].environment, plans[1].environment
    assert (edge["SPLITBRAIN_EDGE_HOST"], edge["SPLITBRAIN_EDGE_PORT"]) == ("127.0.0.1", "8080")
    assert edge["SPLITBRAIN_EDGE_ENGINES"] == voice["SPLITBRAIN_VOICE_ENGINES"] == "cascade,echo"
    assert "SPLITBRAIN_VOICE_LISTENER" not in voice
    assert [item.health_variable for item in plans][1] == "SPLITBRAIN_VOICE_HEALTH_PORT"


@pytest.mark.parametrize(
    ("ours", "folder"),
    [
        ({"HOME": "/home/anna"}, "/home/anna/.local/share/splitbrain/recordings"),
        ({"HOME": "/home/anna", "XDG_DATA_HOME": "/data"}, "/data/splitbrain/recordings"),
        ({}, "./splitbrain/recordings"),
    ],
)
def test_recordings_go_to_the_users_folder(ours: dict[str, str], folder: str) -> None:
    own = plan(UpOptions(), URL, ours)[-1].environment
    assert own[RECORDINGS_VARIABLE] == folder
    chosen = plan(UpOptions(), URL, {**ours, RECORDINGS_VARIABLE: ""})[-1].environment
    assert RECORDINGS_VARIABLE not in chosen, "an empty one turns them off"


def test_replicas_are_numbered() -> None:
    labels = [item.label for item in plan(UpOptions(voice_workers=2, evaluators=3), URL, {})]
    assert labels == ["edge", "voice-1", "voice-2", "coach", "evaluator-1", "evaluator-2", "evaluator-3"]


def test_the_echo_engine_needs_no_models() -> None:
    plans = plan(UpOptions(engine="echo"), URL, {})
    assert plans[0].environment["SPLITBRAIN_EDGE_ENGINES"] == "echo"
    assert plans[1].environment["SPLITBRAIN_VOICE_LISTENER"] == "off"
    kept = plan(UpOptions(engine="echo"), URL, {"SPLITBRAIN_VOICE_LISTENER": "on"})
    assert "SPLITBRAIN_VOICE_LISTENER" not in kept[1].environment


def test_a_language_is_that_of_the_edge_and_of_the_voice() -> None:
    plans = plan(UpOptions(language="en"), URL, {})
    assert plans[0].environment["SPLITBRAIN_EDGE_DEFAULT_LANGUAGE"] == "en"
    assert plans[1].environment["SPLITBRAIN_VOICE_LANGUAGES"] == "en"


def test_the_users_own_log_settings_stay() -> None:
    own = plan(UpOptions(), URL, {"SPLITBRAIN_LOG_LEVEL": "DEBUG", "SPLITBRAIN_LOG_FORMAT": "json"})[0].environment
    assert "SPLITBRAIN_LOG_LEVEL" not in own
    assert "SPLITBRAIN_LOG_FORMAT" not in own
    assert plan(UpOptions(), URL, {})[0].environment["SPLITBRAIN_LOG_LEVEL"] == "WARNING"
    assert plan(UpOptions(verbose=True), URL, {})[0].environment["SPLITBRAIN_LOG_LEVEL"] == "INFO"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::1", "http://[::1]:8080"),
        ("example", "http://example:8080"),
    ],
)
def test_the_page_is_where_a_browser_finds_it(host: str, url: str) -> None:
    assert UpOptions(host=host).url == url


def test_waits_grow_to_a_limit_and_a_long_life_resets_them() -> None:
    policy = RestartPolicy()
    waits = [policy.after_death(1.0, was_ready=True) for _ in range(8)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, MAX_DELAY_S, MAX_DELAY_S]
    assert policy.after_death(31.0, was_ready=True) == 0.5


def test_a_process_that_never_comes_up_is_given_up() -> None:
    policy = RestartPolicy()
    assert [policy.after_death(1.0, was_ready=False) for _ in range(3)] == [0.5, 1.0, None]


def test_the_broker_is_named() -> None:
    assert redis_label(RedisServer(port=4711)) == "embedded Redis on port 4711"
    assert "SPLITBRAIN_REDIS_URL" in redis_label(None)
