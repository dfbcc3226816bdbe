"""`splitbrain recordings import`: reads the files, has the listener transcribe where no transcript is given, stores."""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

from services.command_line import console
from services.command_line.exits import CommandError, Exit
from services.evaluator.recording.import_files import load_sources
from services.evaluator.recording.manifest import Manifest, RecordingError
from services.evaluator.recording.store import RecordingStore
from shared.errors import SpeechError


def run(store: RecordingStore, options: argparse.Namespace) -> Exit:
    """Import what the options name. A file that is not as it must be ends it with 2, and nothing is left."""
    try:
        manifest = _import(store, options)
    except RecordingError as error:
        raise CommandError(Exit.USAGE, str(error)) from error
    except SpeechError as error:
        raise CommandError(Exit.FAILED, f"no transcript could be made: {error}") from error
    if options.json:
        console.say_json(manifest.model_dump(mode="json", by_alias=True))
    else:
        length = console.duration(manifest.clocks.media_ms / 1000)
        console.say(f"{manifest.id}: imported, {length}, {manifest.events.count} events, into {store.url}")
    return Exit.OK


def _import(store: RecordingStore, options: argparse.Namespace) -> Manifest:
    # Imported here: they need numpy, soundfile and soxr, which looking at recordings does not.
    from services.evaluator.recording import import_sound, importing

    store.check()
    sources = load_sources([Path(each) for each in options.files], _path(options.transcript))
    if sources.exported:
        return importing.import_exported(store, sources)
    voices = import_sound.two_voices(sources.sounds, options.seller)
    if sources.transcript is not None:
        said = importing.read_transcript(sources.transcript, options.language)
    else:
        from services.command_line import offline_listener

        console.warn("no transcript is given: the listener makes one")
        said = asyncio.run(offline_listener.listen(voices, options.language, options.locale))
    names = tuple(source.name for source in sources.sounds)
    facts = importing.CallFacts(options.language, options.locale, names)
    return importing.import_call(store, voices, said, facts, time.time_ns() // 1_000_000)


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
