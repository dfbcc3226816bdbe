"""`splitbrain check`: what is right, what is wrong, and that only failures change the exit code."""

from __future__ import annotations

import argparse
import json
import socket

import pytest

from services.command_line import check
from services.command_line.exits import Exit
from shared.redis_server import RedisServer
from shared.testing.sentinel import SentinelServers


def options(*services: str) -> argparse.Namespace:
    return argparse.Namespace(services=list(services), no_models=True, json=True)


def findings(capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, str], tuple[str, str]]:
    value = json.loads(capsys.readouterr().out)
    return {(item["area"], item["subject"]): (item["state"], item["detail"]) for item in value["findings"]}


@pytest.fixture(autouse=True)
def no_redis_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPLITBRAIN_REDIS_URL", raising=False)
    monkeypatch.setenv("SPLITBRAIN_EDGE_PORT", "0")


def test_all_is_well_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.run(options("edge", "voice")) is Exit.OK
    found = findings(capsys)
    assert found["settings", "edge"][0] == "ok"
    assert found["redis", "server"][0] == "ok"


def test_wrong_settings_are_all_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_VOICE_ENGINES", "nonsense")
    monkeypatch.setenv("SPLITBRAIN_VOICE_CASCADE_SLOTS", "0")
    assert check.run(options("voice")) is Exit.FAILED
    state, detail = findings(capsys)["settings", "voice"]
    assert state == "failed"
    assert "SPLITBRAIN_VOICE_ENGINES" in detail
    assert "SPLITBRAIN_VOICE_CASCADE_SLOTS" in detail


def test_a_real_redis_is_looked_at(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer(append_only=True) as server:
        monkeypatch.setenv("SPLITBRAIN_REDIS_URL", server.url)
        assert check.run(options("edge")) is Exit.OK
    found = findings(capsys)
    assert [found["redis", what][0] for what in ("server", "version", "maxmemory-policy", "persistence")] == ["ok"] * 4


def test_the_master_that_sentinels_name_is_looked_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with SentinelServers() as servers:
        monkeypatch.setenv("SPLITBRAIN_REDIS_URL", servers.url)
        assert check.run(options("edge", "evaluator")) is Exit.OK
        found = findings(capsys)
        assert found["redis", "replicas"] == ("ok", "1 connected")
    assert check.judge_replicas({"connected_slaves": 0}).state == "warning"


def test_a_url_of_sentinels_without_a_service_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLITBRAIN_REDIS_URL", "redis+sentinel://127.0.0.1:1")
    assert check.run(options("edge")) is Exit.FAILED
    state, detail = findings(capsys)["redis", "server"]
    assert state == "failed"
    assert "/service" in detail


def test_a_redis_that_is_away_fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_REDIS_URL", "redis://127.0.0.1:1/0")
    assert check.run(options("edge")) is Exit.FAILED
    assert findings(capsys)["redis", "server"][0] == "failed"


@pytest.mark.parametrize(
    ("info", "states"),
    [
        ({"redis_version": "8.0.1", "maxmemory_policy": "noeviction", "aof_enabled": 1}, ["ok", "ok", "ok"]),
        (
            {"redis_version": "7.2.4", "valkey_version": "9.1.2", "maxmemory_policy": "noeviction"},
            ["ok", "ok", "warning"],
        ),
        ({"redis_version": "6.2.14", "maxmemory_policy": "allkeys-lru", "aof_enabled": 0}, ["warning"] * 3),
        ({"redis_version": "5.0.7", "maxmemory_policy": "noeviction", "aof_enabled": 1}, ["failed", "ok", "ok"]),
        ({}, ["failed", "warning", "warning"]),
    ],
)
def test_what_redis_says_of_itself_is_judged(info: dict[str, object], states: list[str]) -> None:
    assert [finding.state for finding in check.judge_redis(info)] == states


def test_valkey_goes_by_its_own_name() -> None:
    assert check.judge_redis({"redis_version": "7.2.4", "valkey_version": "9.1.2"})[0].detail == "Valkey 9.1.2"


def test_ports_that_are_taken_or_named_twice_fail(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = str(held.getsockname()[1])
        monkeypatch.setenv("SPLITBRAIN_EDGE_PORT", port)
        assert check.run(options("edge")) is Exit.FAILED
        assert findings(capsys)["ports", "edge"][0] == "failed"
        monkeypatch.setenv("SPLITBRAIN_VOICE_HEALTH_PORT", port)
        check.run(options("edge", "voice"))
    state, detail = findings(capsys)["ports", "edge"]
    assert state == "failed"
    assert f"port {port} is also that of" in detail or "in use" in detail


def test_without_names_the_port_that_up_would_take_is_looked_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPLITBRAIN_EDGE_PORT")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        monkeypatch.setattr(check, "DEFAULT_PORT", held.getsockname()[1])
        assert check.run(options()) is Exit.FAILED
    found = findings(capsys)
    assert found["ports", "up"][0] == "failed"
    assert "splitbrain up --port" in found["ports", "up"][1]
    assert ("ports", "edge") not in found
    check.run(options("edge"))
    assert "8998" in findings(capsys)["ports", "edge"][1]  # the service alone has a port of its own


def test_an_address_that_is_none_fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_REDIS_URL", "redis://127.0.0.1:nonsense")
    assert check.run(options("edge")) is Exit.FAILED
    assert findings(capsys)["redis", "server"][0] == "failed"


def test_the_table_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    check.run(argparse.Namespace(services=["edge"], no_models=True, json=False))
    head, first, *_ = capsys.readouterr().out.splitlines()
    assert head.split() == ["AREA", "WHAT", "STATE", "DETAIL"]
    assert first.split() == ["settings", "edge", "ok", "SPLITBRAIN_EDGE_*"]
