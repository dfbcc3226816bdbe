"""Calls to a recogniser: one at a time, the most urgent next, none lost that is needed, none that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from services.voice_worker.listener.recognition import MAX_FINALS, Purpose, RecognitionQueue, Request
from services.voice_worker.speech.interfaces import Recognition
from shared.clock import SystemClock
from shared.errors import Overloaded, SpeechError


class Gate:
    """A recogniser whose calls end when the test says so: by name of the sound (its length)."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self.ends: dict[int, asyncio.Future[str]] = {}

    async def start(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    async def transcribe(self, pcm: NDArray[np.float32], *, language: str, partial: bool) -> Recognition:
        name = len(pcm)
        self.begun.append(name)
        self.ends[name] = asyncio.get_running_loop().create_future()
        try:
            return Recognition(await self.ends[name])
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise


def request(name: int, purpose: Purpose, utterance: int = 1, pause: int = 0) -> Request:
    return Request(utterance, purpose, pause, 0, 100, np.zeros(name, dtype=np.float32))


class Desk:
    def __init__(self, timeout_s: float) -> None:
        self.gate = Gate()
        self.results: list[tuple[int, Purpose, str | None]] = []
        self.queue = RecognitionQueue(self.gate, "nl", timeout_s, SystemClock(), self.take)

    def take(self, request: Request, heard: Recognition | None) -> None:
        self.results.append((len(request.pcm), request.purpose, None if heard is None else heard.text))

    async def submit(self, *requests: Request) -> None:
        for one in requests:
            self.queue.submit(one)
        await self.turn()

    async def end(self, name: int, text: str | Exception) -> None:
        if isinstance(text, Exception):
            self.gate.ends[name].set_exception(text)
        else:
            self.gate.ends[name].set_result(text)
        await self.turn()

    async def turn(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


@asynccontextmanager
async def desk(timeout_s: float = 30.0) -> AsyncIterator[Desk]:
    async with asyncio.TaskGroup() as tasks:
        one = Desk(timeout_s)
        one.queue.start(tasks)
        yield one
        one.queue.close()


async def test_a_partial_never_waits() -> None:
    async with desk() as d:
        await d.submit(request(1, "partial"), request(2, "partial"))
        await d.end(1, "one")
        assert d.gate.begun == [1]
        assert d.results == [(1, "partial", "one")]
        assert d.queue.idle


async def test_a_pause_takes_the_place_of_a_partial_even_before_it_began() -> None:
    for settle in (True, False):
        async with desk() as d:
            d.queue.submit(request(1, "partial"))
            if settle:
                await d.turn()
            await d.submit(request(2, "pause", pause=1))
            await d.end(2, "two")
            assert d.results == [(2, "pause", "two")]


async def test_the_newest_pause_replaces_the_one_before() -> None:
    async with desk() as d:
        await d.submit(request(1, "pause", pause=1))
        await d.submit(request(2, "pause", pause=2))
        assert d.gate.cancelled == [1]
        await d.end(2, "two")
        assert d.results == [(2, "pause", "two")]


async def test_a_pause_that_ended_a_turn_is_not_replaced_by_the_next_utterance() -> None:
    async with desk() as d:
        await d.submit(request(1, "pause", utterance=1, pause=1))
        assert d.queue.promote(1, 1)
        await d.submit(request(2, "pause", utterance=2, pause=2))
        await d.submit(request(3, "pause", utterance=2, pause=3))
        await d.end(1, "one")
        await d.end(3, "three")
        assert d.results == [(1, "final", "one"), (3, "pause", "three")]
        assert d.gate.cancelled == []


async def test_a_pause_still_waiting_is_promoted_before_others() -> None:
    async with desk() as d:
        await d.submit(request(1, "final", utterance=1), request(2, "pause", utterance=2, pause=7))
        assert d.queue.promote(2, 7)
        await d.submit(request(3, "pause", utterance=3, pause=8))
        await d.end(1, "one")
        await d.end(2, "two")
        await d.end(3, "three")
        assert [result[:2] for result in d.results] == [(1, "final"), (2, "final"), (3, "pause")]


async def test_what_was_replaced_or_is_of_another_pause_is_not_promoted() -> None:
    async with desk() as d:
        await d.submit(request(1, "pause", pause=1))
        assert not d.queue.promote(1, 2)
        assert not d.queue.promote(2, 1)
        d.queue.submit(request(2, "pause", pause=2))
        assert not d.queue.promote(1, 1)  # it is being cancelled
        assert d.queue.promote(1, 2)
        await d.turn()
        await d.end(2, "two")
        assert d.results == [(2, "final", "two")]


async def test_texts_of_finished_turns_come_in_order_and_beyond_the_bound_the_oldest_fails() -> None:
    async with desk() as d:
        await d.submit(*[request(name, "final", utterance=name) for name in range(1, MAX_FINALS + 3)])
        assert d.results == [(2, "final", None)]
        for name in (1, *range(3, MAX_FINALS + 3)):
            await d.end(name, str(name))
        assert [result[0] for result in d.results] == [2, 1, *range(3, MAX_FINALS + 3)]


@pytest.mark.parametrize("fault", [SpeechError("x"), Overloaded("x"), TimeoutError(), ValueError("provider's fault")])
async def test_a_failure_is_a_result_and_the_next_call_runs(fault: Exception) -> None:
    async with desk() as d:
        await d.submit(request(1, "final"), request(2, "final"))
        await d.end(1, fault)
        await d.end(2, "two")
        assert d.results == [(1, "final", None), (2, "final", "two")]


async def test_a_call_that_does_not_answer_is_given_up_in_time() -> None:
    async with desk(timeout_s=0.01) as d:
        await d.submit(request(1, "final"))
        await asyncio.wait_for(d.queue.settled(), 10)
        assert d.results == [(1, "final", None)]
        assert d.gate.cancelled == [1]


async def test_a_withdrawn_utterance_has_no_result() -> None:
    async with desk() as d:
        await d.submit(request(1, "pause", utterance=1, pause=1), request(2, "pause", utterance=2, pause=2))
        d.queue.withdraw(2)
        d.queue.withdraw(1)
        await asyncio.wait_for(d.queue.settled(), 10)
        assert d.results == []
        assert d.gate.begun == [1]


class Windows:
    """A recogniser that has heard the sound itself."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, bool]] = []

    async def transcribe_window(self, start_ms: int, end_ms: int, *, partial: bool) -> Recognition:
        self.asked.append((start_ms, end_ms, partial))
        if end_ms > 1000:
            raise SpeechError("that is too long ago")
        return Recognition("heard")


async def test_a_recogniser_that_hears_by_itself_is_asked_for_windows() -> None:
    windows, results = Windows(), list[tuple[Purpose, str | None]]()
    silence = np.zeros(1, dtype=np.float32)
    async with asyncio.TaskGroup() as tasks:
        queue = RecognitionQueue(
            windows,
            "en",
            30.0,
            SystemClock(),
            lambda asked, heard: results.append((asked.purpose, None if heard is None else heard.text)),
        )
        queue.start(tasks)
        queue.submit(Request(1, "partial", 0, 200, 500, silence))
        await asyncio.wait_for(queue.settled(), 10)
        queue.submit(Request(1, "final", 0, 200, 900, silence))
        queue.submit(Request(2, "final", 0, 950, 1900, silence))
        await asyncio.wait_for(queue.settled(), 10)
        queue.close()
    assert windows.asked == [(200, 500, True), (200, 900, False), (950, 1900, False)]
    assert results == [("partial", "heard"), ("final", "heard"), ("final", None)]


async def test_after_closing_nothing_comes() -> None:
    async with desk() as d:
        await d.submit(request(1, "final"), request(2, "final"))
        d.queue.close()
        await asyncio.wait_for(d.queue.settled(), 10)
        d.queue.submit(request(3, "final"))
        await d.turn()
        assert d.results == []
        assert d.gate.begun == [1]
