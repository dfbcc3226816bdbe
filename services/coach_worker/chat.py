"""The door to an OpenAI-compatible chat endpoint: streams the pieces of one answer, or says why it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Literal, Protocol

import openai

from services.coach_worker.settings import CoachSettings
from shared.errors import SplitbrainError

Cause = Literal["timeout", "unreachable", "refused", "malformed", "empty", "overloaded", "guard"]


class ChatFailed(SplitbrainError):
    """The endpoint gave no usable answer. `cause` is for the metric; `may_retry` if asking again can help."""

    def __init__(self, cause: Cause, message: str, *, may_retry: bool = False) -> None:
        super().__init__(message)
        self.cause: Cause = cause
        self.may_retry = may_retry


class Chat(Protocol):
    """Something that completes a chat."""

    def stream(self, system: str, user: str) -> AsyncGenerator[str]:
        """Yield the pieces of the answer as they come. Raises ChatFailed."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class OpenAiChat:
    """Chat over the `openai` package; it never retries by itself."""

    def __init__(self, settings: CoachSettings) -> None:
        self._model = settings.llm_model
        self._temperature = settings.llm_temperature
        self._max_tokens = settings.llm_max_tokens
        self._client = openai.AsyncOpenAI(
            base_url=settings.llm_base_url or None,
            api_key=settings.llm_api_key.get_secret_value() or "none",  # the package insists on one
            max_retries=0,
            timeout=settings.llm_answer_s,
        )

    async def stream(self, system: str, user: str) -> AsyncGenerator[str]:
        """Yield the pieces of the answer as they come. Raises ChatFailed."""
        try:
            chunks = await self._client.chat.completions.create(
                model=self._model,
                messages=[{"role": "system", "content": system}, {"role": "user", "content": user}],
                temperature=self._temperature,
                max_tokens=self._max_tokens,
                stream=True,
            )
            async with chunks:
                async for chunk in chunks:
                    if chunk.choices and chunk.choices[0].delta.content:
                        yield chunk.choices[0].delta.content
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as error:
            raise _translate(error) from error

    async def aclose(self) -> None:
        await self._client.close()


def _translate(error: Exception) -> ChatFailed:
    """Name the failure; the endpoint's own text is not passed on, it may hold parts of the prompt."""
    kind = type(error).__name__
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return ChatFailed("timeout", f"the language model did not answer in time ({kind})")
    if isinstance(error, openai.APIStatusError):
        again = error.status_code >= 500 or error.status_code == 429
        return ChatFailed("refused", f"the language model answered {error.status_code}", may_retry=again)
    if isinstance(error, openai.APIConnectionError | OSError):
        return ChatFailed("unreachable", f"the language model cannot be reached ({kind})", may_retry=True)
    return ChatFailed("malformed", f"the language model sent something unreadable ({kind})", may_retry=True)
