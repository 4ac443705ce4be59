"""FCM's HTTP v1 API, with Google's token endpoint: checks what it gets, answers its real errors."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PATIENCE = 10.0
PROJECT = "emotrack-test"
ERROR_TYPE = "type.googleapis.com/google.firebase.fcm.v1.FcmError"

Message = dict[str, Any]

ERRORS: dict[str, tuple[int, str, str]] = {
    "unregistered": (404, "NOT_FOUND", "UNREGISTERED"),
    "invalid": (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    "mismatch": (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    "quota": (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    "internal": (500, "INTERNAL", "INTERNAL"),
    "unavailable": (503, "UNAVAILABLE", "UNAVAILABLE"),
    "apns": (401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
}
"""What FCM answers: status, code, and FCM's own code."""


class FcmStandIn:
    """Pushes arrive in `sent`. `errors` names by token what is wrong with it."""

    def __init__(self, folder: Path) -> None:
        self.sent: list[Message] = []
        self.attempts: list[str] = []
        self.errors: dict[str, str] = {}
        self.retry_after = 7
        self.may_pass = asyncio.Event()
        self.may_pass.set()
        self.tokens_may_pass = asyncio.Event()
        self.tokens_may_pass.set()
        self.credentials = folder / "firebase.json"
        self.url = ""
        self._news = asyncio.Condition()

    @property
    def settings(self) -> dict[str, Any]:
        """What makes a server use this."""
        return {"firebase_credentials": self.credentials, "fcm_url": self.url}

    def attach(self, url: str) -> None:
        self.url = url
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "1",
            "private_key": _private_key(),
            "client_email": f"push@{PROJECT}.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"{url}/token",
        }
        self.credentials.write_text(json.dumps(account))

    def find(self, token: str) -> list[Message]:
        return [message for message in self.sent if message["token"] == token]

    async def wait_for(self, count: int = 1) -> list[Message]:
        """The pushes, once there are so many."""
        await self._wait(lambda: len(self.sent) >= count, f"{count} pushes")
        return self.sent

    async def wait_for_attempts(self, count: int = 1) -> None:
        """Until so many were tried, whatever came of it."""
        await self._wait(lambda: len(self.attempts) >= count, f"{count} attempts")

    async def give_token(self, request: web.Request) -> web.Response:
        form = await request.post()
        await self.tokens_may_pass.wait()
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        answer = {"access_token": "let me in", "expires_in": 3600, "token_type": "Bearer"}
        return web.json_response(answer)

    async def take(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer let me in":
            return _refuse("apns")
        message: Message = (await request.json())["message"]
        async with self._news:
            self.attempts.append(message["token"])
            self._news.notify_all()
        await self.may_pass.wait()
        if error := self.errors.get(message["token"]) or _find_fault(message):
            return _refuse(error, retry_after=self.retry_after)
        async with self._news:
            self.sent.append(message)
            self._news.notify_all()
        return web.json_response({"name": f"projects/{PROJECT}/messages/{len(self.sent)}"})

    async def _wait(self, happened: Callable[[], bool], what: str) -> None:
        async with self._news:
            try:
                await asyncio.wait_for(self._news.wait_for(happened), PATIENCE)
            except TimeoutError:
                raise AssertionError(f"waited in vain for {what}") from None


@asynccontextmanager
async def run_fcm(folder: Path) -> AsyncIterator[FcmStandIn]:
    stand_in = FcmStandIn(folder)
    app = web.Application()
    app.router.add_post("/token", stand_in.give_token)
    app.router.add_post(f"/v1/projects/{PROJECT}/messages:send", stand_in.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stand_in.attach(f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        yield stand_in
    finally:
        stand_in.may_pass.set()
        stand_in.tokens_may_pass.set()
        await runner.cleanup()


def _find_fault(message: Message) -> str | None:
    """What FCM itself would refuse: a wrong shape, data that is no text, keys that are too long."""
    known = {"token", "notification", "data", "android", "apns", "webpush"}
    is_text = all(isinstance(value, str) for value in message.get("data", {}).values())
    collapse = message.get("apns", {}).get("headers", {}).get("apns-collapse-id", "")
    topic = message.get("webpush", {}).get("headers", {}).get("Topic", "")
    if set(message) - known or not is_text or len(collapse) > 64 or len(topic) > 32:
        return "invalid"
    return None


def _refuse(error: str, *, retry_after: int | None = None) -> web.Response:
    status, code, fcm_code = ERRORS[error]
    detail = {"@type": ERROR_TYPE, "errorCode": fcm_code}
    headers = {"Retry-After": str(retry_after)} if status == 429 else {}
    body = {"error": {"code": status, "status": code, "message": code, "details": [detail]}}
    return web.json_response(body, status=status, headers=headers)


@cache
def _private_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
