"""compose.yaml: what it names exists, every service can be told healthy, and all but the edge scales without a port."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.command_line.roles import ROLES, Role
from shared.settings import load_settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose.yaml"
SERVICES = ("redis", "edge", "voice", "coach", "evaluator", "voice-gpu")
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(?::([-?])([^}]*))?\}")


def load() -> dict[str, Any]:
    value = yaml.safe_load(COMPOSE.read_text())
    assert isinstance(value, dict)
    return value


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = load()["services"]
    return found


def test_the_services_are_those_of_the_project(services: dict[str, Any]) -> None:
    assert tuple(services) == SERVICES


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_healthcheck_a_limit_and_no_fixed_name(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert "container_name" not in service
    assert "hostname" not in service
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert service["stop_grace_period"] == "30s"
    assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "redis"])
def test_own_services_wait_for_redis_and_run_with_few_rights(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["depends_on"]["redis"]["condition"] == "service_healthy"
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert service["init"] is True
    assert service["environment"]["SPLITBRAIN_REDIS_URL"].startswith("${SPLITBRAIN_REDIS_URL:-redis://redis:")


def test_only_the_edge_publishes_a_port_and_it_can_be_chosen(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["edge"]
    (port,) = services["edge"]["ports"]
    assert port == "${SPLITBRAIN_EDGE_ADDRESS:-127.0.0.1}:${SPLITBRAIN_EDGE_PORTS:-8080}:8998"


def test_redis_keeps_what_is_live(services: dict[str, Any]) -> None:
    command = services["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--appendonly") + 1] == "yes"
    assert "redis" in services["redis"]["image"]
    assert services["redis"]["networks"] == ["backend"]
    assert load()["networks"]["backend"]["internal"] is True


def test_the_edge_has_no_default_secret(services: dict[str, Any]) -> None:
    assert services["edge"]["environment"]["SPLITBRAIN_EDGE_JWT_SECRET"].startswith("${SPLITBRAIN_EDGE_JWT_SECRET:?")
    for _, _, default in VARIABLE.findall(COMPOSE.read_text()):
        assert not re.fullmatch(r"[A-Za-z0-9+/=]{24,}", default), "a default that looks like a secret"


def test_what_is_built_exists(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if name == "redis":
            continue
        assert (ROOT / service["build"]["dockerfile"]).is_file()
        assert service["build"]["context"] == "."


def test_recordings_are_kept_in_a_volume_that_the_evaluator_may_write_to(services: dict[str, Any]) -> None:
    evaluator = services["evaluator"]
    folder = resolve(evaluator["environment"]["SPLITBRAIN_EVALUATOR_RECORDINGS"])
    assert evaluator["volumes"] == [f"recordings:{folder}"]
    assert "recordings" in load()["volumes"]
    assert f"install -d -m 700 -o splitbrain {folder}" in (ROOT / "deploy/Dockerfile.evaluator").read_text()


def test_the_gpu_worker_is_off_by_default_and_asks_for_a_gpu(services: dict[str, Any]) -> None:
    gpu = services["voice-gpu"]
    assert gpu["profiles"] == ["gpu"]
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia"
    assert "gpu" in device["capabilities"]
    assert [name for name, service in services.items() if "profiles" in service] == ["voice-gpu"]


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "redis"])
def test_every_setting_is_known_to_its_service(
    services: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The defaults in compose.yaml must be settings that the service takes, under the names that it reads."""
    role = ROLES[name.removesuffix("-gpu")]
    for variable in [key for key in os.environ if key.startswith("SPLITBRAIN_")]:
        monkeypatch.delenv(variable)
    environment = {key: resolve(value) for key, value in services[name]["environment"].items()}
    kind = role.settings_type()
    known = {f"{role.prefix}{field}".upper() for field in kind.model_fields}
    known |= {str(field.validation_alias.choices[0]) for field in kind.model_fields.values() if field.validation_alias}
    own = {key for key in environment if key.startswith("SPLITBRAIN_")}
    assert own <= known
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    if role.name == "edge":
        monkeypatch.setenv("SPLITBRAIN_EDGE_HOST", "0.0.0.0")  # as in its image
    settings = kind()
    assert settings.redis_url == "redis://redis:6379/0"


@pytest.mark.parametrize("role", ROLES.values(), ids=ROLES)
def test_what_compose_reads_for_itself_may_stand_in_the_shell(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, _, default in VARIABLE.findall(COMPOSE.read_text()):
        monkeypatch.setenv(variable, default if "SECRET" not in variable else "x" * 48)
    load_settings(role.settings_type())


def resolve(value: str) -> str:
    """What compose makes of a value where nothing is set but what must be."""
    return VARIABLE.sub(lambda found: "x" * 48 if found[2] == "?" else found[3], str(value))


def test_docker_compose_takes_the_file() -> None:
    docker = shutil.which("docker")
    if not docker:
        pytest.skip("no docker client on this machine")
    probe = subprocess.run([docker, "compose", "version"], capture_output=True, timeout=20, check=False)
    if probe.returncode != 0:
        pytest.skip("this docker client has no compose plugin")
    command = [docker, "compose", "-f", str(COMPOSE), "--profile", "gpu", "config", "--quiet"]
    environment = {**os.environ, "SPLITBRAIN_EDGE_JWT_SECRET": "x" * 48}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
