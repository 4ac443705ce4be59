"""The chat completions of an API like OpenAI's: answers as it is told to, and notices who leaves."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

PATIENCE = 10.0
MODEL = "stand-in-1"
KEY = "the key of a model"
READ, WRITTEN = 300, 120


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of one question: pieces that are streamed, and how that ends."""

    pieces: Sequence[str] = ()
    finish: str = "stop"
    status: int = 200
    retry_after: str | None = None
    cut: bool = False
    stall: bool = False
    tells_usage: bool = True


def stages(*titles: str, **options: Any) -> Answer:
    """An answer with these stages, each of them in a piece of its own."""
    items = [json.dumps({"title": title}, ensure_ascii=False) for title in titles]
    middle = [item if place == 0 else f", {item}" for place, item in enumerate(items)]
    return Answer(['{"stages": [', *middle, "]}"], **options)


@dataclass
class ModelStandIn:
    """Each question gets the next of the `answers`, the last one again and again.

    While it is `slow`, each piece waits until somebody lets it go. `left` counts the clients that
    went away in the middle of a stream.
    """

    answers: deque[Answer] = field(default_factory=deque)
    questions: list[dict[str, Any]] = field(default_factory=list)
    slow: bool = False
    left: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self._permits = asyncio.Semaphore(0)
        self._news = asyncio.Condition()

    @property
    def settings(self) -> dict[str, Any]:
        """What makes a server use this."""
        return {"ai_base_url": self.url, "ai_api_key": KEY, "ai_model": MODEL}

    def let_go(self, pieces: int = 1) -> None:
        """Let so many more pieces leave, of whichever stream."""
        for _ in range(pieces):
            self._permits.release()

    async def wait_for_questions(self, count: int = 1) -> dict[str, Any]:
        """The last question, once there are so many."""
        await self._wait(lambda: len(self.questions) >= count, f"{count} questions")
        return self.questions[count - 1]

    async def wait_until_left(self, count: int = 1) -> None:
        """Until so many clients have gone away in the middle of a stream."""
        await self._wait(lambda: self.left >= count, f"{count} clients to leave")

    async def complete(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _refuse(401)
        question = await request.json()
        assert question["stream"] is True
        async with self._news:
            self.questions.append(question)
            self._news.notify_all()
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.popleft()
        if answer.status != 200:
            return _refuse(answer.status, answer.retry_after)
        try:
            return await self._stream(request, question, answer)
        except (asyncio.CancelledError, ConnectionError):
            async with self._news:
                self.left += 1
                self._news.notify_all()
            raise

    async def list_models(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _refuse(401)
        model = {"id": MODEL, "object": "model", "created": 1, "owned_by": "tests"}
        return web.json_response({"object": "list", "data": [model]})

    async def _stream(
        self, request: web.Request, question: dict[str, Any], answer: Answer
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        # As DeepSeek does while the question waits for its turn.
        await response.write(b": keep-alive\n\n")
        for piece in answer.pieces:
            if self.slow:
                await self._permits.acquire()
            await _send(response, choices=[_choice(content=piece)])
        if answer.stall:
            await asyncio.Event().wait()
        if answer.cut:
            assert request.transport is not None
            request.transport.abort()
            return response
        await _send(response, choices=[_choice(finish=answer.finish)])
        if answer.tells_usage and question["stream_options"]["include_usage"]:
            usage = {"prompt_tokens": READ, "completion_tokens": WRITTEN}
            await _send(response, choices=[], usage=usage | {"total_tokens": READ + WRITTEN})
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _wait(self, happened: Callable[[], bool], what: str) -> None:
        async with self._news:
            try:
                await asyncio.wait_for(self._news.wait_for(happened), PATIENCE)
            except TimeoutError:
                raise AssertionError(f"waited in vain for {what}") from None


@asynccontextmanager
async def run_model() -> AsyncIterator[ModelStandIn]:
    stand_in = ModelStandIn()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", stand_in.complete)
    app.router.add_get("/v1/models", stand_in.list_models)
    # Else a client that leaves is noticed when the next piece is written, and not before.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stand_in.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield stand_in
    finally:
        await runner.cleanup()


async def _send(response: web.StreamResponse, **values: Any) -> None:
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, **values}
    await response.write(f"data: {json.dumps(chunk)}\n\n".encode())


def _choice(*, content: str | None = None, finish: str | None = None) -> dict[str, Any]:
    delta = {"role": "assistant", "content": content} if content is not None else {}
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _refuse(status: int, retry_after: str | None = None) -> web.Response:
    error = {"message": "no", "type": "error", "param": None, "code": str(status)}
    headers = {"Retry-After": retry_after} if retry_after is not None else {}
    return web.json_response({"error": error}, status=status, headers=headers)
