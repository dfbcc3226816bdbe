"""The knowledge file and its loader: what is in it, and that every kind of fault is named with its line."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from shared.coaching.knowledge import (
    FILE_NAME,
    Knowledge,
    id_key,
    load_knowledge,
    parse_knowledge,
    read_package_data,
)
from shared.errors import ConfigError

Change = Callable[[dict[str, Any]], None]


def changed(change: Change) -> bytes:
    file = json.loads(read_package_data(FILE_NAME))
    change(file)
    return json.dumps(file, indent=1).encode()


def entry(file: dict[str, Any], technique_id: str) -> dict[str, Any]:
    found = [item for item in file["techniques"] if item["id"] == technique_id]
    assert len(found) == 1
    result: dict[str, Any] = found[0]
    return result


@pytest.fixture
def knowledge() -> Knowledge:
    return load_knowledge()


def test_packaged_file_holds_the_method(knowledge: Knowledge) -> None:
    assert sorted(knowledge.phases) == [0, 1, 2, 3, 4]
    assert len(knowledge.techniques) == 50
    assert len(knowledge.attitudes) == 9
    assert set(knowledge.themes.values()) == set(knowledge.children("2.1.1"))
    assert knowledge.name("2.1.1.6", "nl") == "Budget"
    assert knowledge.technique("4.INDIEN").phase == 4


def test_hash_is_that_of_the_file(knowledge: Knowledge) -> None:
    assert knowledge.knowledge_hash == hashlib.sha256(read_package_data(FILE_NAME)).hexdigest()
    assert load_knowledge() is knowledge


def test_hash_changes_with_any_content() -> None:
    other = parse_knowledge(changed(lambda file: entry(file, "2.3").update(name_en="Consequences")))
    assert other.knowledge_hash != load_knowledge().knowledge_hash


def test_importing_reads_no_file() -> None:
    code = (
        "import shared.coaching.knowledge as k\n"
        "assert k.load_knowledge.cache_info().currsize == 0\n"
        "k.load_knowledge(); assert k.load_knowledge.cache_info().currsize == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_natural_order_has_words_after_numbers_and_parents_first(knowledge: Knowledge) -> None:
    assert sorted(["4.ABC", "4.10", "4.2", "4.INDIEN", "4.2.1", "4"], key=id_key) == [
        "4",
        "4.2",
        "4.2.1",
        "4.10",
        "4.ABC",
        "4.INDIEN",
    ]
    assert list(knowledge.techniques) == sorted(knowledge.techniques, key=id_key)


def test_expected_techniques_follow_the_phase(knowledge: Knowledge) -> None:
    assert knowledge.expected("vraag", 2) == ("2.1.4",)
    assert knowledge.expected("vraag", 4) == ("4.2.1",)
    assert knowledge.expected("vraag", None) == ("2.1.4", "4.2.1")
    assert "2.1.4" not in knowledge.expected("negatief", 4)
    assert knowledge.expected(None, 2) == ()
    assert knowledge.answers("4.2.4", "bezwaar", 4)
    assert not knowledge.answers("4.2.1", "bezwaar", 4)


def test_within_does_not_mix_up_ids_with_a_common_beginning(knowledge: Knowledge) -> None:
    assert knowledge.is_within("2.1.1.6", "2.1.1")
    assert knowledge.is_within("2.1", "2.1")
    assert not knowledge.is_within("2.10", "2.1")


def unknown_parent(file: dict[str, Any]) -> None:
    file["techniques"] = [item for item in file["techniques"] if item["id"] != "2.1.1"]


FAULTS: list[tuple[Change, str]] = [
    (lambda file: file["techniques"].append(entry(file, "2.3")), "'2.3' stands twice"),
    (lambda file: file["attitudes"].append(file["attitudes"][0]), "'positief' stands twice"),
    (lambda file: entry(file, "2.1.1.2").update(theme="bron"), "'bron' stands twice"),
    (unknown_parent, "'2.1.1' is not in the file"),
    (lambda file: entry(file, "2.3").update(parent="3"), "its parent must be '2'"),
    (lambda file: entry(file, "2.3").update(id="2.x"), "not of the form"),
    (lambda file: entry(file, "4.1").update(phase=3), "belongs to phase 4"),
    (lambda file: entry(file, "4.1").update(epic_step="probe"), "epic_step"),
    (lambda file: entry(file, "2.3").update(epic_step=None), "epic_step"),
    (lambda file: entry(file, "2.1.4").update(allowed_phases=[2, 4]), "share none"),
    (lambda file: entry(file, "2.1.4").update(forbidden_phases=[9]), "phases 0 to 4"),
    (lambda file: entry(file, "2.1.5").update(reacts_to=["boos"]), "unknown attitude 'boos'"),
    (lambda file: file["attitudes"][0].update(expected_techniques=["2.9"]), "unknown technique '2.9'"),
    (lambda file: file["attitudes"][0].update(expected_by_phase={"1": ["7.1"]}), "unknown technique '7.1'"),
    (lambda file: file["attitudes"][0].update(expected_by_phase={"4": ["2.1.4"]}), "forbidden in phase 4"),
    (lambda file: file["attitudes"][5].update(expected_by_phase={"2": ["2.2"]}), "phase '2', which is not allowed"),
    (lambda file: file["attitudes"][0].update(allowed_phases=[0]), "phases 1 to 4 only"),
    (lambda file: entry(file, "2.3").pop("name_en"), "name_en: Field required"),
    (lambda file: entry(file, "2.3").pop("epic_step"), "epic_step: Field required"),
    (lambda file: entry(file, "2.3")["criteria"].pop("missed"), "criteria.missed: Field required"),
    (lambda file: entry(file, "2.3").update(pattern="of"), "pattern: Extra inputs"),
    (lambda file: entry(file, "2.3").update(phase="2"), "phase: Input should be a valid integer"),
    (lambda file: file.pop("error_codes"), "error_codes: Field required"),
]


@pytest.mark.parametrize(("change", "reason"), FAULTS, ids=[reason for _, reason in FAULTS])
def test_fault_is_refused_with_file_line_and_reason(change: Change, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_knowledge(changed(change), "own.json")
    message = str(caught.value)
    assert reason in message
    assert "own.json:" in message


def test_the_line_is_that_of_the_entry() -> None:
    data = changed(lambda file: entry(file, "4.INDIEN").update(phase=2))
    with pytest.raises(ConfigError) as caught:
        parse_knowledge(data)
    line = int(str(caught.value).split(f"{FILE_NAME}:")[1].split(":")[0])
    assert '"id": "4.INDIEN"' in data.decode().splitlines()[line]  # the line after the entry's brace


def test_all_faults_are_told_at_once() -> None:
    def two(file: dict[str, Any]) -> None:
        entry(file, "2.3").update(parent="3")
        entry(file, "4.1").update(phase=3)

    with pytest.raises(ConfigError) as caught:
        parse_knowledge(changed(two))
    assert "2.3" in str(caught.value)
    assert "4.1" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"version": "1",\n "version": "2"}', "stands twice"),
        (b'{\n"version": \n}', "epic.json:3: not JSON"),
        (b"[]", "one JSON object"),
        (b"\xff{}", "not UTF-8 at byte 0"),
        (b" " * 1_000_001, "at most"),
        (b"{}", "version: Field required"),
    ],
)
def test_broken_bytes_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_knowledge(data)
