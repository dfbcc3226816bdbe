"""Ogg pages and Opus packets: any chunking, any damage, known pages."""

from __future__ import annotations

import io
import struct

import av
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from shared.audio.ogg import (
    MAX_BAD_PAGES,
    MAX_PACKET_BYTES,
    MAX_SKIP_BYTES,
    MAX_TAGS_BYTES,
    OggError,
    OggOpusDemuxer,
    OggOpusMuxer,
    check_opus_head,
    ogg_crc,
)
from shared.errors import AudioError

_PACKETS = st.lists(st.binary(min_size=1, max_size=700), min_size=0, max_size=12)


def _head(channels: int = 1, family: int = 0, version: int = 1, magic: bytes = b"OpusHead") -> bytes:
    return struct.pack("<8sBBHIhB", magic, version, channels, 312, 24_000, 0, family)


def _page(number: int, flags: int, table: list[int], body: bytes, *, serial: int = 9, version: int = 0) -> bytes:
    page = struct.pack("<4sBBqIIIB", b"OggS", version, flags, 0, serial, number, 0, len(table)) + bytes(table) + body
    return page[:22] + _slow_crc(page).to_bytes(4, "little") + page[26:]


def _slow_crc(data: bytes) -> int:
    """Bit by bit, as RFC 3533 describes it."""
    crc = 0
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = ((crc << 1) ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


def _opened() -> OggOpusDemuxer:
    demuxer = OggOpusDemuxer()
    assert demuxer.feed(OggOpusMuxer(9).head()) == []
    return demuxer


def _error(demuxer: OggOpusDemuxer, data: bytes) -> str:
    with pytest.raises(OggError) as caught:
        demuxer.feed(data)
    return caught.value.code


def test_crc_of_known_values() -> None:
    assert ogg_crc(b"") == 0
    assert ogg_crc(b"123456789") == 0x89A1897F  # CRC-32 with this polynomial, init 0 and no inversion


@given(st.binary(max_size=400))
def test_crc_equals_the_bitwise_one(data: bytes) -> None:
    assert ogg_crc(data) == _slow_crc(data)


def test_a_foreign_encoder_s_stream_gives_its_packets() -> None:
    stream = io.BytesIO()
    soundfile.write(stream, [[0.1 * (i % 40) / 40] for i in range(24_000)], 24_000, format="OGG", subtype="OPUS")
    packets = OggOpusDemuxer().feed(stream.getvalue())
    with av.open(io.BytesIO(stream.getvalue())) as container:
        theirs = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    assert packets == theirs
    assert len(packets) >= 50


def test_a_foreign_decoder_reads_our_stream() -> None:
    source = io.BytesIO()
    soundfile.write(source, [[0.1 * (i % 40) / 40] for i in range(48_000)], 24_000, format="OGG", subtype="OPUS")
    packets = OggOpusDemuxer().feed(source.getvalue())
    muxer = OggOpusMuxer(77)
    packets = packets[:100]
    out = muxer.head() + b"".join(muxer.pages(packets[i : i + 4], 1920) for i in range(0, 100, 4))
    samples, rate = soundfile.read(io.BytesIO(out))
    assert rate == 24_000
    assert len(samples) == 100 * 480 - 312 // 2  # without the pre-skip


def test_granule_positions_count_at_48_khz() -> None:
    muxer = OggOpusMuxer(1)
    muxer.head()
    first, second = muxer.pages([b"a"], 1920), muxer.pages([b"b"], 1920, last=True)
    assert struct.unpack_from("<q", first, 6)[0] == 3840
    assert struct.unpack_from("<q", second, 6)[0] == 7680
    assert (first[5], second[5]) == (0, 4)
    assert struct.unpack_from("<I", second, 18)[0] == 3  # after OpusHead, OpusTags and the first page


@given(st.lists(_PACKETS, max_size=6), st.lists(st.integers(1, 300), min_size=1, max_size=8))
def test_any_packets_in_any_chunking_come_back(frames: list[list[bytes]], cuts: list[int]) -> None:
    muxer = OggOpusMuxer(5)
    data = muxer.head() + b"".join(muxer.pages(frame, 1920) for frame in frames)
    demuxer = OggOpusDemuxer()
    got: list[bytes] = []
    at = turn = 0
    while at < len(data):
        step = cuts[turn % len(cuts)]
        got += demuxer.feed(data[at : at + step])
        at, turn = at + step, turn + 1
    assert got == [packet for frame in frames for packet in frame]
    assert (demuxer.bad_pages, demuxer.lost_pages, demuxer.skipped_bytes, demuxer.dropped_packets) == (0, 0, 0, 0)


@pytest.mark.parametrize("size", [1, 254, 255, 256, 509, 510, 511, 765, MAX_PACKET_BYTES])
def test_lacing_at_the_corners(size: int) -> None:
    muxer = OggOpusMuxer(5)
    packets = [bytes([i]) * size for i in range(3)]
    assert OggOpusDemuxer().feed(muxer.head() + muxer.pages(packets, 1920)) == packets


def test_more_than_255_segments_go_over_several_pages() -> None:
    muxer = OggOpusMuxer(5)
    packets = [bytes([i]) * (255 * 9) for i in range(40)]  # 400 segments: a packet is cut by the page's edge
    data = muxer.head() + muxer.pages(packets, 1920)
    assert data.count(b"OggS") == 4
    assert OggOpusDemuxer().feed(data) == packets


def test_a_packet_that_fills_255_segments_is_continued() -> None:
    body = bytes(range(256)) * 30
    packet = body[: 255 * 20]
    pages = _page(2, 0, [255] * 20, packet) + _page(3, 1, [0, 3], b"end")
    assert _opened().feed(pages) == [packet, b"end"]


def test_chained_stream_starts_anew() -> None:
    demuxer = _opened()
    again = OggOpusMuxer(123)
    assert demuxer.feed(again.head() + again.pages([b"new"], 1920)) == [b"new"]


def test_a_second_stream_between_the_pages_is_left_out() -> None:
    demuxer = _opened()
    other = _page(5, 0, [3], b"xxx", serial=77)
    ours = _page(2, 0, [2], b"ok")
    assert demuxer.feed(other + ours) == [b"ok"]
    assert demuxer.dropped_packets == 1


def test_tags_may_be_missing() -> None:
    demuxer = OggOpusDemuxer()
    assert demuxer.feed(_page(0, 2, [19], _head()) + _page(1, 0, [4], b"\x08abc")) == [b"\x08abc"]


def test_garbage_is_reported_once_and_stepped_over() -> None:
    demuxer = OggOpusDemuxer()
    assert _error(demuxer, b"raw pcm, no Ogg at all") == "not_ogg"
    assert demuxer.feed(b"and more of it") == []
    muxer = OggOpusMuxer(5)
    assert demuxer.feed(b"junk" + muxer.head() + muxer.pages([b"ok"], 1920)) == [b"ok"]
    assert demuxer.skipped_bytes == len(b"raw pcm, no Ogg at all" + b"and more of it" + b"junk")


def test_endless_garbage_is_reported_again_and_holds_no_memory() -> None:
    demuxer = OggOpusDemuxer()
    assert _error(demuxer, b"\0" * 1000) == "not_ogg"
    assert _error(demuxer, b"\0" * MAX_SKIP_BYTES) == "not_ogg"
    assert len(demuxer._buffer) < 64


def test_wrong_checksum_costs_one_page() -> None:
    muxer = OggOpusMuxer(9)
    demuxer = OggOpusDemuxer()
    demuxer.feed(muxer.head())
    first, second, third = (muxer.pages([packet], 1920) for packet in (b"one", b"two", b"three"))
    broken = second[:-1] + b"X"
    assert _error(demuxer, first + broken + third) == "bad_page"
    assert demuxer.feed(b"") == [b"one", b"three"]
    assert (demuxer.bad_pages, demuxer.lost_pages) == (1, 1)


def test_truncated_page_costs_itself_and_its_follower_at_most() -> None:
    muxer = OggOpusMuxer(9)
    demuxer = OggOpusDemuxer()
    demuxer.feed(muxer.head())
    pages = [muxer.pages([bytes([65 + i]) * 60], 1920) for i in range(4)]
    assert _error(demuxer, pages[0] + pages[1][:50] + pages[2] + pages[3]) == "bad_page"
    assert demuxer.feed(b"") == [b"A" * 60, b"C" * 60, b"D" * 60]


def test_unknown_page_version_is_refused() -> None:
    assert _error(_opened(), _page(2, 0, [1], b"a", version=1)) == "bad_page"


def test_many_false_pages_cost_few_checksums() -> None:
    false_page = b"OggS" + bytes(22) + b"\xff" + b"\xff" * 255
    demuxer = OggOpusDemuxer()
    demuxer_input = (false_page + b"OggS") * 2000
    assert _error(demuxer, demuxer_input[: 400 * 1024]) == "bad_page"
    assert demuxer.bad_pages == MAX_BAD_PAGES
    assert demuxer._buffer == b""


def test_a_stream_that_starts_mid_way_says_what_to_do() -> None:
    muxer = OggOpusMuxer(9)
    muxer.head()
    demuxer = OggOpusDemuxer()
    with pytest.raises(OggError, match="send OpusHead") as caught:
        demuxer.feed(muxer.pages([b"x"], 1920))
    assert caught.value.code == "no_opus_head"
    again = OggOpusMuxer(10)
    assert demuxer.feed(again.head() + again.pages([b"ok"], 1920)) == [b"ok"]


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (_head(channels=6, family=1), "too_many_channels"),
        (_head(channels=3), "too_many_channels"),
        (_head(channels=0), "too_many_channels"),
        (_head(version=16), "bad_opus_head"),
        (_head()[:18], "bad_opus_head"),
        (b"\x01vorbis" + bytes(23), "not_opus"),
    ],
)
def test_heads_that_are_refused(packet: bytes, code: str) -> None:
    with pytest.raises(OggError) as caught:
        check_opus_head(packet)
    assert caught.value.code == code
    demuxer = OggOpusDemuxer()
    assert _error(demuxer, _page(0, 2, [len(packet)], packet)) == code
    assert _error(demuxer, _page(1, 0, [1], b"a")) == "no_opus_head"


