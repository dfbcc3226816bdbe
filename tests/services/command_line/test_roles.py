"""The four services: each has a module to run, settings under its prefix, and an extra that exists."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import pytest

from services.command_line.exits import Exit
from services.command_line.roles import ROLES, Role, missing_extra
from shared.settings import ServiceSettings

PYPROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize("role", ROLES.values(), ids=str)
def test_a_role_is_what_its_service_says(role: Role) -> None:
    assert importlib.util.find_spec(f"{role.module}.__main__") is not None
    kind = role.settings_type()
    assert issubclass(kind, ServiceSettings)
    assert kind.model_config["env_prefix"] == role.prefix
    assert set(role.extra.split(",")) <= set(PYPROJECT["project"]["optional-dependencies"])


def test_the_edge_is_stopped_first() -> None:
    assert next(iter(ROLES)) == "edge"


def test_what_is_missing_is_told_with_its_remedy() -> None:
    error = missing_extra(ROLES["voice"], ModuleNotFoundError("no", name="soxr"))
    assert error.code is Exit.USAGE
    assert "soxr: pip install 'splitbrain[voice,speech]'" in str(error)
    broken = missing_extra(ROLES["edge"], ModuleNotFoundError("no", name="services.edge.app"))
    assert broken.code is Exit.FAILED
    assert "install splitbrain again" in str(broken)
