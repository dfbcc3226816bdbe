"""The demo's script and its verdict on itself. The whole demo runs in tests/pipeline by the same parts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services import cli
from services.command_line import demo
from services.command_line.call_report import AnswerLatency
from services.command_line.client import Received
from services.command_line.demo import _keep, _missing, load_role_play, report_lines
from services.command_line.recording import CallRecording
from services.command_line.talk import Conversation
from services.evaluator.recording.store import RecordingStore
from shared.events import Event, ScorecardReady, Transcript


@pytest.mark.parametrize("language", ["en", "nl"])
def test_the_role_play_has_eight_spoken_turns(language: str) -> None:
    script, clips = load_role_play(language, 8)
    assert len(clips) == len(script["turns"]) == 8
    for clip in clips:
        assert 3 < len(clip) / 24_000 < 10


def test_fewer_turns_may_be_asked_for() -> None:
    assert len(load_role_play("en", 2)[1]) == 2


@pytest.mark.parametrize(("status", "code"), [(0, 3), (401, 4), (503, 5)])
async def test_a_call_that_does_not_come_about_has_its_exit_code(
    edge: Any, tmp_path: Path, status: int, code: int
) -> None:
    edge.refuse = status
    url = edge.url.replace("ws", "http") if status else "http://127.0.0.1:1"
    assert await asyncio.to_thread(cli.main, ["demo", "--url", url, "--out", str(tmp_path), "--turns", "1"]) == code


def test_a_file_is_no_folder_and_nothing_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "own_deployment", None)
    (tmp_path / "file").write_bytes(b"")
    assert cli.main(["demo", "--out", str(tmp_path / "file")]) == 2
    assert "is a file" in capsys.readouterr().err


CARD = {
    "evaluator_version": "1.0.0",
    "knowledge_hash": "0" * 64,
    "metrics": [],
    "turns": [],
    "phases": [],
    "totals": {"overall": None, "reached": None},
    "session": {"language": "en"},
    "notice": {"en": "for practice"},
}


def conversation(outcomes: list[str], *, scorecard: bool = True) -> Conversation:
    latencies = [AnswerLatency(f"u{n}", f"h{n}", 0, 500, 600) for n, _ in enumerate(outcomes)]
    card = ScorecardReady("1.0.0", CARD) if scorecard else None
    return Conversation(CallRecording(), [], outcomes, latencies, card, 0)


def said(n: int) -> list[Transcript]:
    return [Transcript(f"u{k}", "user", "hello", True, 0, 100, "en") for k in range(n)]


def with_words(done: Conversation, n: int) -> Conversation:
    events = [Event(body.turn, "s", "voice", 1, 0, 0, body) for body in said(n)]
    done.received += [Received("event", 0.0, event=event) for event in events]
    return done


def test_a_whole_conversation_misses_nothing() -> None:
    assert _missing(with_words(conversation(["answered"] * 2), 2), 2) == []


def test_sound_events_and_report_are_kept(tmp_path: Path) -> None:
    done = with_words(conversation(["answered"]), 1)
    lines = report_lines(done)
    _keep(tmp_path, done, lines)
    text = (tmp_path / "report.txt").read_text("utf-8")
    for expected in (
        "--- transcript",
        "user: hello",
        "heard after 600 ms",
        "median 600 ms over 1 turns",
        "--- scorecard",
    ):
        assert expected in text
    assert text.splitlines() == lines
    assert (tmp_path / "conversation.wav").is_file()
    assert len((tmp_path / "events.jsonl").read_text("utf-8").splitlines()) == 1


def test_says_what_is_missing() -> None:
    done = with_words(conversation(["answered", "no_answer"], scorecard=False), 1)
    done.latencies.pop()
    assert _missing(done, 2) == [
        "turn 2 of the seller was not answered (no_answer)",
        "only 1 of 2 turns of the seller are in the transcript",
        "only 1 of 2 answers were heard",
        "the scorecard",
    ]


async def test_the_call_is_waited_for_until_it_is_archived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = with_words(conversation(["answered"]), 1)
    session_id = "0" * 26
    done.received[0] = Received("event", 0.0, event=Event("e", session_id, "voice", 1, 0, 0, said(1)[0]))
    store = RecordingStore(str(tmp_path / demo.RECORDINGS))
    waiting = asyncio.create_task(asyncio.to_thread(demo._archived, done, tmp_path))
    await asyncio.sleep(0)
    store.write(session_id, "manifest.json", b"{}")
    assert await waiting == session_id
    monkeypatch.setattr(demo, "RECORDING_LIMIT_S", 0.0)
    store.delete(session_id)
    assert demo._archived(done, tmp_path) == ""
    assert demo._archived(conversation([]), tmp_path) == ""
