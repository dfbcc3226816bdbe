"""A deployment of one's own that fails; one that works carries every test in tests/pipeline."""

from __future__ import annotations

import pytest

from services.command_line.deployment import own_deployment
from services.command_line.exits import CommandError


@pytest.mark.timeout(120)
async def test_one_that_does_not_come_up_says_where_to_look() -> None:
    with pytest.raises(CommandError, match="did not come up"):
        async with own_deployment("--engine", "echo", env={"SPLITBRAIN_EDGE_JWT_SECRET": "short"}):
            raise AssertionError("it must not come up")
