"""Ogg pages <-> Opus packets, piece by piece (RFC 3533, RFC 7845). Pure; decodes no audio.

Live streams only need one logical stream at a time, so that is what the demuxer follows. Damage is
stepped over at the next page: it costs the packets that it hit and is reported once, never a stall.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence

from shared.errors import AudioError

OPUS_RATE = 48_000
"""Granule positions count samples at this rate, whatever the audio's own rate is."""

MAX_PACKET_BYTES = 7_680
"""Longer packets are refused: 120 ms at Opus' highest rate are 7,650 bytes."""

MAX_TAGS_BYTES = 256 * 1024
"""A longer comment header is refused. Its content is never kept."""

MAX_SKIP_BYTES = 64 * 1024
"""One error for damage, and one more for each further run of so many bytes without a page."""

MAX_BAD_PAGES = 4
"""So many pages with a wrong checksum are looked into in one `feed`; then its rest is thrown away.

Each costs a checksum over up to 64 KiB, so without a bound a small message could cost much time.
"""

PRE_SKIP = 312
"""Samples at 48 kHz that a decoder drops at the start: the look-ahead of libopus (6.5 ms)."""

_CAPTURE = b"OggS"
_HEADER = struct.Struct("<4sBBqIIIB")
_HEADER_BYTES = _HEADER.size  # 27
_CRC_AT = 22
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_NO_GRANULE = -1
_MAX_SEGMENTS = 255
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_ZERO_CRC = bytes(4)


class OggError(AudioError):
    """The stream is not Ogg-Opus as it should be. `code` says which rule; the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def ogg_crc(data: bytes) -> int:
    """Return Ogg's CRC-32 (polynomial 0x04c11db7, most significant bit first, no inversions).

    zlib has the mirrored one, in C: so mirror each byte, take out its two inversions, mirror the result.
    """
    mirrored = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED), "big")


class OggOpusDemuxer:
    """Takes bytes in any pieces and gives the Opus packets in them. Memory: one page and one packet.

    Counters, for metrics: `bad_pages` (checksum, version), `lost_pages` (gaps in the page numbers),
    `skipped_bytes` (between pages), `dropped_packets` (cut off, too long or empty).
    """

    def __init__(self) -> None:
        self.bad_pages = 0
        self.lost_pages = 0
        self.skipped_bytes = 0
        self.dropped_packets = 0
        self._buffer = b""
        self._need = len(_CAPTURE)
        self._out_of_sync = False
        self._run_skipped = 0
        self._stream = _LogicalStream()
        self._ready: list[bytes] = []
        self._error: OggError | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Return the packets that `data` completes.

        Raises OggError after all of `data` is used; packets found beside the damage come with the next
        call. The demuxer stays usable: it goes on with the next good page.
        """
        buffer = self._buffer + data if self._buffer else data
        if len(buffer) < self._need:
            self._buffer = buffer
            return self._take()
        self._need = len(_CAPTURE)
        at, bad_before = 0, self.bad_pages
        while len(buffer) - at >= len(_CAPTURE):
            if not buffer.startswith(_CAPTURE, at):
                at = self._skip_to_capture(buffer, at)
                continue
            end = _page_end(buffer, at)
            if end > len(buffer):
                self._need = end - at
                break
            if self._page(buffer[at:end]):
                at = end
                continue
            if self.bad_pages - bad_before >= MAX_BAD_PAGES:
                self._skipped(len(buffer) - at)
                at = len(buffer)
                break
            at = self._skip_to_capture(buffer, at + 1)
        self._buffer = buffer[at:]
        return self._take()

    def _take(self) -> list[bytes]:
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        ready, self._ready = self._ready, []
        return ready

    def _fail(self, code: str, message: str) -> None:
        """Keep the first error of this `feed`: the others follow from it."""
        if self._error is None:
            self._error = OggError(code, message)

    def _skip_to_capture(self, buffer: bytes, at: int) -> int:
        found = buffer.find(_CAPTURE, at)
        # The last three bytes may be the beginning of a capture pattern.
        end = found if found >= 0 else max(at, len(buffer) - len(_CAPTURE) + 1)
        if not self._out_of_sync:
            self._out_of_sync = True
            self._fail("not_ogg", "audio must be an Ogg-Opus stream: whole pages that begin with 'OggS'")
        self._skipped(end - at)
        return end

    def _skipped(self, count: int) -> None:
        self._out_of_sync = True
        self.skipped_bytes += count
        self._run_skipped += count
        if self._run_skipped >= MAX_SKIP_BYTES:
            self._run_skipped = 0
            self._fail("not_ogg", f"no Ogg page within {MAX_SKIP_BYTES} bytes: start a new Ogg-Opus stream")

    def _page(self, page: bytes) -> bool:
        """Take in a whole page; false if it is none after all (wrong version or checksum)."""
        _, version, flags, _, serial, number, crc, n_segments = _HEADER.unpack_from(page)
        if version != 0 or ogg_crc(page[:_CRC_AT] + _ZERO_CRC + page[_CRC_AT + 4 :]) != crc:
            self.bad_pages += 1
            self._fail("bad_page", f"an Ogg page (number {number}) has a wrong version or checksum; it was left out")
            return False
        self._out_of_sync = False
        self._run_skipped = 0
        stream = self._stream
        if flags & _FIRST:
            stream = self._stream = _LogicalStream(serial)
        elif stream.serial != serial:
            if stream.serial is None:
                self._fail("no_opus_head", "the audio has no usable beginning: send OpusHead and OpusTags first")
            self.dropped_packets += 1
            return True
        if stream.next_number is not None and number != stream.next_number:
            self.lost_pages += 1
            stream.lose_partial()
        stream.next_number = (number + 1) & 0xFFFFFFFF
        table = page[_HEADER_BYTES : _HEADER_BYTES + n_segments]
        stream.page(table, page, _HEADER_BYTES + n_segments, bool(flags & _CONTINUED), self._ready)
        if stream.dropped or stream.error:
            self._blame(stream)
        return True

    def _blame(self, stream: _LogicalStream) -> None:
        self.dropped_packets += stream.dropped
        stream.dropped = 0
        if stream.error is not None:
            self._fail(stream.error.code, str(stream.error))
            stream.error = None


