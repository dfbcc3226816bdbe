"""The chat endpoint for tests, through the package that services use."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from shared.testing.chat_endpoint import Reply, chat_endpoint

HELLO: Any = [{"role": "user", "content": "hello"}]


async def test_it_answers_whole_and_in_pieces_and_refuses() -> None:
    async def broken_off(reply: Reply) -> None:
        await reply.whole("half an ans", finish_reason="length", model="other")

    async with (
        chat_endpoint("one two", "one two", 503, broken_off) as server,
        openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0) as client,
    ):
        whole = await client.chat.completions.create(model="m", messages=HELLO)
        assert whole.choices[0].message.content == "one two"
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        assert [chunk.choices[0].delta.content async for chunk in stream] == ["one ", "two "]
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="m", messages=HELLO)
        last = await client.chat.completions.create(model="m", messages=HELLO)
        assert (last.choices[0].finish_reason, last.model) == ("length", "other")
    assert [request["model"] for request in server.requests] == ["m"] * 4


async def test_the_request_may_decide_and_a_stall_ends_with_the_endpoint() -> None:
    async with (
        chat_endpoint(answer=lambda request: request["messages"][0]["content"].upper()) as server,
        openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0) as client,
    ):
        echo = await client.chat.completions.create(model="m", messages=HELLO)
        assert echo.choices[0].message.content == "HELLO"
    async with (
        chat_endpoint(Reply.stall) as server,
        openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=0.1) as client,
    ):
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(model="m", messages=HELLO)
