"""The Dockerfiles: what they copy, install and start exists. Images are not built by the tests."""

from __future__ import annotations

import fnmatch
import importlib.util
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from services.command_line.parser import build_parser
from services.command_line.roles import ROLES

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "deploy").glob("Dockerfile.*"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
IDS = [path.name for path in FILES]


def instructions(path: Path) -> list[tuple[str, str]]:
    """Instructions with continued lines joined and comments left out."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def of_kind(path: Path, kind: str) -> list[str]:
    return [rest for name, rest in instructions(path) if name == kind]


def ignored(source: str) -> bool:
    """Whether .dockerignore keeps a path out of the build context; the last rule that fits decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        keep, pattern = rule.startswith("!"), rule.lstrip("!")
        if fnmatch.fnmatch(source, pattern) or source.startswith(f"{pattern}/"):
            out = not keep
    return out


def test_there_is_one_for_each_service() -> None:
    assert [path.name.removeprefix("Dockerfile.") for path in FILES] == sorted(ROLES)


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_what_is_copied_is_there_and_in_the_context(path: Path) -> None:
    copies = [shlex.split(rest) for rest in of_kind(path, "COPY")]
    from_context = [source for copy in copies if not copy[0].startswith("--from") for source in copy[:-1]]
    assert from_context
    for source in from_context:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source
    assert ignored(".git")
    assert ignored(".venv")
    assert ignored("tests")


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_it_starts_its_own_service_by_exec(path: Path) -> None:
    name = path.name.removeprefix("Dockerfile.")
    (entry,) = of_kind(path, "ENTRYPOINT")
    assert json.loads(entry) == ["splitbrain", name]
    assert "splitbrain" in PYPROJECT["project"]["scripts"]
    assert importlib.util.find_spec(f"{ROLES[name].module}.__main__") is not None


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_it_installs_extras_that_exist_at_tested_versions(path: Path) -> None:
    text = " ".join(of_kind(path, "RUN"))
    (extras,) = re.findall(r'pip install "\.\[([^\]]+)\]" -c constraints\.txt', text)
    if extras == "${EXTRAS}":
        (extras,) = [rest.removeprefix("EXTRAS=") for rest in of_kind(path, "ARG") if rest.startswith("EXTRAS=")]
    known = PYPROJECT["project"]["optional-dependencies"]
    assert all(extra in known for extra in extras.split(","))
    assert extras == ROLES[path.name.removeprefix("Dockerfile.")].extra


def test_the_gpu_image_adds_the_moshi_that_was_tested() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    arguments = compose["services"]["voice-gpu"]["build"]["args"]
    known = PYPROJECT["project"]["optional-dependencies"]
    assert all(extra in known for extra in arguments["EXTRAS"].split(","))
    assert f"moshi=={arguments['MOSHI']}" in (ROOT / "constraints.txt").read_text("utf-8").split()
    text = " ".join(of_kind(ROOT / "deploy" / "Dockerfile.voice", "RUN"))
    assert 'pip install --no-deps "moshi==${MOSHI}"' in text


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_it_runs_as_nobody_special_with_a_healthcheck_on_its_health_port(path: Path) -> None:
    name = path.name.removeprefix("Dockerfile.")
    final = instructions(path)[[kind for kind, _ in instructions(path)].index("FROM", 1) :]
    assert ("USER", "splitbrain") in final
    (check,) = of_kind(path, "HEALTHCHECK")
    command = json.loads(check[check.index("[") :])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "healthcheck", "exec")
    assert "127.0.0.1:9100/healthz" in command[2]
    (environment,) = [rest for kind, rest in final if kind == "ENV"]
    assert f"SPLITBRAIN_{name.upper()}_HEALTH_PORT=9100" in environment.split()
    assert f"SPLITBRAIN_{name.upper()}_HEALTH_HOST=0.0.0.0" in environment.split()


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_its_images_are_slim_and_named_exactly(path: Path) -> None:
    assert {rest.split()[0] for rest in of_kind(path, "FROM")} == {"python:3.11-slim"}


def test_the_voice_image_has_its_models_inside() -> None:
    text = " ".join(of_kind(ROOT / "deploy/Dockerfile.voice", "RUN"))
    calls = [shlex.split(call.split("&&")[0])[1:] for call in re.findall(r"splitbrain models [^&]+", text)]
    for call in calls:
        assert build_parser().parse_args(call).models_dir == "/opt/models"
    assert [build_parser().parse_args(call).action for call in calls] == ["install", "verify"]


def test_the_voice_image_drops_exactly_the_packages_that_only_carry_weights() -> None:
    from services.voice_worker.speech.manifest import OWN_PACKAGE, manifest

    text = " && ".join(of_kind(ROOT / "deploy/Dockerfile.voice", "RUN"))
    (removed,) = re.findall(r"pip uninstall --yes ([^&]+)", text)
    carriers = {part.package for model in manifest() for file in model.files for part in file.parts}
    in_extra = {re.split(r"[=<>]", need)[0] for need in PYPROJECT["project"]["optional-dependencies"]["speech"]}
    assert set(removed.split()) == (carriers - {OWN_PACKAGE}) & in_extra


def test_every_constraint_is_one_exact_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.+!]+", rule) for rule in rules)
    names = {rule.split("==")[0].lower().replace("_", "-") for rule in rules}
    for need in PYPROJECT["project"]["dependencies"]:
        assert re.split(r"[\[=<>; ]", need)[0].lower() in names
