"""The pattern language and the overlay files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.coaching.knowledge import load_knowledge, read_package_data
from shared.coaching.patterns import compile_pattern, load_patterns, parse_patterns
from shared.coaching.words import sentences
from shared.errors import ConfigError

CLASSES = {"u": ("u", "je", "hebt u")}


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("wat kost", "wat kost dat", True),
        ("of", "de kofferbak van de prof", False),
        ("wat * kost", "wat zou dat nu kost", True),
        ("wat * kost", "wat een twee drie vier vijf kost", False),
        ("wat ** kost", "wat een twee drie vier vijf kost", True),
        ("[wat kost|hoeveel] dat", "hoeveel dat", True),
        ("[zeg|zegt]? wat", "wat", True),
        ("< wat", "en wat", False),
        ("wat >", "wat nu", False),
        ("@u wilt", "hebt u wilt", True),
        ("# dagen", "zestig dagen", True),
        ("# dagen", "3,5 dagen", True),
        ("# dagen", "mooie dagen", False),
        ("[los * prijs|nee] ja", "los van de prijs ja", True),
    ],
)
def test_patterns_match_whole_words(pattern: str, text: str, found: bool) -> None:
    (sentence,) = sentences(text)
    assert bool(compile_pattern(pattern, CLASSES).search(sentence.line)) is found


@pytest.mark.parametrize("pattern", ["", "@nobody", "a.b", "[a||b]", "(x)"])
def test_wrong_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        compile_pattern(pattern, CLASSES)


def overlay(**changes: Any) -> bytes:
    file = json.loads(read_package_data("patterns_nl.json"))
    file.update(changes)
    return json.dumps(file).encode()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"techniques": {"9.9": {"strong": ["x"]}}}, "unknown id '9.9'"),
        ({"attitudes": {"boos": {"strong": ["x"]}}}, "unknown key 'boos'"),
        ({"errors": {"rude": ["x"]}}, "unknown code 'rude'"),
        ({"forms": {"open": ["x"]}}, "'closed' is missing"),
        ({"techniques": {"2.3": {"strong": ["@x"]}}}, "unknown class '@x'"),
        ({"techniques": {"2.3": {"name": "Impact"}}}, "Extra inputs"),
        ({"language": "fr"}, "language"),
    ],
)
def test_a_wrong_overlay_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_patterns(overlay(**changes), "patterns_nl.json", load_knowledge())


def test_both_languages_know_every_observable_technique_and_attitude() -> None:
    knowledge = load_knowledge()
    wanted = {item.id for item in knowledge.techniques.values() if item.observable and not item.is_group}
    for language in ("nl", "en"):
        patterns = load_patterns(language)  # type: ignore[arg-type]
        assert wanted <= set(patterns.techniques) | {"2.1"}
        assert set(patterns.attitudes) == set(knowledge.attitudes)
        assert len(patterns.fingerprint) == 64