def test_stereo_is_accepted_because_a_mono_decoder_reads_it() -> None:
    check_opus_head(_head(channels=2))


def test_overlong_packet_is_refused_and_not_kept() -> None:
    demuxer = _opened()
    for number in range(2, 12):
        demuxer.feed(_page(number, 1 if number > 2 else 0, [255] * 255, bytes(255 * 255)))
        assert len(demuxer._stream._partial) <= MAX_PACKET_BYTES + 1
    assert _error(demuxer, _page(12, 1, [3, 2], b"endok")) == "packet_too_long"
    assert demuxer.feed(b"") == [b"ok"]


def test_overlong_tags_are_refused() -> None:
    demuxer = OggOpusDemuxer()
    demuxer.feed(_page(0, 2, [19], _head()))
    n_pages = MAX_TAGS_BYTES // (255 * 255) + 1
    body = b"OpusTags" + bytes(255 * 255 - 8)
    for number in range(1, 1 + n_pages):
        demuxer.feed(_page(number, 0 if number == 1 else 1, [255] * 255, body))
        body = bytes(255 * 255)
    assert _error(demuxer, _page(1 + n_pages, 1, [0, 1], b"a")) == "tags_too_long"
    assert demuxer.feed(b"") == [b"a"]


def test_empty_packets_are_dropped_and_counted() -> None:
    demuxer = _opened()
    assert demuxer.feed(_page(2, 0, [0, 1, 0], b"a")) == [b"a"]
    assert demuxer.dropped_packets == 2