class _LogicalStream:
    """One logical stream's packets: puts continued ones together, checks the two headers."""

    def __init__(self, serial: int | None = None) -> None:
        self.serial = serial
        self.next_number: int | None = None
        self.dropped = 0
        self.error: OggError | None = None
        self._headers = 0
        self._partial = b""
        self._partial_bytes = 0
        self._in_partial = False

    def lose_partial(self) -> None:
        """Forget a packet whose rest cannot come."""
        if self._in_partial:
            self.dropped += 1
        self._partial, self._partial_bytes, self._in_partial = b"", 0, False

    def page(self, table: bytes, page: bytes, at: int, continued: bool, ready: list[bytes]) -> None:
        """Append the audio packets that this page completes to `ready`; what is wrong is left in `error`."""
        skipping = continued and not self._in_partial
        if not continued:
            self.lose_partial()
        size = 0
        for lacing in table:
            size += lacing
            if lacing == 255:
                continue
            if skipping:
                skipping = False
                self.dropped += 1
            else:
                self._complete(page[at : at + size], ready)
            at += size
            size = 0
        if table and table[-1] == 255 and not skipping:
            self._keep(page[at : at + size])

    def _keep(self, piece: bytes) -> None:
        """Hold a piece of a packet that goes on in the next page; of an overlong one only its length."""
        self._in_partial = True
        self._partial_bytes += len(piece)
        if len(self._partial) <= MAX_PACKET_BYTES:
            self._partial += piece[: MAX_PACKET_BYTES + 1 - len(self._partial)]

    def _complete(self, piece: bytes, ready: list[bytes]) -> None:
        packet = piece
        n_bytes = len(piece)
        if self._in_partial:
            n_bytes += self._partial_bytes
            packet = self._partial + piece
            self._partial, self._partial_bytes, self._in_partial = b"", 0, False
        if self._headers < 2 and self._is_header(packet, n_bytes):
            return
        if not 0 < n_bytes <= MAX_PACKET_BYTES:
            self.dropped += 1
            if n_bytes:
                self.error = OggError(
                    "packet_too_long", f"an Opus packet has {n_bytes} bytes; at most {MAX_PACKET_BYTES}"
                )
            return
        if self.serial is None:
            self.dropped += 1
            return
        ready.append(packet)

    def _is_header(self, packet: bytes, n_bytes: int) -> bool:
        if self._headers == 0:
            try:
                check_opus_head(packet)
            except OggError as error:
                self.serial, self.error = None, error  # what follows has no usable beginning either
                self._headers = 2
                return True
            self._headers = 1
            return True
        self._headers = 2
        if not packet.startswith(b"OpusTags"):
            return False  # some encoders leave the tags out; this is audio already
        if n_bytes > MAX_TAGS_BYTES:
            self.error = OggError("tags_too_long", f"OpusTags has {n_bytes} bytes; at most {MAX_TAGS_BYTES}")
        return True


