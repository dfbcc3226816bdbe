"""Reads a recording and checks it: schema, hashes, order of the events, length of the tracks. Writes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.evaluator.recording.events import Entry, from_lines
from services.evaluator.recording.manifest import (
    MANIFEST,
    TRACK_FILES,
    FileEntry,
    FileName,
    Manifest,
    RecordingError,
    Side,
    TrackEntry,
    check_id,
    parse_manifest,
)
from services.evaluator.recording.store import RecordingStore
from services.evaluator.recording.tracks import from_ogg, length_of
from shared.events import Event

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LENGTH_TOLERANCE_SAMPLES = 1_920
"""Both tracks are equally long to within a frame."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole and checked recording. `packets` are those of each track, as they came."""

    manifest: Manifest
    entries: tuple[Entry, ...]
    packets: Mapping[Side, tuple[bytes, ...]]
    scorecard: bytes | None = None

    @property
    def events(self) -> tuple[Event, ...]:
        """The events in stream order: what an evaluator is given."""
        return tuple(each.event for each in self.entries)

    def track(self, side: Side) -> NDArray[np.float32] | None:
        """Return a track's sound, 24 kHz mono, sample n at media time n / 24,000 s; None if it was not recorded.

        Decodes: needs numpy and libopus, and about a second for ten minutes. A packet that libopus refuses is heard
        as silence of its length.
        """
        if side not in self.packets:
            return None
        import numpy as np

        from shared.audio.opus import OpusDecoder
        from shared.audio.opus_toc import packet_samples
        from shared.errors import AudioError

        sound = np.zeros(self.manifest.tracks[side].n_samples, dtype=np.float32)
        at = 0
        with OpusDecoder() as decoder:
            for packet in self.packets[side]:
                try:
                    pcm = decoder.decode(packet)
                    sound[at : at + len(pcm)] = pcm
                except AudioError:
                    decoder.conceal(packet_samples(packet))
                at += packet_samples(packet)
        return sound


def load_recording(url: str, recording_id: str = "") -> Recording:
    """Return the recording at `url` (a store's address with `recording_id`, or `<store>/<id>`), checked.

    Raises RecordingError that says what is wrong, StoreError where the place does not answer.
    """
    if not recording_id:
        url, _, recording_id = url.rstrip("/").rpartition("/")
    return read_recording(RecordingStore(url or "."), recording_id)


def read_recording(store: RecordingStore, recording_id: str) -> Recording:
    """Return a recording of the store, checked. Raises RecordingError and StoreError."""
    manifest = read_manifest(store, recording_id)
    files = check_files(store, manifest)
    return check_content(manifest, files)


def read_manifest(store: RecordingStore, recording_id: str) -> Manifest:
    """Return the manifest of a recording. Raises RecordingError and StoreError."""
    check_id(recording_id)
    try:
        manifest = parse_manifest(store.read(recording_id, MANIFEST))
    except RecordingError as error:
        if str(error) == f"{MANIFEST} is missing":
            what = "is half-written: it has no manifest" if recording_id in store.unfinished() else "is not there"
            raise RecordingError(f"the recording {what}") from error
        raise
    if manifest.id != recording_id:
        raise RecordingError(f"{MANIFEST} is that of {manifest.id}")
    return manifest


def check_files(store: RecordingStore, manifest: Manifest) -> dict[FileName, bytes]:
    """Return the files that the manifest lists. Raises RecordingError if one is missing, cut off or another one."""
    files: dict[FileName, bytes] = {}
    for name, entry in manifest.files.items():
        files[name] = check_file(name, entry, store.read(manifest.id, name, entry.n_bytes))
    return files


def check_file(name: FileName, entry: FileEntry, data: bytes) -> bytes:
    """Return `data` if it is the file that the manifest means, else raise RecordingError."""
    if len(data) != entry.n_bytes:
        raise RecordingError(f"{name} is cut off: {len(data)} of {entry.n_bytes} bytes are there")
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise RecordingError(f"{name} has another SHA-256 than {MANIFEST} says")
    return data


def check_content(manifest: Manifest, files: Mapping[FileName, bytes]) -> Recording:
    """Return the recording that these files are. Raises RecordingError for what contradicts the manifest. Pure."""
    entries = from_lines(files["events.jsonl"], manifest.id)
    if len(entries) != manifest.events.count:
        raise RecordingError(f"events.jsonl has {len(entries)} events; {MANIFEST} says {manifest.events.count}")
    packets: dict[Side, tuple[bytes, ...]] = {}
    for side, entry in manifest.tracks.items():
        packets[side] = _packets(files[TRACK_FILES[side]], TRACK_FILES[side], entry)
    lengths = [entry.n_samples for entry in manifest.tracks.values()]
    if lengths and max(lengths) - min(lengths) > LENGTH_TOLERANCE_SAMPLES:
        raise RecordingError(f"the tracks differ by {max(lengths) - min(lengths)} samples")
    return Recording(manifest, entries, packets, files.get("scorecard.json"))


def _packets(data: bytes, name: str, entry: TrackEntry) -> tuple[bytes, ...]:
    try:
        packets = from_ogg(data)
        n_samples = length_of(packets)
    except RecordingError as error:
        raise RecordingError(f"{name}: {error}") from error
    if (n_samples, len(packets)) != (entry.n_samples, entry.n_packets):
        raise RecordingError(f"{name} holds {n_samples} samples; {MANIFEST} says {entry.n_samples}")
    return tuple(packets)


def summary(manifest: Manifest) -> dict[str, Any]:
    """Return what a listing shows of a recording."""
    return {
        "id": manifest.id,
        "source": manifest.source,
        "engine": manifest.engine,
        "language": manifest.language,
        "startedWallMs": manifest.clocks.started_wall_ms,
        "mediaMs": manifest.clocks.media_ms,
        "tracks": sorted(manifest.tracks),
        "events": manifest.events.count,
        "bytes": sum(entry.n_bytes for entry in manifest.files.values()),
    }
