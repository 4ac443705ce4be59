"""A language model: over an API like OpenAI's, or a twin that writes examples."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any

from server import texts
from server.services import Refused, TryLater, Usage, Writer
from server.settings import Settings

CONNECT_TIMEOUT = 5.0
STALL_TIMEOUT = 20.0
"""Seconds without anything from a model that is writing."""

QUOTA_PAUSE = 20.0
LONGEST_PAUSE = 86_400.0
TOO_MANY = 429
SERVER_ERRORS = 500
WORTH_A_RETRY = {408, 409, 425}
EXAMPLES = 4


def build_writer(settings: Settings) -> Writer:
    key = settings.ai_api_key.get_secret_value()
    if key:
        return OpenAiWriter(settings.ai_base_url, key, settings.ai_model)
    # Nobody who means it is to be given examples.
    return AbsentWriter() if settings.environment == "production" else LocalWriter()


class AbsentWriter:
    """No model, and nothing in its place."""

    model = "none"

    async def write(
        self, instructions: str, question: str, *, max_tokens: int
    ) -> AsyncGenerator[str | Usage, None]:
        raise Refused("no model")
        yield ""

    async def check(self) -> str:
        return "no model, goals are not split"

    async def close(self) -> None:
        pass


class LocalWriter:
    """No model at all: always the same examples of stages, which say that they are such."""

    model = "local"

    async def write(
        self, instructions: str, question: str, *, max_tokens: int
    ) -> AsyncGenerator[str | Usage, None]:
        goal = json.loads(question)
        examples = [texts.get(f"ai.example_{n + 1}", goal["language"]) for n in range(EXAMPLES)]
        titles = [title for title in examples if title not in goal["stages"]]
        yield '{"stages": ['
        for place, title in enumerate(titles):
            yield (", " if place else "") + json.dumps({"title": title}, ensure_ascii=False)
        yield "]}"
        yield Usage(self.model, 0, 0)

    async def check(self) -> str:
        return "no model, examples are written here"

    async def close(self) -> None:
        pass


class OpenAiWriter:
    """Chat completions, streamed, by the official library. Whoever asks may ask again, not it."""

    def __init__(self, url: str, key: str, model: str) -> None:
        self.model = model
        self._url = url
        self._key = key
        self._client: Any = None
        self._opening = Lock()

    async def write(
        self, instructions: str, question: str, *, max_tokens: int
    ) -> AsyncGenerator[str | Usage, None]:
        client = await self._open()
        import openai  # noqa: PLC0415 - that was done in a thread

        try:
            stream = await client.chat.completions.create(
                model=self.model,
                messages=[
                    {"role": "system", "content": instructions},
                    {"role": "user", "content": question},
                ],
                max_tokens=max_tokens,
                response_format={"type": "json_object"},
                stream=True,
                stream_options={"include_usage": True},
            )
            # Left early, or cancelled, this closes the connection: the service stops to write.
            async with stream:
                async for chunk in stream:
                    for part in _read_chunk(chunk):
                        yield part
        except openai.APIStatusError as error:
            raise _explain(error) from None

    async def check(self) -> str:
        client = await self._open()
        models = [model.id async for model in client.models.list()]
        if self.model not in models:
            raise LookupError(f"{self._url} has no model {self.model}")
        return f"{self.model} at {self._url}"

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _open(self) -> Any:
        # Importing it takes a second, in which the loop should go on.
        return self._client or await asyncio.to_thread(self._load)

    def _load(self) -> Any:
        import openai  # noqa: PLC0415 - a second, and 50 MB

        with self._opening:
            if self._client is None:
                self._client = openai.AsyncOpenAI(
                    base_url=self._url,
                    api_key=self._key,
                    max_retries=0,
                    timeout=openai.Timeout(STALL_TIMEOUT, connect=CONNECT_TIMEOUT),
                )
            return self._client


def _read_chunk(chunk: Any) -> Iterator[str | Usage]:
    for choice in chunk.choices:
        if choice.delta.content:
            yield choice.delta.content
        if choice.finish_reason == "content_filter":
            raise Refused("content_filter")
        if choice.finish_reason == "insufficient_system_resource":
            # DeepSeek has no room for the rest of it.
            raise TryLater(QUOTA_PAUSE)
    if chunk.usage is not None:
        yield Usage(chunk.model, chunk.usage.prompt_tokens, chunk.usage.completion_tokens)


def _explain(error: Any) -> Exception:
    """What an answer of HTTP means for whoever asked."""
    status: int = error.status_code
    if status == TOO_MANY:
        return TryLater(_read_pause(error.response.headers.get("Retry-After", "")))
    if status >= SERVER_ERRORS or status in WORTH_A_RETRY:
        return ConnectionError(f"http_{status}")
    return Refused(f"http_{status}")


def _read_pause(text: str) -> float:
    """Seconds, which RFC 9110 §10.2.3 lets a service tell as a number or as a date."""
    seconds = QUOTA_PAUSE
    with contextlib.suppress(ValueError):
        seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    with contextlib.suppress(ValueError):
        seconds = float(text)
    return min(max(0.0, seconds), LONGEST_PAUSE)
