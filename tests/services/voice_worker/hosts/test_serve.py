"""The loop of a host, without a process: turns, cancelling, and what goes out when something fails."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from services.voice_worker.hosts import serve
from services.voice_worker.hosts.serve import Call, Loaded
from services.voice_worker.speech import frames
from services.voice_worker.speech.frames import Message
from shared.errors import ModelMissing, SpeechError


def count(call: Call) -> Iterator[Message]:
    for number in range(int(call.number("n", 0, 10))):
        yield {"number": number}


def fail(call: Call) -> Iterator[Message]:
    raise KeyError("what somebody said")
    yield {}


@pytest.fixture
def loop() -> serve._Loop:
    return serve._Loop(Loaded({"count": count, "fail": fail}, {}), io.BytesIO())


def sent(loop: serve._Loop) -> list[Message]:
    assert isinstance(loop.outlet, io.BytesIO)
    data, found = loop.outlet.getvalue(), []
    while data:
        length = frames.body_length(data[:4])
        found.append({key: value for key, value in frames.decode(data[4 : 4 + length]).items() if key != "v"})
        data = data[4 + length :]
    return found


def run_all(loop: serve._Loop) -> None:
    """Do what `compute` does, until there is no work."""
    while loop.active:
        current = loop.active.popleft()
        if loop.step(current):
            loop.active.append(current)
        else:
            del loop.calls[current.number]


def test_requests_take_turns(loop: serve._Loop) -> None:
    loop.take({"id": 1, "op": "count", "n": 2})
    loop.take({"id": 2, "op": "count", "n": 1})
    run_all(loop)
    assert [(message["id"], message["kind"]) for message in sent(loop)] == [
        (1, "chunk"),
        (2, "chunk"),
        (1, "chunk"),
        (2, "end"),
        (1, "end"),
    ]


def test_a_cancelled_request_ends_without_its_chunks(loop: serve._Loop) -> None:
    loop.take({"id": 1, "op": "count", "n": 5})
    loop.take({"id": 1, "op": "cancel"})
    loop.take({"id": 9, "op": "cancel"})  # unknown: it was over already
    run_all(loop)
    assert sent(loop) == [{"id": 1, "kind": "end"}]


def test_a_ping_is_answered_at_once(loop: serve._Loop) -> None:
    loop.take({"id": 0, "op": "ping"})
    assert sent(loop) == [{"id": 0, "kind": "pong"}]


def test_a_failure_names_its_kind_and_nothing_that_was_said(loop: serve._Loop) -> None:
    loop.take({"id": 1, "op": "fail"})
    loop.take({"id": 2, "op": "count", "n": 99})
    loop.take({"id": 3, "op": "dance"})
    run_all(loop)
    first, second, third = sent(loop)
    assert first["message"] == "the speech model failed with KeyError"
    assert "from 0 to 10" in second["message"]
    assert "no operation 'dance'" in third["message"]


def test_requests_beyond_the_bound_are_refused(loop: serve._Loop) -> None:
    for number in range(serve.MAX_ACTIVE + 1):
        loop.take({"id": number + 1, "op": "count", "n": 1})
    (message,) = sent(loop)
    assert message["id"] == serve.MAX_ACTIVE + 1
    assert message["kind"] == "error"


def test_known_errors_keep_their_type() -> None:
    assert serve._described(ModelMissing("x")) == {"error": "ModelMissing", "message": "x"}
    assert serve._described(frames.FrameError("y"))["error"] == "SpeechError"


def test_fields_are_checked() -> None:
    call = Call({"text": "abc", "n": 1, "list": ["a", "b"], "flag": True, "mixed": ["a", 1]})
    assert (call.text("text", 3), call.number("n", 0, 2), call.strings("list", 2, 1)) == ("abc", 1.0, ["a", "b"])
    for wrong in (
        lambda: call.text("text", 2),
        lambda: call.text("n", 9),
        lambda: call.number("flag", 0, 2),
        lambda: call.number("n", 2, 3),
        lambda: call.strings("mixed", 9, 9),
        lambda: call.strings("list", 1, 9),
        lambda: call.strings("text", 9, 9),
    ):
        with pytest.raises(SpeechError, match="field"):
            wrong()
