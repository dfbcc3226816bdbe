"""One direction's frames to an Ogg Opus track on media time, and back. Pure: packets stay as they came.

Where frames are missing silence is put in, so that sample n of both tracks is the same moment to within one frame: each
packet of frame n begins in the 80 ms from n * 80 ms on. (A client's packets need not end on a frame's edge.)
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from services.evaluator.recording.manifest import MAX_TRACK_SAMPLES, RecordingError
from shared.audio import FRAME_SAMPLES, SAMPLE_RATE
from shared.audio.ogg import OggOpusDemuxer, OggOpusMuxer
from shared.audio.opus_toc import packet_samples
from shared.audio.silence import STEP_SAMPLES, silent_packets
from shared.errors import AudioError
from shared.wire import AudioFrame

PAGE_PACKETS = 50
"""Packets of a page: one second of 20 ms packets."""

_PAGE_SEGMENTS = 255
_HEAD_BYTES = 27  # of a page: RFC 3533, section 6
_LAST_PAGE = 4
_SPARE_SAMPLES = 60 * SAMPLE_RATE


@dataclass(slots=True)
class Track:
    """Packets from media time 0 on, without a gap. What is counted is described in the manifest's TrackEntry."""

    packets: list[bytes] = field(default_factory=list)
    n_samples: int = 0
    silent_samples: int = 0
    lost_frames: int = 0
    dropped_packets: int = 0
    first_wall_ms: int = 0
    last_wall_ms: int = 0

    def pad(self, until_samples: int) -> int:
        """Add silence up to there, rounded down to 2.5 ms; return how much."""
        missing = max(0, until_samples - self.n_samples) // STEP_SAMPLES * STEP_SAMPLES
        self.packets += silent_packets(missing)
        self.n_samples += missing
        self.silent_samples += missing
        return missing


def input_in_order(frames: Sequence[AudioFrame]) -> list[AudioFrame]:
    """Return input frames numbered as the voice worker counts them.

    A number that comes again (Redis lost a newer edge's fence, and the older one wrote on) moves all later ones on.
    """
    shift, last, found = 0, -1, []
    for frame in frames:
        if frame.seq <= last:
            shift += last + 1 - frame.seq
        last = frame.seq
        found.append(replace(frame, seq=frame.seq + shift) if shift else frame)
    return found


def output_in_order(frames: Sequence[AudioFrame], inputs: Mapping[str, int]) -> list[AudioFrame]:
    """Return output frames numbered by the input that each one answers. `inputs`: entry id -> number in order.

    Where input was lost an engine that gives one frame for each that it got falls behind the input's numbers; one
    that fills the loss does not. A number that comes again is left out, as clients are not given it either.
    """
    numbers = sorted(inputs.values())
    newest = {frame.consumed: frame.seq for frame in frames}  # an engine that fills a loss gives several for one input
    behind, last, found = 0, -1, []
    for frame in frames:
        at = inputs.get(frame.consumed)
        if at is not None:
            lost = at - bisect_left(numbers, at)
            behind = max(behind, min(lost, at - newest[frame.consumed]))
        if frame.seq > last:
            last = frame.seq
            found.append(replace(frame, seq=frame.seq + behind) if behind else frame)
    return found


def place(frames: Iterable[AudioFrame]) -> Track:
    """Return the track of frames whose numbers grow. Raises RecordingError beyond 12 hours."""
    track = Track()
    for frame in frames:
        start = frame.seq * FRAME_SAMPLES
        if start > MAX_TRACK_SAMPLES - _SPARE_SAMPLES:
            raise RecordingError(f"frame {frame.seq} lies beyond the longest track of {MAX_TRACK_SAMPLES} samples")
        track.lost_frames += track.pad(start) // FRAME_SAMPLES
        for packet in frame.packets:
            _add(track, packet, start)
        track.first_wall_ms = track.first_wall_ms or frame.capture_ms
        track.last_wall_ms = frame.capture_ms or track.last_wall_ms
    return track


def _add(track: Track, packet: bytes, start: int) -> None:
    try:
        n_samples = packet_samples(packet)
    except AudioError:
        track.dropped_packets += 1
        return
    if track.n_samples - start >= FRAME_SAMPLES:
        # A client that connects anew begins at a frame's edge again, wherever its last packet had ended.
        track.dropped_packets += 1
        return
    track.packets.append(packet)
    track.n_samples += n_samples


def to_ogg(track: Track, serial: int) -> bytes:
    """Return the track's file. No pre-skip: the first decoded sample is media time 0, as the listener counts."""
    muxer = OggOpusMuxer(serial, pre_skip=0)
    pages = [muxer.head()]
    groups = list(_pages_of(track.packets)) or [[]]
    for number, group in enumerate(groups, start=1):
        n_samples = sum(packet_samples(packet) for packet in group)
        pages.append(muxer.pages(group, n_samples, last=number == len(groups)))
    return b"".join(pages)


def _pages_of(packets: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield packets in groups that fit one page each."""
    group: list[bytes] = []
    n_segments = 0
    for packet in packets:
        needed = len(packet) // 255 + 1
        if group and (len(group) == PAGE_PACKETS or n_segments + needed > _PAGE_SEGMENTS):
            yield group
            group, n_segments = [], 0
        group.append(packet)
        n_segments += needed
    if group:
        yield group


def from_ogg(data: bytes) -> list[bytes]:
    """Return the packets of a track's file. Raises RecordingError where anything is damaged or cut off."""
    demuxer = OggOpusDemuxer()
    try:
        packets = demuxer.feed(data)
    except AudioError as error:
        raise RecordingError(f"the track is damaged: {error}") from error
    if demuxer.bad_pages or demuxer.lost_pages or demuxer.skipped_bytes or demuxer.dropped_packets:
        raise RecordingError("the track is damaged: pages or packets are missing")
    if not ends_whole(data):
        raise RecordingError("the track is cut off: a page is not whole, or the last one is not marked as the end")
    return packets


def ends_whole(data: bytes) -> bool:
    """True if the bytes are whole Ogg pages from the first to the last, which carries the end-of-stream flag.

    (A demuxer waits for the rest of a page whose head tells of more than there is.)
    """
    at, flags = 0, 0
    while at < len(data):
        table_at = at + _HEAD_BYTES
        if not data.startswith(b"OggS", at) or table_at > len(data):
            return False
        flags = data[at + 5]
        table = data[table_at : table_at + data[table_at - 1]]
        if len(table) < data[table_at - 1]:
            return False
        at = table_at + len(table) + sum(table)
    return at == len(data) and bool(flags & _LAST_PAGE)


def length_of(packets: Iterable[bytes]) -> int:
    """Return the length in samples. Raises RecordingError for what is no Opus packet."""
    try:
        return sum(packet_samples(packet) for packet in packets)
    except AudioError as error:
        raise RecordingError(f"the track holds what is {error}") from error
