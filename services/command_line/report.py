"""`splitbrain report`: writes a page about one recording, or about a folder of them. Needs no running service."""

from __future__ import annotations

import argparse
import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

from services.command_line import console
from services.command_line.chosen import Chosen, choose, needs_analyst
from services.command_line.exits import CommandError, Exit
from services.command_line.outputs import check_file
from services.evaluator.recording.reader import Recording

MAX_GROUPS_BYTES = 10_000_000


def run(options: argparse.Namespace) -> Exit:
    """Write the page; 1 if a recording could not be read (a page about many names it), 2 for wrong options."""
    chosen = choose(options.what, options.store)
    if chosen.is_one and (options.by or options.groups):
        raise CommandError(Exit.USAGE, "--by and --groups are for a folder of recordings")
    listed = _read_groups(Path(options.groups)) if options.groups else {}
    out = Path(options.out or (f"{chosen.ids[0]}.html" if chosen.is_one else "recordings.html"))
    check_file(out)
    try:
        page = _one(chosen, options) if chosen.is_one else _many(chosen, options, listed)
    except ModuleNotFoundError as error:
        raise needs_analyst(error) from error
    _write(out, page)
    n_read = len(chosen.ids) - len(chosen.bad)
    for recording_id, why in chosen.bad:
        console.warn(f"{recording_id}: {why}")
    if options.json:
        bad = [{"id": recording_id, "reason": why} for recording_id, why in chosen.bad]
        console.say_json({"file": str(out), "bytes": out.stat().st_size, "recordings": n_read, "bad": bad})
    else:
        console.say(f"wrote {out}: {n_read} recording{'s' * (n_read != 1)}, {out.stat().st_size / 1e6:.1f} MB")
    return Exit.FAILED if chosen.bad else Exit.OK


def _one(chosen: Chosen, options: argparse.Namespace) -> str:
    from services.evaluator.report.build import report_recording

    recording = next(chosen.read())
    return report_recording(recording, options.lang, with_sound=not options.no_audio)


def _many(chosen: Chosen, options: argparse.Namespace, listed: dict[str, str]) -> str:
    from services.evaluator.report.build import report_recordings
    from services.evaluator.report.folder import Grouping

    unknown = set(listed)

    def read() -> Iterator[Recording]:
        for recording in chosen.read():
            unknown.difference_update((recording.manifest.id, *recording.manifest.imported_from[:1]))
            yield recording

    page = report_recordings(options.what, read(), options.lang, Grouping(options.by, listed), chosen.bad)
    if unknown:
        console.warn(f"{options.groups}: {len(unknown)} recordings are not in {options.what}")
    return page


def _read_groups(path: Path) -> dict[str, str]:
    """Return recording's id or imported file -> group. Raises CommandError (2) with the line that is wrong."""
    try:
        if path.stat().st_size > MAX_GROUPS_BYTES:
            raise CommandError(Exit.USAGE, f"{path} is larger than {MAX_GROUPS_BYTES // 1_000_000} MB")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(Exit.USAGE, f"{path} cannot be read: {error}") from error
    rows = csv.DictReader(io.StringIO(text))
    if not {"recording", "group"} <= set(rows.fieldnames or ()):
        raise CommandError(Exit.USAGE, f"{path} has no columns recording,group in its first line")
    groups: dict[str, str] = {}
    for row in rows:
        recording, group = (row["recording"] or "").strip(), (row["group"] or "").strip()
        if not recording or not group:
            raise CommandError(Exit.USAGE, f"{path}, line {rows.line_num}: a recording and its group are needed")
        groups[recording] = group[:80]
    return groups


def _write(path: Path, page: str) -> None:
    """Put the page in place at once, for this user only: it holds what people said."""
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "w", encoding="utf-8", newline="\n", opener=_private) as file:
            file.write(page)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise CommandError(Exit.FAILED, f"{path} cannot be written: {error.strerror or error}") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
