"""Unpacks the archive of published voices: `voices/*.pt` and `voices/*.wav`, nothing else, nowhere else."""

from __future__ import annotations

import logging
import re
import tarfile
import zlib
from pathlib import Path
from typing import Final

from shared.errors import ModelCorrupt

FOLDER: Final = "voices"

MAX_MEMBERS: Final = 1_000
MAX_FILE_BYTES: Final = 64 << 20
"""As large as a voice may be to be used."""
MAX_BYTES: Final = 1 << 30

_NAME = re.compile(rf"(?:\./)?{FOLDER}/([A-Za-z0-9_-][A-Za-z0-9_.-]{{0,99}}\.(?:pt|wav))")

log = logging.getLogger(__name__)


def unpack(archive: Path, target: Path) -> tuple[str, ...]:
    """Unpack the voices of `archive` to `target`/voices and return their names, sorted ("NATF2.pt").

    Files of other names are left out. ModelCorrupt: no archive, damaged, too large, no voice in it, or a member that
    is a link, a device or leads out of the folder.
    """
    names = set()
    try:
        with tarfile.open(archive, "r:gz") as tar:
            n_bytes = 0
            for number, member in enumerate(tar):
                n_bytes += member.size
                if number >= MAX_MEMBERS or n_bytes > MAX_BYTES:
                    raise ModelCorrupt(
                        f"{archive.name} unpacks to more than {MAX_MEMBERS} files or {MAX_BYTES >> 20} MB"
                    )
                name = _voice_name(archive, member, target)
                if name:
                    tar.extract(member, target, set_attrs=False, filter="data")
                    names.add(name)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ModelCorrupt(f"{archive.name} cannot be unpacked: {error}") from error
    if not names:
        raise ModelCorrupt(f"{archive.name} holds no voice: no {FOLDER}/*.pt, no {FOLDER}/*.wav")
    return tuple(sorted(names))


def _voice_name(archive: Path, member: tarfile.TarInfo, target: Path) -> str:
    """Return the file name of a voice, "" for what is left out. ModelCorrupt for what no such archive has."""
    tarfile.data_filter(member, str(target))
    if not (member.isreg() or member.isdir()):
        raise ModelCorrupt(f"{archive.name} holds {member.name!r}, which is neither a file nor a folder")
    found = _NAME.fullmatch(member.name)
    if found is None or not member.isreg():
        if member.isreg():
            log.info("%s: %r is no voice and was left out", archive.name, member.name)
        return ""
    if member.size > MAX_FILE_BYTES:
        raise ModelCorrupt(f"{archive.name}: {member.name!r} has more than {MAX_FILE_BYTES >> 20} MB")
    return found[1]
