"""The door to an OpenAI-compatible chat endpoint for single answers in JSON; says why there is none."""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import dataclass
from typing import Any, Protocol

import openai

from services.evaluator.judge.answers import Cause
from services.evaluator.judge.prompts import Prompt
from services.evaluator.judge.settings import JudgeSettings
from shared.errors import SplitbrainError

MAX_WAIT_S = 10.0
MAX_NAME_CHARS = 200
_NO_NAME = re.compile(r"[^\x20-\x7e]")
_BAD_REQUEST = (400, 415, 422)
"""What endpoints answer to a parameter that they do not know."""


class NoAnswer(SplitbrainError):
    """The endpoint gave no usable answer. `may_retry` if asking again can help, not before `wait_s` has passed."""

    def __init__(self, cause: Cause, message: str, *, may_retry: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.cause: Cause = cause
        self.may_retry = may_retry
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said, under which name it was served, and how many tokens went in and out."""

    content: str
    served_as: str = ""
    tokens_in: int = 0
    tokens_out: int = 0


class Endpoint(Protocol):
    """Something that answers one prompt."""

    async def ask(self, prompt: Prompt) -> Reply:
        """Return the answer. Raises NoAnswer."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class OpenAiEndpoint:
    """Chat completions over the `openai` package; it never retries by itself.

    Asks with a JSON schema and a seed. An endpoint that knows neither is asked without, and from then on only so:
    what comes back is held to the same form either way.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        self._model = settings.model
        self._seed = settings.seed
        self._max_tokens = settings.max_tokens
        self._timeout_s = settings.timeout_s
        self._is_bare = False
        self._client = openai.AsyncOpenAI(
            base_url=settings.base_url or None,
            api_key=settings.api_key.get_secret_value() or "none",  # the package insists on one
            max_retries=0,
            timeout=settings.timeout_s,
        )

    async def ask(self, prompt: Prompt) -> Reply:
        """Return the answer to a prompt within the time limit. Raises NoAnswer."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return _reply(await self._complete(prompt))
        except NoAnswer:
            raise
        except Exception as error:
            raise _translate(error) from error

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _complete(self, prompt: Prompt) -> Any:
        if not self._is_bare:
            form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": prompt.schema}}
            try:
                return await self._request(prompt, response_format=form, seed=self._seed)
            except openai.APIStatusError as error:
                if error.status_code not in _BAD_REQUEST:
                    raise
        completion = await self._request(prompt)
        self._is_bare = True
        return completion

    async def _request(self, prompt: Prompt, **more: Any) -> Any:
        return await self._client.chat.completions.create(
            model=self._model,
            messages=[{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}],
            temperature=0,
            max_tokens=self._max_tokens,
            **more,
        )


def _reply(completion: Any) -> Reply:
    """Return the text of a completion; one that broke off at the limit, or was declined, holds no answer."""
    choice = completion.choices[0]
    content = choice.message.content
    if not isinstance(content, str) or choice.finish_reason == "length":
        return Reply("")
    usage = completion.usage
    served_as = _NO_NAME.sub("?", str(completion.model or ""))[:MAX_NAME_CHARS]
    return Reply(content, served_as, _count(usage and usage.prompt_tokens), _count(usage and usage.completion_tokens))


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _translate(error: Exception) -> NoAnswer:
    """Name the failure; the endpoint's own text is not passed on, it may hold parts of the transcript."""
    kind = type(error).__name__
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return NoAnswer("timeout", f"the judging model did not answer in time ({kind})", may_retry=True)
    if isinstance(error, openai.APIStatusError):
        again = error.status_code >= 500 or error.status_code == 429
        wait_s = _wait_s(error.response.headers.get("retry-after"))
        return NoAnswer("refused", f"the judging model answered {error.status_code}", may_retry=again, wait_s=wait_s)
    if isinstance(error, openai.APIConnectionError | OSError):
        return NoAnswer("unreachable", f"the judging model cannot be reached ({kind})", may_retry=True)
    return NoAnswer("malformed", f"the judging model sent something unreadable ({kind})", may_retry=True)


def _wait_s(header: str | None) -> float:
    try:
        wait_s = float(header or 0)
    except ValueError:  # a date
        return MAX_WAIT_S
    return min(max(wait_s, 0.0), MAX_WAIT_S) if math.isfinite(wait_s) else MAX_WAIT_S
