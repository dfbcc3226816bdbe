"""`splitbrain talk` against a server double: turns, files, lines and exit codes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from services import cli
from services.command_line.call_options import CallOptions
from services.command_line.run_file import write_run_file
from services.command_line.talk import hold_conversation
from services.command_line.turn_script import TurnRules
from services.command_line.wav import write_wav
from shared.audio import FRAME_SAMPLES, SAMPLE_RATE
from shared.events import ScorecardReady, SessionStarted, Transcript, TurnEnded, TurnStarted

CLIP = (0.3 * np.sin(2 * np.pi * 300 * np.arange(4 * FRAME_SAMPLES) / SAMPLE_RATE)).astype(np.float32)


class Hugo:
    """Answers each clip of four frames with a short turn, as events; the sound is the double's echo."""

    def __init__(self) -> None:
        self.turns = 0
        self._silent = 0
        self._spoken = False

    async def on_frame(self, edge: Any, number: int) -> None:
        loud = float(np.abs(edge.heard[-1]).max()) > 0.05
        self._silent = 0 if loud else self._silent + 1
        self._spoken = self._spoken or loud
        now = number * 80
        if self._spoken and self._silent == 2:
            self.turns += 1
            user, hugo = f"u{self.turns}", f"h{self.turns}"
            await edge.event(TurnStarted(user, "user", now - 480), now)
            await edge.event(TurnEnded(user, "user", now - 480, now - 160), now)
            await edge.event(Transcript(user, "user", f"zin {self.turns}", True, now - 480, now - 160, "nl"), now)
            await edge.event(TurnStarted(hugo, "hugo", now), now)
        if self._spoken and self._silent == 4:
            self._spoken = False
            await edge.event(TurnEnded(f"h{self.turns}", "hugo", now - 160, now), now)

    async def on_command(self, edge: Any, command: dict[str, object]) -> None:
        if command["type"] == "end":
            await edge.event(ScorecardReady("v1", {"total": 7}))
            await edge.socket.close()


@pytest.fixture
def hugo(edge: Any) -> Hugo:
    answering = Hugo()
    edge.on_open = lambda fake: fake.event(SessionStarted("cascade", "nl"))
    edge.on_frame, edge.on_command = answering.on_frame, answering.on_command
    return answering


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.wav"
    soundfile.write(path, CLIP, SAMPLE_RATE, subtype="PCM_16")
    return path


async def talk(*arguments: str) -> int:
    """Run the command in a thread: it has an event loop of its own, as in a process."""
    return await asyncio.to_thread(cli.main, ["talk", *arguments])


async def test_each_clip_waits_for_the_answer(edge: Any, hugo: Hugo) -> None:
    done = await hold_conversation(edge.url, [CLIP, CLIP], CallOptions(), TurnRules(gap_ms=80))
    assert done.outcomes == ["answered", "answered"]
    assert hugo.turns == 2
    assert [item.user_turn for item in done.latencies] == ["u1", "u2"]
    assert done.scorecard is not None
    assert done.failure is None
    loud = np.abs(done.recording.sent().reshape(-1, FRAME_SAMPLES)).max(axis=1) > 1000
    first = np.flatnonzero(loud)
    assert len(first) == 8
    assert first[4] - first[3] >= 5  # the answer and the gap lie between the clips


async def test_a_call_that_is_cut_off_keeps_what_there_was(edge: Any) -> None:
    async def on_frame(fake: Any, number: int) -> None:
        if number == 3:
            await fake.socket.close(code=1011, message=b"the engine died")

    edge.on_frame = on_frame
    done = await hold_conversation(edge.url, [CLIP], CallOptions(), TurnRules())
    assert done.failure is not None
    assert done.failure.trouble == "failed"
    assert len(done.recording.sent()) >= 3 * FRAME_SAMPLES
    assert done.scorecard is None


