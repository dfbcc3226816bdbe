"""The binary protocol: what each message means, and what each event and frame sends."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge import moshi_protocol
from services.edge.commands import Command, ConsentCommand, EndCommand, EngineCommand
from services.edge.moshi_protocol import (
    Close,
    CloseCode,
    Control,
    ErrorText,
    InputBounds,
    Kind,
    MoshiInput,
    MoshiOutput,
    session_metadata,
)
from shared.audio.ogg import OggOpusDemuxer, OggOpusMuxer
from shared.events import (
    Body,
    Consent,
    EngineState,
    Event,
    Notice,
    SessionEnded,
    Spoken,
    TurnStarted,
)
from shared.wire import AudioFrame, event_from_json, event_to_json

PACKET = b"\x48abc"
READY = EngineState("ready", "echo")


def _input(**bounds: float) -> MoshiInput:
    return MoshiInput(InputBounds(**bounds))  # type: ignore[arg-type]


def _event(body: Body, event_id: str = "voice:x", *, source: str = "voice", epoch: int = 1) -> Event:
    return Event(event_id, "0" * 26, source, epoch, 0, 0, body)  # type: ignore[arg-type]


def _output(wants_events: bool = False) -> MoshiOutput:
    return MoshiOutput(serial=1, wants_events=wants_events)


def _ready_output(wants_events: bool = False) -> MoshiOutput:
    output = _output(wants_events)
    output.accept_event(_event(READY, "ready"))
    return output


def _audio(n_frames: int, muxer: OggOpusMuxer | None = None) -> bytes:
    muxer = muxer or OggOpusMuxer(3)
    return muxer.head() + b"".join(muxer.pages([PACKET] * 4, 1920) for _ in range(n_frames))


class TestInput:
    def test_audio_becomes_frames(self) -> None:
        assert _input().receive(b"\x01" + _audio(2), 0.0, 55) == [
            AudioFrame(0, 1920, (PACKET,) * 4, 55),
            AudioFrame(1, 1920, (PACKET,) * 4, 55),
        ]

    @given(st.lists(st.integers(1, 90), min_size=1, max_size=30))
    def test_audio_may_be_cut_anywhere(self, cuts: list[int]) -> None:
        client, data, frames, at, turn = _input(), _audio(5), [], 0, 0
        while at < len(data):
            step = cuts[turn % len(cuts)]
            frames += client.receive(b"\x01" + data[at : at + step], 0.0, 0)
            at, turn = at + step, turn + 1
        assert [frame.seq for frame in frames] == [0, 1, 2, 3, 4]  # type: ignore[union-attr]

    @pytest.mark.parametrize(("code", "name"), list(enumerate(["start", "end_turn", "pause", "restart"])))
    def test_controls(self, code: int, name: str) -> None:
        assert _input().receive(bytes((3, code)), 0.0, 0) == [Control(name)]

    @pytest.mark.parametrize("data", [b"\x06", b"\x00", b"\x00\x00\x00", b"\x06abc"])
    def test_signs_of_life_are_not_answered(self, data: bytes) -> None:
        client = _input()
        assert client.receive(data, 0.0, 0) == []
        assert client.unknown_kinds == 0

    @pytest.mark.parametrize(
        "data", [b"", b"\x02hi", b"\x05x", b"\x07", b"\xff", b"\x03", b"\x03\x09", b"\x03\x00\x00"]
    )
    def test_unknown_kinds_are_counted_and_told_once(self, data: bytes) -> None:
        client = _input()
        (notice,) = client.receive(data, 0.0, 0)
        assert isinstance(notice, Notice)
        assert notice.code == "unknown_kind"
        assert client.receive(data, 0.0, 0) == []
        assert client.unknown_kinds == 2

    def test_text_frames_are_told_once_and_end_badly(self) -> None:
        client = _input()
        (error,) = client.receive_text()
        assert isinstance(error, ErrorText)
        decisions = [decision for _ in range(49) for decision in client.receive_text()]
        assert [type(decision) for decision in decisions] == [Close]
        assert decisions[0].code is CloseCode.BAD_DATA  # type: ignore[union-attr]

    def test_oversized_messages_close_with_1009(self) -> None:
        (close,) = _input(max_message_bytes=1024).receive(b"\x01" + bytes(1024), 0.0, 0)
        assert isinstance(close, Close)
        assert close.code == 1009

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (b"\x01raw pcm is no Ogg at all", "Ogg-Opus stream"),
            (b"\x01" + _audio(1)[-80:], "OggS"),
        ],
    )
    def test_bad_audio_is_told_once_for_each_fault(self, data: bytes, code: str) -> None:
        client = _input()
        (error,) = client.receive(data, 0.0, 0)
        assert isinstance(error, ErrorText)
        assert code in error.text
        assert client.receive(data, 0.0, 0) == []

    def test_audio_without_a_beginning_says_what_to_send(self) -> None:
        muxer = OggOpusMuxer(3)
        muxer.head()
        (error,) = _input().receive(b"\x01" + muxer.pages([PACKET], 480), 0.0, 0)
        assert isinstance(error, ErrorText)
        assert "OpusHead" in error.text

    def test_good_audio_beside_bad_is_kept(self) -> None:
        first, *rest = _input().receive(b"\x01" + _audio(1) + b"garbage!", 0.0, 0)
        assert isinstance(first, AudioFrame)
        assert [type(decision) for decision in rest] == [ErrorText]

    def test_packets_that_are_no_opus_are_told(self) -> None:
        muxer = OggOpusMuxer(3)
        data = b"\x01" + muxer.head() + muxer.pages([b"\x4b\x00"], 480)
        (error,) = _input().receive(data, 0.0, 0)
        assert isinstance(error, ErrorText)
        assert "Opus packet" in error.text

    def test_nothing_but_bad_messages_end_with_1007(self) -> None:
        client = _input()
        muxer = OggOpusMuxer(3)
        muxer.head()
        closes = [
            decision
            for _ in range(50)
            for decision in client.receive(b"\x01" + muxer.pages([PACKET], 480), 0.0, 0)
            if isinstance(decision, Close)
        ]
        assert [close.code for close in closes] == [1007]

    def test_too_fast_audio_is_dropped_told_each_second_and_ends_with_1008(self) -> None:
        client, muxer = _input(), OggOpusMuxer(3)
        frames, notices, closes = 0, [], []
        first = b"\x01" + muxer.head()
        for n in range(1000):  # 80 s of audio in a tenth of the time
            for decision in client.receive(first + muxer.pages([PACKET] * 4, 1920), n * 0.008, 0):
                frames += isinstance(decision, AudioFrame)
                notices += [decision] if isinstance(decision, Notice) else []
                closes += [decision] if isinstance(decision, Close) else []
            first = b"\x01"
        assert 10 / 0.08 < frames <= (10 + 8) / 0.08
        assert [notice.code for notice in notices] == ["input_too_fast"] * len(notices)
        assert 6 <= len(notices) <= 8
        rest = client.untold()
        assert sum(notice.count for notice in [*notices, *rest]) == client.dropped_frames, "all that was lost is told"
        assert client.untold() == []
        assert [close.code for close in closes[:1]] == [1008]
        assert client.dropped_frames * 0.08 >= 60

    def test_consent_command(self) -> None:
        (command,) = _input().receive(b'\x04{"type":"consent","storeAudio":true,"emotion":false}', 0.0, 0)
        assert isinstance(command, ConsentCommand)
        assert command.over(Consent(store_transcript=True, emotion=True)) == Consent(
            store_audio=True, store_transcript=True, emotion=False
        )

    def test_end_command(self) -> None:
        assert _input().receive(b'\x04{"type":"end"}', 0.0, 0) == [EndCommand(type="end")]

    def test_engine_command(self) -> None:
        (command,) = _input().receive(b'\x04{"type":"engine","engine":"cascade"}', 0.0, 0)
        assert command == EngineCommand(type="engine", engine="cascade")

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b'"x"',
            b'{"type":"drop_table"}',
            b'{"type":"consent","storeAudio":"yes"}',
            b'{"type":"consent","secret":true}',
            b'{"type":"end","now":1}',
            b"\xff\xfe",
            b'{"type":"consent","storeAudio":1}',
            b"[" * 7000,
        ],
    )
    def test_bad_commands_are_told(self, data: bytes) -> None:
        (error,) = _input().receive(b"\x04" + data, 0.0, 0)
        assert isinstance(error, ErrorText)
        assert error.text.startswith("metadata")

    def test_long_commands_are_refused(self) -> None:
        (error,) = _input().receive(b"\x04" + b" " * 9000, 0.0, 0)
        assert isinstance(error, ErrorText)
        assert "8192" in error.text

    @given(st.lists(st.binary(max_size=300), max_size=20))
    def test_any_bytes_give_decisions_and_never_raise(self, messages: list[bytes]) -> None:
        client = _input()
        for message in messages:
            for decision in client.receive(message, 0.0, 0):
                assert isinstance(decision, AudioFrame | Control | Command | Notice | ErrorText | Close)


class TestOutput:
    def test_the_handshake_is_one_byte_and_comes_once(self) -> None:
        output = _output()
        handshake, head = output.accept_event(_event(READY, "a"))
        assert handshake == b"\x00"
        assert isinstance(head, bytes)
        assert head[0] == 1
        assert head[1:5] == b"OggS"
        assert output.accept_event(_event(READY, "b")) == []

    @pytest.mark.parametrize("state", ["starting", "migrating", "failed", "ended"])
    def test_other_states_are_no_handshake(self, state: str) -> None:
        output = _output()
        output.accept_event(_event(EngineState(state, "echo")))  # type: ignore[arg-type]
        assert not output.is_ready

    def test_audio_before_ready_is_held_for_two_seconds(self) -> None:
        output = _output()
        assert all(output.accept_audio(AudioFrame(seq, 1920, (PACKET,), epoch=1)) is None for seq in range(30))
        output.accept_event(_event(READY))
        assert [frame.seq for frame in output.take_early()] == list(range(5, 30))
        assert output.shed_early == 5
        assert output.take_early() == []

    def test_a_frame_becomes_one_message_with_its_packets(self) -> None:
        output = _ready_output()
        demuxer = OggOpusDemuxer()
        demuxer.feed(output.head()[1:])
        message = output.page(AudioFrame(0, 1920, (PACKET, PACKET + b"2")))
        assert message[0] == 1
        assert demuxer.feed(message[1:]) == [PACKET, PACKET + b"2"]

    def test_repeated_and_older_frames_are_dropped(self) -> None:
        output = _ready_output()
        order = [(0, 1), (1, 1), (1, 1), (0, 1), (2, 2), (3, 1), (2, 2), (3, 2)]
        sent = [
            (frame.seq, frame.epoch)
            for seq, epoch in order
            if (frame := output.accept_audio(AudioFrame(seq, 1920, (), epoch=epoch)))
        ]
        assert sent == [(0, 1), (1, 1), (2, 2), (3, 2)]
        assert (output.stale, output.repeated) == (1, 3)

    @given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 4)), max_size=60))
    def test_frames_always_go_forward(self, order: list[tuple[int, int]]) -> None:
        output = _ready_output()
        sent = [frame for seq, epoch in order if (frame := output.accept_audio(AudioFrame(seq, 1920, (), epoch=epoch)))]
        assert [frame.seq for frame in sent] == sorted({frame.seq for frame in sent})
        assert [frame.epoch for frame in sent] == sorted(frame.epoch for frame in sent)

    def test_spoken_words_are_text_pieces_once(self) -> None:
        output = _ready_output()
        event = _event(Spoken("h1", " één", 0), "voice:spoken:h1:0")
        assert output.accept_event(event) == [b"\x02" + " één".encode()]
        assert output.accept_event(event) == []
        assert output.repeated == 1

    def test_events_of_an_older_owner_are_dropped(self) -> None:
        output = _ready_output()
        output.accept_event(_event(Spoken("h1", " a", 0), "1", epoch=2))
        assert output.accept_event(_event(Spoken("h1", " b", 0), "2", epoch=1)) == []
        assert output.accept_event(_event(Spoken("h1", " c", 0), "3", source="coach", epoch=1)) != []

    def test_events_go_only_to_those_who_asked(self) -> None:
        event = _event(TurnStarted("u1", "user", 80), "voice:turn_started:u1")
        assert _ready_output().accept_event(event) == []
        (message,) = _ready_output(wants_events=True).accept_event(event)
        assert isinstance(message, bytes)
        assert message[0] == 4
        assert event_from_json(json.loads(message[1:])) == event
        assert json.loads(message[1:])["body"] == {
            "turn": "u1",
            "speaker": "user",
            "startMs": 80,
            "answers": None,
            "kind": "turn_started",
        }

    def test_notices_reach_stock_clients_as_text(self) -> None:
        warning = _event(Notice("input_shed", "warning", "lost"), "1", source="edge")
        info = _event(Notice("broker_back", "info", "back"), "2", source="edge")
        assert _ready_output().accept_event(warning) == [b"\x05lost"]
        assert _ready_output().accept_event(info) == []
        assert [message[:1] for message in _ready_output(wants_events=True).accept_event(warning)] == [b"\x04"]  # type: ignore[index]

    def test_a_failed_engine_is_left_to_who_finds_another_one(self) -> None:
        assert _output().accept_event(_event(EngineState("failed", "cascade", "no model"))) == []

    @pytest.mark.parametrize(
        ("reason", "code"), [("engine_failed", 1011), ("drained", 1012), ("idle", 1000), ("client_closed", 1000)]
    )
    def test_the_end_closes(self, reason: str, code: int) -> None:
        *_, close = _ready_output().accept_event(_event(SessionEnded(reason)))
        assert isinstance(close, Close)
        assert (close.code, close.ended) == (code, reason)

    def test_priming_remembers_and_sends_nothing(self) -> None:
        output = _output()
        for event in (_event(READY, "r", epoch=3), _event(Spoken("h1", " a", 0), "s", epoch=3)):
            output.prime(event)
        assert output.is_ready
        assert output.accept_event(_event(Spoken("h1", " a", 0), "s", epoch=3)) == []
        assert output.accept_event(_event(Spoken("h1", " b", 0), "t", epoch=2)) == []

    def test_memory_of_events_is_bounded(self) -> None:
        output = _ready_output()
        for n in range(5000):
            output.accept_event(_event(Spoken("h1", " a", 0), str(n)))
        assert len(output._seen) == 4096

    def test_session_metadata(self) -> None:
        message = session_metadata("abc", "abc.def", 30.0)
        assert message[0] == 4
        assert json.loads(message[1:])["resumeToken"] == "abc.def"


class TestDocument:
    """docs/protocol.md says what is true."""

    TEXT = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()

    def test_every_event_has_an_example_that_is_one(self) -> None:
        kinds = {union.__dataclass_fields__["kind"].default for union in get_args(get_args(Body)[0])}
        examples = re.findall(r"### `(\w+)`\n.*?```json\n(.*?)```", self.TEXT, re.DOTALL)
        assert {kind for kind, _ in examples} == kinds
        for kind, example in examples:
            event = event_from_json(json.loads(example))
            assert event.body.kind == kind
            assert event_to_json(event) == json.loads(example)

    @pytest.mark.parametrize("code", list(CloseCode))
    def test_every_close_code_is_explained(self, code: CloseCode) -> None:
        assert f"| {code.value} |" in self.TEXT

    @pytest.mark.parametrize("kind", list(Kind))
    def test_every_kind_is_explained(self, kind: Kind) -> None:
        assert f"\n| {kind.value} | " in self.TEXT

    def test_every_notice_of_the_edge_is_explained(self) -> None:
        sources = Path(moshi_protocol.__file__).parent.glob("*.py")
        codes = {code for path in sources for code in re.findall(r"Notice\(\s*\"(\w+)\"", path.read_text())}
        assert len(codes) >= 9
        assert {code for code in codes if f"`{code}`" not in self.TEXT} == set()
