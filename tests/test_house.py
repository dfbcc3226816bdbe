"""The house rules that no other tool holds: mirrored tests, sizes, links, and commands that exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

UNMIRRORED = {
    "services/voice_worker/engines/base.py": "declarations only; tests/contracts/test_engines.py runs over all engines",
    "services/voice_worker/engines/echo.py": "tests/contracts/test_engines.py runs over all engines",
    "services/voice_worker/engines/personaplex/inputs.py": "declarations only",
    "services/voice_worker/engines/personaplex/metrics.py": "declarations only",
    "services/voice_worker/engines/personaplex/model/stt_files.py": "model/test_stt.py loads folders with it",
    "services/voice_worker/engines/personaplex/model/tiny_stt.py": "model/test_stt.py runs on it",
    "services/voice_worker/engines/personaplex/steering/text.py": "declarations only",
    "services/voice_worker/listener/decisions.py": "declarations only",
    "services/voice_worker/listener/metrics.py": "declarations only",
    "services/voice_worker/listener/spec.py": "declarations only",
    "services/voice_worker/signals.py": "declarations only",
    "shared/broker/entries.py": "tests of the voice worker and of session workers give it what cannot be read",
    "shared/errors.py": "declarations only",
    "shared/testing/engine_host.py": "every engine test reads it",
    "shared/testing/tones.py": "every test of the cascade listens to it",
    "shared/metrics.py": "declarations only",
    "shared/testing/brokers.py": "every broker test runs on it",
    "shared/testing/cluster.py": "tests/shared/broker/test_cluster.py runs on it",
    "shared/testing/sentinel.py": "tests/shared/broker/test_sentinel.py runs on it",
    "shared/testing/recorder.py": "every handler test reads it",
    "shared/testing/strategies.py": "tests/shared/test_wire.py draws every kind of event from it",
    "shared/broker/connection.py": "tests/shared/broker/test_broker.py and test_cluster.py call it through Broker",
    "shared/broker/reader.py": "tests/shared/broker/test_broker.py covers both directions",
    "shared/broker/writer.py": "tests/shared/broker/test_broker.py covers both directions",
}
"""Source files without a test file of their own, each with the reason."""

# Written so that this file does not contain what it looks for.
_MACHINE_PATHS = re.compile("|".join(rf"(?<![\w.~])/{root}/" for root in ("work", "root", "Users", "opt/pypi")))


def python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def tracked_text_files() -> list[Path]:
    """Return the files that git knows and that are text; where there is no git, the usual folders."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = done.stdout.splitlines() if done.returncode == 0 else []
    files = [ROOT / name for name in names] or [*python_files("services", "shared", "tests"), *ROOT.glob("*.*")]
    return [path for path in files if path.is_file() and path.suffix in _TEXT and path.stat().st_size < 1_000_000]


_TEXT = {"", ".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".sh", ".js", ".html", ".css", ".json", ".jsonl"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_module_has_a_test_that_mirrors_it() -> None:
    without = []
    for path in python_files("services", "shared"):
        name = name_of(path)
        if path.name in ("__init__.py", "__main__.py") or name in UNMIRRORED:
            continue
        folder = ROOT / "tests" / path.parent.relative_to(ROOT)
        if not (folder / f"test_{path.stem}.py").is_file():
            without.append(name)
    assert not without, "no test mirrors: " + ", ".join(without)


def test_the_list_of_unmirrored_modules_is_true() -> None:
    gone = [name for name in UNMIRRORED if not (ROOT / name).is_file()]
    needless = [
        name for name in UNMIRRORED if (ROOT / "tests" / Path(name).parent / f"test_{Path(name).stem}.py").is_file()
    ]
    assert (gone, needless) == ([], [])


def test_every_test_file_mirrors_a_module() -> None:
    """A test of a module that is gone or renamed is found here."""
    astray = []
    for path in python_files("tests/services", "tests/shared"):
        if not path.name.startswith("test_"):
            continue
        source = ROOT / path.parent.relative_to(ROOT / "tests")
        stem = path.stem.removeprefix("test_")
        folder = path.parent.relative_to(ROOT / "tests").as_posix()
        if not any((source / f"{stem}{end}").exists() for end in (".py", "/__init__.py", ".toml", ".json")) and (
            not (source.is_dir() and folder in _WHOLE)
        ):
            astray.append(name_of(path))
    assert not astray, "these mirror no module: " + ", ".join(astray)


_WHOLE = {"shared/broker"}
"""Folders that are tested as one thing, through their front door."""


def test_files_are_short() -> None:
    long = {
        name_of(path): n
        for path in python_files("services", "shared", "benchmarks", "scripts", "tests")
        if (n := len(path.read_text(encoding="utf-8").splitlines())) > MAX_FILE_LINES
    }
    assert not long


def test_functions_are_short() -> None:
    long = {}
    for path in python_files("services", "shared", "benchmarks", "scripts"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                n = (node.end_lineno or node.lineno) - node.lineno + 1
                if n > MAX_FUNCTION_LINES:
                    long[f"{name_of(path)}:{node.name}"] = n
    assert not long


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        name_of(path)
        for path in python_files("services", "shared")
        if (text := path.read_text(encoding="utf-8")).strip() and not ast.get_docstring(ast.parse(text))
    ]
    assert not silent


def test_nothing_names_a_place_on_somebodys_machine() -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in tracked_text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if _MACHINE_PATHS.search(line)
    ]
    assert not found


def documents() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def test_links_in_the_documents_lead_somewhere() -> None:
    broken = []
    for page in documents():
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            there = (page.parent / file) if file else page
            if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
                broken.append(f"{name_of(page)} -> {target}")
    assert not broken


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code forges make them."""
    headings = re.findall(r"^#+\s+(.+?)\s*$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands() -> list[tuple[str, str]]:
    """Return (page, command line) for each line of the pages' shell blocks, and each `make ...` in their text."""
    found = []
    for page in documents():
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"```(?:sh|bash|console|shell)?\n(.*?)```", text, flags=re.DOTALL):
            found += [(name_of(page), line.strip().removeprefix("$ ")) for line in block.splitlines()]
        found += [(name_of(page), code) for code in re.findall(r"`(make [a-z]+)`", text)]
    return [(page, line) for page, line in found if line]


def test_make_targets_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    asked = {(page, word) for page, line in commands() if line.startswith("make ") for word in line.split()[1:2]}
    assert {(page, word) for page, word in asked if word not in targets} == set()


def test_scripts_and_modules_in_the_documents_exist() -> None:
    wrong = []
    for page, line in commands():
        for module in re.findall(r"python3? -m ((?:services|shared|benchmarks)[\w.]*)", line):
            if find_spec(module) is None:
                wrong.append(f"{page}: {module}")
        for file in re.findall(r"(?:^|\s)((?:scripts|deploy|benchmarks)/[\w./-]+)", line):
            if not (ROOT / file).exists():
                wrong.append(f"{page}: {file}")
    assert not wrong


def test_splitbrain_commands_in_the_documents_exist() -> None:
    asked: dict[str, str] = {}
    for page, line in commands():
        for word in re.findall(r"(?:^|[\s/;&|(])splitbrain ([a-z][a-z-]*)", line):
            asked[word] = page
    if not asked:
        pytest.skip("the documents name no command yet")
    done = subprocess.run([sys.executable, "-m", "services.cli", "--help"], capture_output=True, text=True, check=True)
    known = set(re.findall(r"[a-z][a-z-]+", done.stdout))
    assert {word: page for word, page in asked.items() if word not in known} == {}
