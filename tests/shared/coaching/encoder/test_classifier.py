"""The classifier's file, its probabilities, and that it was not made from what it is measured on."""

from __future__ import annotations

import hashlib
import json
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from shared.coaching.encoder.classifier import (
    FILE_NAME,
    HEADS,
    NONE,
    Head,
    load_classifier,
    pack_classifier,
    parse_classifier,
)
from shared.coaching.knowledge import load_knowledge, read_package_data
from shared.coaching.words import words
from shared.errors import ConfigError

DIALOGUES = Path(__file__).parents[3] / "fixtures/dialogues"


def tiny() -> dict[str, Head]:
    weights = np.array([[127, 0], [0, -127]], dtype=np.float32)
    return {name: Head((NONE, "x"), weights, np.zeros(2, dtype=np.float32)) for name in HEADS}


def test_its_classes_are_the_method_s() -> None:
    classifier, knowledge = load_classifier(), load_knowledge()
    leaves = {i.id for i in knowledge.techniques.values() if i.phase and not (i.is_group and i.id != "2.1.1")}
    assert set(classifier.techniques.classes) == {*leaves, NONE}
    assert set(classifier.attitudes.classes) == {*knowledge.attitudes, NONE}
    assert set(classifier.errors.classes) <= {*knowledge.error_codes, NONE}
    assert len(read_package_data(FILE_NAME)) < 2_000_000


def test_what_is_packed_is_read_again() -> None:
    data = pack_classifier(tiny())
    assert data == pack_classifier(tiny())
    read = parse_classifier(data, hashlib.sha256(data).hexdigest())
    assert read.techniques.classes == (NONE, "x")
    assert np.allclose(read.errors.weights, tiny()["errors"].weights)
    found = read.attitudes.probabilities(np.array([0.01, 0.01], dtype=np.float32))
    assert sum(found.values()) == pytest.approx(1, abs=1e-3)
    assert all(round(value, 4) == value for value in found.values())


def test_a_damaged_file_is_refused() -> None:
    data = pack_classifier(tiny())
    with pytest.raises(ConfigError, match="damaged"):
        parse_classifier(data + b"x", hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("leave_out", ["techniques_bias", "errors_classes"])
def test_a_file_without_a_part_is_refused(leave_out: str) -> None:
    file = BytesIO()
    with zipfile.ZipFile(BytesIO(pack_classifier(tiny()))) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            if name != f"{leave_out}.npy":
                new.writestr(name, old.read(name))
    data = file.getvalue()
    with pytest.raises(ConfigError, match="cannot be read"):
        parse_classifier(data, hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("language", ["nl", "en"])
def test_there_are_enough_examples(language: str) -> None:
    techniques = json.loads(read_package_data(f"examples_{language}.json"))["techniques"]
    assert min(map(len, techniques.values())) >= 25
    assert set(techniques) == set(load_classifier().techniques.classes)


def test_no_example_is_a_turn_of_a_labelled_dialogue() -> None:
    """Short ones ("Is that bad?") may meet by chance; a whole sentence may not."""
    turns = {
        " ".join(words(turn["text"]))
        for path in DIALOGUES.glob("*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
        for turn in json.loads(line)["turns"]
    }
    shared = set()
    for language in ("nl", "en"):
        kinds = json.loads(read_package_data(f"examples_{language}.json"))
        for kind in ("techniques", "attitudes", "errors"):
            texts = [" ".join(words(text)) for group in kinds[kind].values() for text in group]
            shared |= {text for text in texts if len(text.split()) > 5 and text in turns}
    assert not shared
