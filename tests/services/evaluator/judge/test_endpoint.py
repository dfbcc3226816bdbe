"""The door to the endpoint: what is sent, and a cause for each failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from services.evaluator.judge.endpoint import MAX_WAIT_S, NoAnswer, OpenAiEndpoint, Reply
from services.evaluator.judge.prompts import Prompt
from services.evaluator.judge.settings import JudgeSettings
from shared.testing.chat_endpoint import Reply as Sent
from shared.testing.chat_endpoint import chat_endpoint

PROMPT = Prompt("system", "user", {"type": "object"})


async def ask(url: str, n: int = 1, **settings: Any) -> list[Reply]:
    endpoint = OpenAiEndpoint(JudgeSettings(base_url=url, model="test", **settings))
    try:
        return [await endpoint.ask(PROMPT) for _ in range(n)]
    finally:
        await endpoint.aclose()


async def test_it_asks_for_the_schema_at_temperature_0_with_a_seed() -> None:
    async with chat_endpoint("answer") as server:
        assert await ask(server.url, seed=3, max_tokens=50) == [Reply("answer", "test", 100, 10)]
    (request,) = server.requests
    assert (request["temperature"], request["seed"], request["max_tokens"]) == (0, 3, 50)
    assert request["response_format"]["json_schema"] == {"name": "answer", "strict": True, "schema": {"type": "object"}}
    assert [message["role"] for message in request["messages"]] == ["system", "user"]


@pytest.mark.parametrize("status", [400, 422])
async def test_an_endpoint_without_schemas_is_asked_without_and_only_so(status: int) -> None:
    async with chat_endpoint(status, "one", "two") as server:
        assert [reply.content for reply in await ask(server.url, n=2)] == ["one", "two"]
    assert ["response_format" in request for request in server.requests] == [True, False, False]
    assert all(request["temperature"] == 0 for request in server.requests)


@pytest.mark.parametrize(("status", "again"), [(401, False), (400, False), (429, True), (500, True)])
async def test_a_status_is_a_refusal(status: int, again: bool) -> None:
    async with chat_endpoint(status) as server:
        with pytest.raises(NoAnswer) as caught:
            await ask(server.url)
    assert (caught.value.cause, caught.value.may_retry, caught.value.wait_s) == ("refused", again, 0.0)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [("3", 3.0), ("1e9", MAX_WAIT_S), ("nan", MAX_WAIT_S), ("-1", 0.0), ("Fri, 1 Jan", MAX_WAIT_S)],
)
async def test_it_says_how_long_to_wait_within_reason(header: str, wait_s: float) -> None:
    async with chat_endpoint(429) as server:
        server.headers["Retry-After"] = header
        with pytest.raises(NoAnswer) as caught:
            await ask(server.url)
    assert caught.value.wait_s == wait_s


async def test_nobody_there() -> None:
    with pytest.raises(NoAnswer) as caught:
        await ask("http://127.0.0.1:9/v1")
    assert (caught.value.cause, caught.value.may_retry) == ("unreachable", True)


async def drip(sent: Sent) -> None:
    await sent.raw(" ")
    await sent.stall()


@pytest.mark.parametrize("stall", [Sent.stall, drip])
async def test_a_stall_is_a_time_out(stall: Callable[[Sent], Any]) -> None:
    async with chat_endpoint(stall) as server:
        with pytest.raises(NoAnswer) as caught:
            await ask(server.url, timeout_s=0.1)
    assert (caught.value.cause, caught.value.may_retry) == ("timeout", True)


@pytest.mark.parametrize("body", ["", "{secret", "[]", '{"choices": []}', '{"choices": [{"message": null}]}'])
async def test_garbage_is_malformed_and_its_text_is_not_repeated(body: str) -> None:
    async with chat_endpoint(lambda sent: sent.raw(body)) as server:
        with pytest.raises(NoAnswer) as caught:
            await ask(server.url)
    assert (caught.value.cause, caught.value.may_retry) == ("malformed", True)
    assert "secret" not in str(caught.value)


async def test_what_broke_off_or_was_declined_holds_no_answer() -> None:
    async with chat_endpoint(
        lambda sent: sent.whole("half", finish_reason="length"),
        lambda sent: sent.raw('{"model": "m", "choices": [{"message": {"content": null}, "finish_reason": "stop"}]}'),
    ) as server:
        assert [reply.content for reply in await ask(server.url, n=2)] == ["", ""]


async def test_the_models_name_is_plain_text_of_bounded_length() -> None:
    async with chat_endpoint(lambda sent: sent.whole("x", model="gpt\ud800\n" + "y" * 500)) as server:
        (reply,) = await ask(server.url)
    assert reply.served_as == "gpt??" + "y" * 195
