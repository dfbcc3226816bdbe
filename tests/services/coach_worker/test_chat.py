"""The door to a chat endpoint: pieces in order, and a cause for each failure."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest

from services.coach_worker.chat import ChatFailed, OpenAiChat
from services.coach_worker.settings import CoachSettings


async def pieces(url: str, **settings: Any) -> list[str]:
    chat = OpenAiChat(CoachSettings(llm_base_url=url, llm_model="test", **settings))
    try:
        async with aclosing(chat.stream("system", "user")) as stream:
            return [piece async for piece in stream]
    finally:
        await chat.aclose()


async def test_pieces_come_in_order(llm_server: Any) -> None:
    async with llm_server("one two three") as server:
        assert await pieces(server.url, llm_temperature=0.3, llm_max_tokens=50) == ["one ", "two ", "three "]
    (request,) = server.requests
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("test", 0.3, 50)
    assert [message["role"] for message in request["messages"]] == ["system", "user"]


@pytest.mark.parametrize(("status", "retry"), [(401, False), (400, False), (429, True), (500, True), (503, True)])
async def test_a_status_is_a_refusal(llm_server: Any, status: int, retry: bool) -> None:
    async with llm_server(status) as server:
        with pytest.raises(ChatFailed) as caught:
            await pieces(server.url)
    assert (caught.value.cause, caught.value.may_retry) == ("refused", retry)
    assert len(server.requests) == 1


async def test_nobody_there() -> None:
    with pytest.raises(ChatFailed) as caught:
        await pieces("http://127.0.0.1:9/v1")
    assert (caught.value.cause, caught.value.may_retry) == ("unreachable", True)


async def test_a_stall_is_a_time_out(llm_server: Any) -> None:
    async def stall(reply: Any) -> None:
        await reply.piece("one ")
        await reply.server.released.wait()

    async with llm_server(stall) as server:
        with pytest.raises(ChatFailed) as caught:
            await pieces(server.url, llm_answer_s=0.2, llm_first_sentence_s=0.1)
    assert caught.value.cause == "timeout"


async def test_garbage_is_malformed_and_its_text_is_not_repeated(llm_server: Any) -> None:
    async def garbage(reply: Any) -> None:
        await reply.raw("data: {secret prompt\n\n")

    async with llm_server(garbage) as server:
        with pytest.raises(ChatFailed) as caught:
            await pieces(server.url)
    assert caught.value.cause == "malformed"
    assert "secret" not in str(caught.value)