async def test_people_get_lines_and_a_file_with_both_sides(
    edge: Any, hugo: Hugo, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.wav"
    assert await talk("--url", edge.url, "--wav", str(clip), "--out", str(out), "--gap", "0.1") == 0
    text = capsys.readouterr().out
    for expected in ("[session] cascade, nl", "user (", "zin 1", "u1 -> h1: ", "clips: answered", f"wrote {out}"):
        assert expected in text
    samples, rate = soundfile.read(out)
    assert rate == SAMPLE_RATE
    left, right = samples[:, 0], samples[:, 1]
    assert np.abs(left[: len(CLIP)] - CLIP).max() < 0.01
    lag = 2 * 156  # the look-ahead of two encoders in a row
    n = len(CLIP) - lag
    assert np.corrcoef(left[:n], right[lag : lag + n])[0, 1] > 0.95


async def test_programs_get_one_object_a_line(
    edge: Any, hugo: Hugo, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edge.on_open = lambda fake: fake.send(b'\x04{"kind":"session","resumeToken":"s3cret"}')
    assert await talk("--url", edge.url, "--wav", str(clip), "--json", "--tail", "0.6", "--consent", "emotion") == 0
    text = capsys.readouterr().out
    lines = [json.loads(line) for line in text.splitlines()]
    kinds = [line["type"] for line in lines]
    assert {"metadata", "event", "latency", "summary"} <= set(kinds)
    assert lines[-1]["scorecard"]["scorecard"] == {"total": 7}
    assert lines[-1]["outcomes"] == ["tail"]
    assert lines[-1]["lateFrames"] == 0
    assert "s3cret" not in text
    assert edge.requests[0].query["consent_emotion"] == "1"


async def test_the_answer_alone(edge: Any, hugo: Hugo, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    assert await talk("--url", edge.url, "--wav", str(clip), "--out", str(out), "--mono", "--tail", "0.2") == 0
    assert soundfile.info(out).channels == 1


async def test_the_token_comes_from_the_environment(
    edge: Any, hugo: Hugo, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPLITBRAIN_TOKEN", "s3cret")
    assert await talk("--url", edge.url, "--wav", str(clip), "--tail", "0.1") == 0
    assert edge.requests[0].headers["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize(("status", "code"), [(401, 4), (503, 5)])
async def test_a_refusal_has_its_exit_code(
    edge: Any, clip: Path, capsys: pytest.CaptureFixture[str], status: int, code: int
) -> None:
    edge.refuse = status
    assert await talk("--url", edge.url, "--wav", str(clip)) == code
    assert capsys.readouterr().err.startswith("splitbrain: ")


@pytest.mark.parametrize(("close", "code"), [(1008, 4), (1011, 6), (1012, 5), (1013, 5)])
async def test_a_cut_has_its_exit_code_and_the_file_is_written(
    edge: Any, clip: Path, tmp_path: Path, close: int, code: int
) -> None:
    async def on_frame(fake: Any, number: int) -> None:
        if number == 2:
            await fake.socket.close(code=close)

    edge.on_frame = on_frame
    out = tmp_path / "out.wav"
    assert await talk("--url", edge.url, "--wav", str(clip), "--out", str(out)) == code
    assert soundfile.info(out).frames >= 2 * FRAME_SAMPLES


async def test_a_call_in_which_no_clip_was_answered_has_failed(
    edge: Any, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = clip.with_name("silent.wav")
    write_wav(silent, np.zeros(4 * FRAME_SAMPLES, dtype=np.int16))
    assert await talk("--url", edge.url, "--wav", str(silent), "--answer-timeout", "0.2", "--scorecard", "0") == 1
    assert "no clip was answered" in capsys.readouterr().err


async def test_the_servers_own_reason_is_told(edge: Any, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edge.refuse = 429
    edge.refusal = {"error": {"code": "too_many", "message": "5 conversations of one user: close another first"}}
    assert await talk("--url", edge.url, "--wav", str(clip)) == 5
    assert "5 conversations of one user: close another first" in capsys.readouterr().err


async def test_where_the_file_should_go_is_looked_at_before_the_call(
    edge: Any, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await talk("--url", edge.url, "--wav", str(clip), "--out", str(tmp_path / "none" / "out.wav")) == 2
    assert edge.requests == []
    assert "no folder" in capsys.readouterr().err


async def test_without_an_address_your_running_deployment_is_called(
    edge: Any, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    write_run_file(edge.url.replace("ws", "http"), "redis://127.0.0.1:1/0")
    edge.refuse = 503
    assert await talk("--wav", str(clip)) == 5
    assert len(edge.requests) == 1


async def test_nobody_there_and_no_wav(tmp_path: Path, clip: Path) -> None:
    assert await talk("--url", "ws://127.0.0.1:1", "--wav", str(clip)) == 3
    assert await talk("--url", "ws://127.0.0.1:1", "--wav", str(tmp_path / "none.wav")) == 2
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"OggS")
    assert await talk("--url", "ws://127.0.0.1:1", "--wav", str(bad)) == 2
    write_wav(bad, np.zeros(10, dtype=np.int16))
    assert await talk("--url", "nonsense", "--wav", str(bad)) == 2
