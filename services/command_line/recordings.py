"""`splitbrain recordings`: looks at recordings, checks, exports, imports and deletes them. Needs no running service."""

from __future__ import annotations

import argparse
import os
import sys
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from services.command_line import console
from services.command_line.exits import CommandError, Exit
from services.command_line.outputs import check_file
from services.command_line.up_plan import RECORDINGS_VARIABLE, recordings_folder
from services.evaluator.recording.manifest import (
    MANIFEST,
    Manifest,
    RecordingError,
    StoreError,
    check_id,
)
from services.evaluator.recording.reader import read_manifest, read_recording, summary
from services.evaluator.recording.store import UNFINISHED_AFTER_S, RecordingStore

HEADS = ("ID", "STARTED (UTC)", "LENGTH", "SOURCE", "ENGINE", "LANGUAGE", "TRACKS", "EVENTS", "MB")


def run(options: argparse.Namespace) -> Exit:
    """Run an action; 1 if a recording is bad or not there, 3 if the place does not answer."""
    store = RecordingStore(store_url(options.store, os.environ))
    actions = {"list": _list, "show": _show, "verify": _verify, "export": _export, "delete": _delete}
    try:
        if options.action == "import":
            from services.command_line import import_recording

            return import_recording.run(store, options)
        if getattr(options, "id", None):
            _check_id(options.id)
        return actions[options.action](store, options)
    except StoreError as error:
        raise CommandError(Exit.UNREACHABLE, str(error)) from error


def store_url(given: str | None, ours: Mapping[str, str]) -> str:
    """Return where recordings are: what is given, what is set, else where `splitbrain up` keeps them."""
    return given or ours.get(RECORDINGS_VARIABLE) or recordings_folder(ours)


def _list(store: RecordingStore, options: argparse.Namespace) -> Exit:
    found, bad = [], []
    for recording_id in store.ids():
        try:
            found.append(summary(read_manifest(store, recording_id)))
        except RecordingError as error:
            bad.append((recording_id, str(error)))
    unfinished = store.unfinished()
    if options.json:
        wrong = [{"id": recording_id, "reason": why} for recording_id, why in bad]
        console.say_json({"store": store.url, "recordings": found, "bad": wrong, "unfinished": unfinished})
    else:
        console.say(console.table(HEADS, [_row(each) for each in found]) if found else f"no recordings in {store.url}")
        for recording_id, why in bad:
            console.warn(f"{recording_id}: {why}")
        for recording_id in unfinished:
            console.warn(f"{recording_id}: half-written")
    return Exit.FAILED if bad else Exit.OK


def _row(about: Mapping[str, object]) -> tuple[str, ...]:
    started = datetime.fromtimestamp(int(str(about["startedWallMs"])) / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    length = console.duration(int(str(about["mediaMs"])) / 1000)
    tracks = about["tracks"]
    names = ",".join(str(side) for side in tracks) if isinstance(tracks, list) else ""
    size = f"{int(str(about['bytes'])) / 1e6:.1f}"
    facts = (str(about[name]) for name in ("source", "engine", "language"))
    return (str(about["id"]), started, length, *facts, names or "-", str(about["events"]), size)


def _show(store: RecordingStore, options: argparse.Namespace) -> Exit:
    manifest = read_manifest(store, options.id)
    if options.json:
        console.say_json(manifest.model_dump(mode="json", by_alias=True))
        return Exit.OK
    lines = _facts(manifest)
    width = max(len(name) for name, _ in lines)
    console.say("\n".join(f"{name.ljust(width)}  {text}" for name, text in lines))
    return Exit.OK


def _facts(manifest: Manifest) -> list[tuple[str, str]]:
    started = datetime.fromtimestamp(manifest.clocks.started_wall_ms / 1000, UTC).isoformat(sep=" ", timespec="seconds")
    allowed = [name for name, given in manifest.consent.model_dump().items() if given]
    facts = [
        ("id", manifest.id),
        ("source", manifest.source + "".join(f", {name}" for name in manifest.imported_from)),
        ("started", started),
        ("length", console.duration(manifest.clocks.media_ms / 1000)),
        ("engine", f"{manifest.engine}, {manifest.locale or manifest.language}"),
        ("ended", manifest.end_reason or "not told"),
        ("allowed", ", ".join(allowed) or "nothing"),
        ("events", f"{manifest.events.count}{'' if manifest.events.is_whole else ', not from beginning to end'}"),
    ]
    for side, track in manifest.tracks.items():
        lost = f", {track.lost_frames} frames lost" if track.lost_frames else ""
        facts.append((side, f"{track.n_samples / 24_000:.2f} s, {track.n_packets} packets{lost}"))
    for name, entry in manifest.files.items():
        facts.append((name, f"{entry.n_bytes} bytes, sha256 {entry.sha256}"))
    facts += [("left out", f"{each.what}: {each.why}") for each in manifest.left_out]
    return facts


def _verify(store: RecordingStore, options: argparse.Namespace) -> Exit:
    results: list[tuple[str, str]] = []
    for recording_id in options.ids or store.ids():
        try:
            read_recording(store, _check_id(recording_id))
        except RecordingError as error:
            results.append((recording_id, str(error)))
        else:
            results.append((recording_id, ""))
    if not options.ids:
        old = [each for each in store.unfinished() if store.age_s(each) >= UNFINISHED_AFTER_S]
        results += [(each, "the recording is half-written: it has no manifest") for each in old]
    bad = [recording_id for recording_id, why in results if why]
    if options.json:
        told = [{"id": recording_id, "ok": not why, "reason": why} for recording_id, why in results]
        console.say_json({"ok": not bad, "recordings": told})
    else:
        for recording_id, why in results:
            (console.warn if why else console.say)(f"{recording_id}: {why or 'ok'}")
        if not results:
            console.say(f"no recordings in {store.url}")
    return Exit.FAILED if bad else Exit.OK


def _export(store: RecordingStore, options: argparse.Namespace) -> Exit:
    """Write the zip under another name first: a broken-off export leaves no file that looks whole."""
    path = Path(options.file)
    check_file(path, "FILE.zip")
    recording = read_recording(store, options.id)
    names = (MANIFEST, *recording.manifest.files)
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb", opener=_private) as file, zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(_member(f"{options.id}/{name}"), store.read(options.id, name))
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise CommandError(Exit.FAILED, f"{path} cannot be written: {error.strerror or error}") from error
    if options.json:
        console.say_json({"id": options.id, "file": str(path), "bytes": path.stat().st_size})
    else:
        console.say(f"wrote {path}: {', '.join(names)}")
    return Exit.OK


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _member(name: str) -> zipfile.ZipInfo:
    """Return the head of a zip member. Its time is the format's first: an export has the same bytes each time."""
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_STORED if name.endswith(".ogg") else zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info


def _delete(store: RecordingStore, options: argparse.Namespace) -> Exit:
    if not options.yes:
        if not sys.stdin.isatty():
            raise CommandError(Exit.USAGE, "nobody can be asked here: add --yes")
        console.say(f"remove {options.id} from {store.url} for good? [y/N]")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return Exit.FAILED
    if not store.delete(options.id):
        raise CommandError(Exit.FAILED, f"{options.id}: the recording is not there")
    if options.json:
        console.say_json({"id": options.id, "deleted": True})
    else:
        console.say(f"{options.id}: deleted")
    return Exit.OK


def _check_id(text: str) -> str:
    try:
        return check_id(text)
    except RecordingError as error:
        raise CommandError(Exit.USAGE, str(error)) from error
