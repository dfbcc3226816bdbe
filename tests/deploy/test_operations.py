"""docs/operations.md: the metrics, settings and numbers that it names are those of the code."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from services.command_line.roles import ROLES
from services.edge.auth import SharedSecret, TokenRules, verify_token
from services.edge.settings import EdgeSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text("utf-8")
CODE = "\n".join(path.read_text("utf-8") for path in (ROOT / "services").rglob("*.py")) + "\n".join(
    path.read_text("utf-8") for path in (ROOT / "shared").rglob("*.py")
)


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def table_cells(title: str) -> list[list[str]]:
    rows = [line for line in section(title).splitlines() if line.startswith("| `")]
    assert rows
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_every_metric_to_watch_exists() -> None:
    named = {
        re.sub(r"\{.*\}", "", name)
        for row in table_cells("What to watch")
        for name in re.findall(r"`([a-z_]+_[a-z]+(?:\{[^}]*\})?)`", row[0])
    }
    assert len(named) > 15
    assert {name for name in named if f'"splitbrain_{name}"' not in CODE} == set()


def test_every_cap_has_the_default_that_is_told() -> None:
    for names, told, *_ in table_cells("Caps"):
        numbers = re.findall(r"\d[\d,]*", told)
        for name, number in zip(re.findall(r"`([A-Z_]+)`", names), numbers, strict=False):
            field = EdgeSettings.model_fields[name.lower()]
            assert float(field.default) == float(number.replace(",", "")), name


def test_every_setting_that_is_named_is_known() -> None:
    compose = (ROOT / "compose.yaml").read_text("utf-8")
    known = set(re.findall(r"SPLITBRAIN_[A-Z0-9_]+", compose))
    for role in ROLES.values():
        for name, field in role.settings_type().model_fields.items():
            alias = field.validation_alias
            known |= set(map(str, alias.choices)) if hasattr(alias, "choices") else {f"{role.prefix}{name}".upper()}
    named = {name for name in re.findall(r"SPLITBRAIN_[A-Z0-9_]+[A-Z0-9]\b(?!_)", PAGE)}
    assert {name for name in named if name not in known} == set()


def test_the_trial_token_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = [line.strip() for line in PAGE.splitlines() if line.strip().startswith('python -c "import jwt')]
    secret = "0123456789abcdef" * 3
    monkeypatch.setenv("SPLITBRAIN_EDGE_JWT_SECRET", secret)
    command = [sys.executable, *shlex.split(line)[1:]]
    token = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    import time

    identity = verify_token(token, TokenRules("HS256", "splitbrain"), SharedSecret(secret), time.time())
    assert identity.user == "trial"


def test_the_page_says_that_no_image_was_built() -> None:
    assert "No image was built and no container was run" in PAGE