def test_a_lost_page_costs_the_packet_that_it_cut() -> None:
    demuxer = _opened()
    demuxer.feed(_page(2, 0, [255], bytes(255)))
    assert demuxer.feed(_page(4, 1, [3, 2], b"endok")) == [b"ok"]
    assert (demuxer.lost_pages, demuxer.dropped_packets) == (1, 2)


def test_a_packet_that_is_never_continued_is_dropped() -> None:
    demuxer = _opened()
    demuxer.feed(_page(2, 0, [255], bytes(255)))
    assert demuxer.feed(_page(3, 0, [2], b"ok")) == [b"ok"]
    assert demuxer.dropped_packets == 1


@pytest.mark.parametrize("size", [0, MAX_PACKET_BYTES + 1])
def test_muxer_refuses_what_the_demuxer_would(size: int) -> None:
    with pytest.raises(OggError):
        OggOpusMuxer(1).pages([bytes(size)], 1920)


@given(
    st.lists(_PACKETS, min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=20),
    st.integers(1, 400),
)
def test_damage_raises_only_audio_errors_and_a_new_stream_always_works(
    frames: list[list[bytes]], changes: list[tuple[int, int]], step: int
) -> None:
    muxer = OggOpusMuxer(5)
    data = bytearray(muxer.head() + b"".join(muxer.pages(frame, 1920) for frame in frames))
    for place, value in changes:
        data[place % len(data)] = value
    demuxer = OggOpusDemuxer()
    for at in range(0, len(data), step):
        try:
            demuxer.feed(bytes(data[at : at + step]))
        except AudioError:
            continue
    # Bytes that were held back for a page that never ends may eat a new stream's beginning: at most 64 KiB.
    for serial in range(1000, 1400):
        again = OggOpusMuxer(serial)
        try:
            if demuxer.feed(again.head() + again.pages([b"x" * 200], 1920))[-1:] == [b"x" * 200]:
                return
        except AudioError:
            continue
    pytest.fail("the demuxer never found its way back")


@given(st.binary(max_size=2000), st.integers(1, 200))
def test_random_bytes_raise_only_audio_errors(data: bytes, step: int) -> None:
    demuxer = OggOpusDemuxer()
    for at in range(0, len(data), step):
        try:
            assert demuxer.feed(data[at : at + step]) == []
        except AudioError:
            continue