def check_opus_head(packet: bytes) -> None:
    """Check an OpusHead packet (RFC 7845 5.1): Opus, version 0.x, mono or stereo. Raises OggError."""
    if not packet.startswith(b"OpusHead"):
        raise OggError("not_opus", "the Ogg stream is not Opus: encode the audio as Opus, 24 kHz mono")
    if len(packet) < 19:
        raise OggError("bad_opus_head", f"OpusHead has {len(packet)} bytes; it needs 19")
    version, channels, family = packet[8], packet[9], packet[18]
    if version & 0xF0:
        raise OggError("bad_opus_head", f"OpusHead has version {version}; versions 0 to 15 are known")
    if family != 0 or channels not in (1, 2):
        raise OggError("too_many_channels", f"{channels} channels in mapping family {family}: send mono")


class OggOpusMuxer:
    """Makes one logical Ogg-Opus stream: `head()` first, then `pages(...)` for each frame."""

    def __init__(self, serial: int, pre_skip: int = PRE_SKIP) -> None:
        self._serial = serial & 0xFFFFFFFF
        self._pre_skip = pre_skip
        self._number = 0
        self._granule = 0

    def head(self) -> bytes:
        """Return the two header pages: OpusHead (mono, 24 kHz) and OpusTags."""
        head = struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, self._pre_skip, 24_000, 0, 0)
        vendor = b"splitbrain"
        tags = struct.pack("<8sI", b"OpusTags", len(vendor)) + vendor + bytes(4)
        return self._page([len(head)], head, 0, _FIRST) + self._page([len(tags)], tags, 0, 0)

    def pages(self, packets: Sequence[bytes], n_samples: int, *, last: bool = False) -> bytes:
        """Return `packets` as one page, or as more where 255 segments are not enough.

        `n_samples` is their length at 24 kHz; `last` marks the end of the stream. Raises OggError for
        a packet of no bytes or of too many.
        """
        for packet in packets:
            if not 0 < len(packet) <= MAX_PACKET_BYTES:
                raise OggError("bad_packet", f"an Opus packet has 1 to {MAX_PACKET_BYTES} bytes, not {len(packet)}")
        self._granule += 2 * n_samples
        end_flag = _LAST if last else 0
        table: list[int] = []
        for packet in packets:
            table += [255] * (len(packet) // 255)
            table.append(len(packet) % 255)
        body = b"".join(packets)
        if len(table) <= _MAX_SEGMENTS:
            return self._page(table, body, self._granule, end_flag)
        return b"".join(self._split(table, body, end_flag))

    def _split(self, table: list[int], body: bytes, end_flag: int) -> Iterable[bytes]:
        at, continued = 0, 0
        for first in range(0, len(table), _MAX_SEGMENTS):
            part = table[first : first + _MAX_SEGMENTS]
            is_end = first + _MAX_SEGMENTS >= len(table)
            # Only the last page's position is known: where inside a frame its packets end is not.
            granule = self._granule if is_end else _NO_GRANULE
            size = sum(part)
            yield self._page(part, body[at : at + size], granule, continued | (end_flag if is_end else 0))
            at += size
            continued = _CONTINUED if part[-1] == 255 else 0

    def _page(self, table: list[int], body: bytes, granule: int, flags: int) -> bytes:
        segments = bytes(table)
        header = _HEADER.pack(_CAPTURE, 0, flags, granule, self._serial, self._number, 0, len(segments))
        self._number = (self._number + 1) & 0xFFFFFFFF
        page = header + segments + body
        return page[:_CRC_AT] + ogg_crc(page).to_bytes(4, "little") + page[_CRC_AT + 4 :]


def _page_end(buffer: bytes, at: int) -> int:
    """Return where the page that begins at `at` ends; while its header is not whole, where that ends."""
    table_at = at + _HEADER_BYTES
    if table_at > len(buffer):
        return table_at
    table_end = table_at + buffer[table_at - 1]
    if table_end > len(buffer):
        return table_end
    return table_end + sum(buffer[table_at:table_end])
