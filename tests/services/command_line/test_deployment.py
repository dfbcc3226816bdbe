"""A deployment of one's own: up, described, and gone afterwards."""

from __future__ import annotations

import os

import aiohttp
import pytest

from services.command_line.deployment import own_deployment
from services.command_line.exits import CommandError


@pytest.mark.timeout(120)
async def test_is_there_for_the_block_and_gone_afterwards() -> None:
    async with own_deployment("--engine", "echo") as deployment:
        assert deployment.ws_url.startswith("ws://127.0.0.1:")
        assert set(deployment.pids) == {"edge", "voice", "coach", "evaluator"}
        async with aiohttp.ClientSession() as web, web.get(f"{deployment.url}/readyz") as answer:
            assert answer.status == 200
    for pid in deployment.pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.timeout(120)
async def test_one_that_does_not_come_up_says_where_to_look() -> None:
    with pytest.raises(CommandError, match="did not come up"):
        async with own_deployment("--engine", "echo", env={"SPLITBRAIN_EDGE_JWT_SECRET": "short"}):
            raise AssertionError("it must not come up")
