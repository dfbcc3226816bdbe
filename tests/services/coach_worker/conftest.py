"""A local chat endpoint that speaks the streaming protocol, with faults."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from shared.testing.chat_endpoint import ChatEndpoint, chat_endpoint


@pytest.fixture
def llm_server() -> Callable[..., AbstractAsyncContextManager[ChatEndpoint]]:
    """Return the endpoint: `async with llm_server("Good. What now?") as server`."""
    return chat_endpoint
