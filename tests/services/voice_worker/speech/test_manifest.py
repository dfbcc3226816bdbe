"""The manifest: what ships is right, and what is wrong is named."""

from __future__ import annotations

import pytest

from services.voice_worker.speech.manifest import OWN_PACKAGE, manifest, model, parse
from shared.errors import ConfigError

ENTRY = """
version = 1
[[models]]
name = "a"
purpose = "p"
languages = ["en"]
licence = "MIT"
origin = "o"
[[models.files]]
name = "a.bin"
size_bytes = 3
sha256 = "{sha}"
parts = ["{part}"]
"""
SHA = "0" * 64
PART = "pkg==1.0:pkg/a.bin"


def test_every_model_has_files_that_are_pinned() -> None:
    names = {entry.name for entry in manifest()}
    assert names == {"moonshine-tiny-en", "whisper-base", "piper-joe", "kokoro", "smart-turn"}
    for entry in manifest():
        assert entry.licence
        assert entry.size_bytes > 0
        for file in entry.files:
            assert file.parts
            assert all(part.version or part.package == OWN_PACKAGE for part in file.parts)


def test_known_upstream_hashes() -> None:
    files = {file.name: file.sha256[:8] for entry in manifest() for file in entry.files}
    assert files["model.bin"] == "d01c3014"
    assert files["kokoro.onnx"] == "6e742170"
    assert files["im_nicola.bin"] == "bc578e51"
    assert files["if_sara.bin"] == "409b6924"


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="whisper-base"):
        model("whisper-huge")


def test_a_small_manifest_is_read() -> None:
    (entry,) = parse(ENTRY.format(sha=SHA, part=PART))
    assert entry.files[0].parts[0].path == "pkg/a.bin"
    assert not entry.optional


@pytest.mark.parametrize(
    "text",
    [
        "version = 2",
        "not toml",
        ENTRY.format(sha="abc", part=PART),
        ENTRY.format(sha=SHA, part="pkg:unpinned.bin"),
        ENTRY.format(sha=SHA, part="pkg==1:../../etc/passwd"),
        ENTRY.format(sha=SHA, part="pkg==1:/etc/passwd"),
        ENTRY.format(sha=SHA, part=PART).replace('name = "a"', 'name = "../a"'),
        ENTRY.format(sha=SHA, part=PART).replace('licence = "MIT"', ""),
        ENTRY.format(sha=SHA, part=PART) + ENTRY.format(sha=SHA, part=PART).replace("version = 1", ""),
    ],
)
def test_a_wrong_manifest_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="manifest"):
        parse(text)
