"""OpenID Connect: the authorization code flow with PKCE and nonce, against any provider."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import aiohttp
import jwt

from server.errors import BadCredentials, Unavailable
from server.services import Attempt, Person
from server.settings import Settings

TIMEOUT = aiohttp.ClientTimeout(total=10)
DOCUMENT_LIFETIME = timedelta(hours=1)
LEEWAY = 30
ALGORITHMS = ["RS256", "ES256"]


class Provider:
    """One OpenID provider, found through its discovery document."""

    def __init__(self, issuer: str, client_id: str, client_secret: str) -> None:
        self.issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._documents: dict[str, tuple[datetime, dict[str, Any]]] = {}

    async def authorization_url(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where to send the person. Raises: Unavailable."""
        configuration = await self._discover()
        digest = hashlib.sha256(attempt.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid email profile",
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return f"{configuration['authorization_endpoint']}?{urlencode(query)}"

    async def fetch_person(self, attempt: Attempt, code: str, redirect_uri: str) -> Person:
        """Trade the code for an identity token and check it.

        Raises: BadCredentials when the provider or the token says no, Unavailable.
        """
        configuration = await self._discover()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self._client_id,
            "client_secret": self._client_secret,
            "code_verifier": attempt.verifier,
        }
        answer = await _request("POST", configuration["token_endpoint"], data=form)
        claims = await self._verify(str(answer.get("id_token", "")), configuration["jwks_uri"])
        if claims.get("nonce") != attempt.nonce:
            raise BadCredentials
        return Person(
            subject=claims["sub"],
            email=str(claims.get("email", "")).lower(),
            email_verified=claims.get("email_verified") is True,
            name=str(claims.get("name", "")),
        )

    async def _verify(self, token: str, jwks_uri: str) -> dict[str, Any]:
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = await self._find_key(jwks_uri, key_id)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._client_id,
                issuer=self.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except jwt.PyJWTError:
            raise BadCredentials from None
        return claims

    async def _find_key(self, uri: str, key_id: str | None) -> jwt.PyJWK:
        for fresh in (False, True):
            # Providers rotate their keys: an unknown one is looked up once more.
            keys = jwt.PyJWKSet.from_dict(await self._fetch(uri, fresh=fresh)).keys
            for key in keys:
                if key_id is None or key.key_id == key_id:
                    return key
        raise BadCredentials

    async def _discover(self) -> dict[str, Any]:
        configuration = await self._fetch(f"{self.issuer}/.well-known/openid-configuration")
        if configuration.get("issuer") != self.issuer:
            raise Unavailable(retry_after=60)
        return configuration

    async def _fetch(self, uri: str, *, fresh: bool = False) -> dict[str, Any]:
        kept = self._documents.get(uri)
        if kept and not fresh and datetime.now(UTC) - kept[0] < DOCUMENT_LIFETIME:
            return kept[1]
        document = await _request("GET", uri)
        self._documents[uri] = (datetime.now(UTC), document)
        return document


async def _request(method: str, url: str, **options: Any) -> dict[str, Any]:
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.request(method, url, **options) as response,
        ):
            if 400 <= response.status < 500:
                raise BadCredentials
            response.raise_for_status()
            document = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError):
        raise Unavailable(retry_after=5) from None
    if not isinstance(document, dict):
        raise Unavailable(retry_after=5)
    return document


def build_google(settings: Settings) -> Provider | None:
    """The provider that the settings name, if they do."""
    if not settings.google_client_id:
        return None
    secret = settings.google_client_secret.get_secret_value()
    return Provider(settings.google_issuer, settings.google_client_id, secret)
