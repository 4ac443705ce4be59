"""An OpenID provider over HTTP, as strict as a real one, that can be told to misbehave."""

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlencode

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

CLIENT_ID = "emotrack-client"
CLIENT_SECRET = "a secret between the two"


@cache
def make_key(name: str) -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(slots=True)
class Account:
    """Somebody who is signed in at the provider."""

    sub: str
    email: str
    email_verified: bool = True
    name: str = "Somebody"


class OpenIdStandIn:
    def __init__(self) -> None:
        self.issuer = ""
        self.account = Account("subject-1", "somebody@example.com")
        self.lies: dict[str, Any] = {}
        """Claims to put into the next identity tokens in place of the true ones."""
        self.signed_with = self.published = "first"
        self.failing: int | None = None
        """What the token endpoint answers instead of a token."""
        self.consents = True
        self._codes: dict[str, dict[str, str]] = {}

    def rotate(self) -> None:
        """Sign with a new key, and publish it alone."""
        self.signed_with = self.published = "second"

    def forge(self) -> None:
        """Sign with a key that nobody knows, under the name of the known one."""
        self.signed_with = "forged"

    def attach(self, app: web.Application) -> None:
        app.router.add_get("/.well-known/openid-configuration", self._describe)
        app.router.add_get("/keys", self._show_keys)
        app.router.add_get("/authorize", self._authorize)
        app.router.add_post("/token", self._trade)

    async def _describe(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
        )

    async def _show_keys(self, request: web.Request) -> web.Response:
        key = RSAAlgorithm.to_jwk(make_key(self.published).public_key(), as_dict=True)
        return web.json_response({"keys": [{**key, "kid": self.published, "use": "sig"}]})

    async def _authorize(self, request: web.Request) -> web.Response:
        """The consent page, where the person has clicked already."""
        asked = dict(request.query)
        right = (
            asked.get("response_type") == "code"
            and asked.get("client_id") == CLIENT_ID
            and {"openid", "email"} <= set(asked.get("scope", "").split())
            and asked.get("code_challenge_method") == "S256"
            and all(asked.get(name) for name in ("state", "nonce", "code_challenge"))
        )
        if not right:
            return web.Response(status=400)
        answer = {"state": asked["state"], "iss": self.issuer}
        if self.consents:
            answer["code"] = secrets.token_urlsafe(16)
            self._codes[answer["code"]] = asked
        else:
            answer["error"] = "access_denied"
        back = f"{asked['redirect_uri']}?{urlencode(answer)}"
        return web.Response(status=302, headers={"Location": back})

    async def _trade(self, request: web.Request) -> web.Response:
        """A code for a token: once, to the one who asked for it, with the verifier."""
        if self.failing is not None:
            return web.json_response({"error": "server_error"}, status=self.failing)
        form = {name: str(value) for name, value in (await request.post()).items()}
        asked = self._codes.pop(form.get("code", ""), None)
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return web.json_response({"error": "invalid_client"}, status=401)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        right = (
            asked is not None
            and form.get("grant_type") == "authorization_code"
            and form.get("redirect_uri") == asked["redirect_uri"]
            and challenge == asked["code_challenge"]
        )
        if asked is None or not right:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response({"token_type": "Bearer", "id_token": self._sign(asked["nonce"])})

    def _sign(self, nonce: str) -> str:
        now = datetime.now(UTC)
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": self.account.sub,
            "email": self.account.email,
            "email_verified": self.account.email_verified,
            "name": self.account.name,
            "nonce": nonce,
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(minutes=5)).timestamp()),
            **self.lies,
        }
        told = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": self.published}
        return jwt.encode(told, make_key(self.signed_with), "RS256", headers=headers)


@asynccontextmanager
async def run_openid() -> AsyncIterator[OpenIdStandIn]:
    openid = OpenIdStandIn()
    app = web.Application()
    openid.attach(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    openid.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield openid
    finally:
        await runner.cleanup()
