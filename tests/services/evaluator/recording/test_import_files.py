"""What an import is given: pairs, stereo files and zips; names that lead elsewhere and bombs are refused unread."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from services.evaluator.recording import import_files
from services.evaluator.recording.import_files import Sources, load_sources
from services.evaluator.recording.manifest import RecordingError


def zipped(path: Path, members: dict[str | zipfile.ZipInfo, bytes], how: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(name, data, how)
    return path


def names(sources: Sources) -> list[str]:
    return [source.name for source in sources.sounds]


def test_a_pair_a_stereo_file_and_a_transcript(tmp_path: Path) -> None:
    one, two, words = tmp_path / "a.WAV", tmp_path / "b.ogg", tmp_path / "c.json"
    for path in (one, two, words):
        path.write_bytes(path.name.encode())
    assert names(load_sources([one, two])) == ["a.WAV", "b.ogg"]
    sources = load_sources([two], words)
    assert names(sources) == ["b.ogg"]
    assert sources.transcript is not None
    assert sources.transcript.data == b"c.json"


@pytest.mark.parametrize("order", [("customer.wav", "seller.wav"), ("klant.wav", "call/verkoper.wav")])
def test_a_zip_says_by_its_names_who_is_who(tmp_path: Path, order: tuple[str, str]) -> None:
    path = zipped(tmp_path / "a.zip", dict.fromkeys(order, b"x") | {"words.json": b"[]"})
    sources = load_sources([path])
    assert names(sources) == [order[1].rpartition("/")[2], order[0]]
    assert sources.transcript is not None


def test_a_zip_with_a_manifest_is_an_exported_recording(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"x/manifest.json": b"{}", "x/events.jsonl": b""})
    assert [source.name for source in load_sources([path]).exported] == ["manifest.json", "events.jsonl"]
    with pytest.raises(RecordingError, match="has its transcript already"):
        load_sources([path], path)


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"../seller.wav": b"x"}, "leads elsewhere"),
        ({"/etc/seller.wav": b"x"}, "leads elsewhere"),
        ({"a/../../seller.wav": b"x"}, "leads elsewhere"),
        ({"..\\seller.wav": b"x"}, "leads elsewhere"),
        ({"C:seller.wav": b"x"}, "leads elsewhere"),
        ({link("seller.wav"): b"/etc/passwd"}, "holds a link"),
        ({"run.exe": b"x"}, "would unpack to 1 bytes"),
        ({"inner.zip": b"x"}, "would unpack to 1 bytes"),
        ({f"{n}.wav": b"x" for n in range(21)}, "holds 21 files"),
        ({}, "holds 0 files"),
        ({"a/seller.wav": b"x", "b/seller.wav": b"x"}, "same name twice"),
        ({"one.wav": b"x", "two.wav": b"x"}, r"seller.\* and customer.\*"),
        ({"a.wav": b"x", "b.wav": b"x", "c.wav": b"x"}, "3 sound files"),
        ({"seller.wav": b"x", "a.json": b"", "b.json": b""}, "2 transcripts"),
    ],
)
def test_a_zip_that_is_not_as_it_must_be_is_refused(
    tmp_path: Path, members: dict[str | zipfile.ZipInfo, bytes], why: str
) -> None:
    with pytest.raises(RecordingError, match=why):
        load_sources([zipped(tmp_path / "a.zip", members)])


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_files, "_unpack", None)
    path = zipped(tmp_path / "a.zip", {"seller.wav": bytes(4 << 20)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(RecordingError, match="200 times its size"):
        load_sources([path])
    monkeypatch.setattr(import_files, "MAX_ZIP_BYTES", 1_000)
    with pytest.raises(RecordingError, match="would unpack to 1200 bytes"):
        load_sources([zipped(tmp_path / "b.zip", {"a.wav": bytes(600), "b.wav": bytes(600)})])


def test_a_head_that_lies_about_its_size_gets_no_more_than_it_says(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"seller.wav": b"x" * 50_000}, zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    path.write_bytes(data.replace((50_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with pytest.raises(RecordingError, match=r"no whole zip|not as long"):
        load_sources([path])


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_zip_that_is_cut_off_is_refused(tmp_path: Path, keep: int) -> None:
    path = zipped(tmp_path / "a.zip", {"seller.wav": b"x" * 1_000})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RecordingError, match="no whole zip"):
        load_sources([path])


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"seller.wav": b"x"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(RecordingError, match="encrypted"):
        load_sources([path])


@pytest.mark.parametrize(("name", "why"), [("none.wav", "cannot be read"), ("a.mp3", "can be imported")])
def test_other_files_are_refused(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(RecordingError, match=why):
        load_sources([tmp_path / name])


def test_what_is_too_large_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_files, "MAX_SOUND_BYTES", 1 << 20)
    path = tmp_path / "a.wav"
    path.write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(RecordingError, match="larger than 1 MiB"):
        load_sources([path])
