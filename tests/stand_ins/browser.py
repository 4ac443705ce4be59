"""A browser: one HTTP client that keeps its cookies and shows whole answers."""

import json
from dataclasses import dataclass
from http.cookies import SimpleCookie
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientSession, CookieJar
from multidict import CIMultiDictProxy
from yarl import URL


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str
    headers: CIMultiDictProxy[str]
    cookies: SimpleCookie

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """The code of an error."""
        return str(self.body["error"]["code"])


class Browser:
    """Redirects are not followed but shown."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = ClientSession(cookie_jar=CookieJar(unsafe=True))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def send(
        self,
        method: str,
        place: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Ask for a path of the server, or for a whole URL elsewhere."""
        url = self._url + place if place.startswith("/") else place
        signed = {"Authorization": f"Bearer {token}"} if token else {}
        async with self._session.request(
            method, url, json=body, headers={**signed, **(headers or {})}, allow_redirects=False
        ) as response:
            return Answer(
                response.status, await response.text(), response.headers, response.cookies
            )

    def cookies(self, path: str) -> dict[str, str]:
        """What would be sent to this path of the server."""

        kept = self._session.cookie_jar.filter_cookies(URL(self._url + path))
        return {name: morsel.value for name, morsel in kept.items()}
