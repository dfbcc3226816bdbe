"""Admission: bounded, urgent callers first, and no place is ever lost."""

from __future__ import annotations

import asyncio

import pytest

from services.voice_worker.speech.gate import Gate
from shared.errors import Overloaded


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_urgent_callers_go_first() -> None:
    gate, order = Gate(1, 8), []
    async with asyncio.TaskGroup() as group, gate.place(urgent=True, timeout_s=5):

        async def call(name: str, urgent: bool) -> None:
            async with gate.place(urgent=urgent, timeout_s=5):
                order.append(name)

        for name, urgent in (("partial 1", False), ("final 1", True), ("partial 2", False), ("final 2", True)):
            group.create_task(call(name, urgent))
        await turns()
        assert gate.n_waiting == 4
    assert order == ["final 1", "final 2", "partial 1", "partial 2"]


async def test_a_full_waiting_room_refuses_and_partials_sooner() -> None:
    gate = Gate(1, 2)
    async with asyncio.TaskGroup() as group, gate.place(urgent=True, timeout_s=5):

        async def call() -> None:
            async with gate.place(urgent=True, timeout_s=5):
                pass

        group.create_task(call())
        await turns()
        with pytest.raises(Overloaded, match="add voice workers"):
            async with gate.place(urgent=False, timeout_s=5):
                pass
        group.create_task(call())
        await turns()
        with pytest.raises(Overloaded):
            async with gate.place(urgent=True, timeout_s=5):
                pass


async def test_a_caller_that_waits_too_long_is_told() -> None:
    gate = Gate(1, 2)
    async with gate.place(urgent=True, timeout_s=5):
        with pytest.raises(Overloaded, match="no speech model was free"):
            async with gate.place(urgent=True, timeout_s=0.01):
                pass
    async with gate.place(urgent=True, timeout_s=0.01):
        pass


async def test_a_place_given_to_a_caller_that_was_cancelled_goes_on() -> None:
    gate = Gate(1, 4)

    async def call() -> None:
        async with gate.place(urgent=True, timeout_s=5):
            pass

    async with gate.place(urgent=True, timeout_s=5):
        waiting = asyncio.create_task(call())
        await turns()
    waiting.cancel()  # it has the place by now, and has not run since
    await asyncio.wait([waiting])
    async with gate.place(urgent=True, timeout_s=0.01):
        assert gate.n_waiting == 0
