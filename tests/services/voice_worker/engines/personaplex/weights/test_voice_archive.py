"""The archive of voices: what is taken from it, and what makes it refused."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from services.voice_worker.engines.personaplex.weights import voice_archive
from services.voice_worker.engines.personaplex.weights.voice_archive import unpack
from shared.errors import ModelCorrupt


def file(name: str, data: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    return member, data


def other(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    def write(*members: tuple[tarfile.TarInfo, bytes]) -> Path:
        path = tmp_path / "voices.tgz"
        with tarfile.open(path, "w:gz") as tar:
            for member, data in members:
                tar.addfile(member, io.BytesIO(data))
        return path

    return write


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_voices_are_taken_and_nothing_else(pack: Callable[..., Path], tmp_path: Path) -> None:
    archive = pack(
        other("voices", tarfile.DIRTYPE),
        file("voices/NATM1.pt", b"one"),
        file("./voices/own.wav", b"two"),
        file("voices/._NATM1.pt"),
        file("voices/README.md"),
        file("voices/deeper/x.pt"),
        file("x.pt"),
        file("/voices/absolute.pt"),
    )
    target = tmp_path / "out"
    target.mkdir()
    assert unpack(archive, target) == ("NATM1.pt", "own.wav")
    assert written(target) == ["voices/NATM1.pt", "voices/own.wav"]
    assert (target / "voices" / "NATM1.pt").read_bytes() == b"one"


@pytest.mark.parametrize(
    "bad",
    [
        file("../voices/x.pt"),
        file("voices/../../x.pt"),
        other("voices/x.pt", tarfile.SYMTYPE, "../../secret"),
        other("voices/x.pt", tarfile.SYMTYPE, "/etc/passwd"),
        other("voices/x.pt", tarfile.SYMTYPE, "good.pt"),
        other("voices/x.pt", tarfile.LNKTYPE, "voices/good.pt"),
        other("voices/x.pt", tarfile.FIFOTYPE),
        other("voices/x.pt", tarfile.CHRTYPE),
    ],
    ids=lambda bad: f"{bad[0].name}-{bad[0].type.decode()}-{bad[0].linkname}",
)
def test_what_leads_elsewhere_refuses_the_whole(
    bad: tuple[tarfile.TarInfo, bytes], pack: Callable[..., Path], tmp_path: Path
) -> None:
    target = tmp_path / "in" / "out"
    target.mkdir(parents=True)
    with pytest.raises(ModelCorrupt):
        unpack(pack(file("voices/good.pt"), bad), target)
    assert written(tmp_path / "in") in ([], ["out/voices/good.pt"])


def test_limits(pack: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_archive, "MAX_FILE_BYTES", 10)
    monkeypatch.setattr(voice_archive, "MAX_BYTES", 25)
    monkeypatch.setattr(voice_archive, "MAX_MEMBERS", 3)
    one = file("voices/a.pt", bytes(10))
    assert unpack(pack(one), tmp_path) == ("a.pt",)
    for members in (
        (file("voices/a.pt", bytes(11)),),
        (one, file("voices/b.pt", bytes(10)), file("large.txt", bytes(6))),
        tuple(file(f"voices/{number}.pt") for number in range(4)),
    ):
        with pytest.raises(ModelCorrupt):
            unpack(pack(*members), tmp_path)


def test_an_archive_without_a_voice(pack: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ModelCorrupt, match="holds no voice"):
        unpack(pack(file("readme")), tmp_path)


@pytest.mark.parametrize("n_kept", [0, 5, 40])
def test_a_damaged_archive(n_kept: int, pack: Callable[..., Path], tmp_path: Path) -> None:
    archive = pack(file("voices/a.pt", bytes(range(256)) * 40))
    archive.write_bytes(archive.read_bytes()[:n_kept])
    with pytest.raises(ModelCorrupt):
        unpack(archive, tmp_path)


def test_what_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "voices.tgz"
    path.write_bytes(b"<html>" * 100)
    with pytest.raises(ModelCorrupt, match="cannot be unpacked"):
        unpack(path, tmp_path)
