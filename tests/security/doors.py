"""The two ways to ask: an event over a socket, and the same event over HTTP."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aiohttp import ClientSession

from handlers import NAMESPACES
from server.errors import Error
from tests.client import Client, Refused
from tests.instance import Instance, Person
from tests.server.raw import RawSocket

PLACES = tuple(namespace.name for namespace in NAMESPACES)


class Door(Protocol):
    async def ask(self, person: Person | None, namespace: str, event: str, payload: Any) -> Any:
        """The whole answer, `data` or `error`, for a person or for nobody in particular."""
        ...


class Sockets:
    """One device for each person, and a connection on which nobody signed in."""

    def __init__(self, devices: dict[int, Client], nobody: RawSocket) -> None:
        self.devices = devices
        self._nobody = nobody
        self._asked = 0

    async def ask(self, person: Person | None, namespace: str, event: str, payload: Any) -> Any:
        if person is None:
            self._asked += 1
            return await self._nobody.ask(namespace, self._asked, event, json.dumps(payload))
        try:
            return {"data": await self.devices[person.id].ask(event, payload, namespace=namespace)}
        except Refused as refused:
            return {"error": refused.error}


class Http:
    """Requests of their own, over connections that are kept."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def ask(self, person: Person | None, namespace: str, event: str, payload: Any) -> Any:
        url = f"{self._url}/events{namespace}/{event}"
        headers = {} if person is None else {"Authorization": f"Bearer {person.token}"}
        async with self._session.post(url, json=payload, headers=headers) as response:
            answer = await response.json()
            expected = Error.known[answer["error"]["code"]].status if "error" in answer else 200
            assert response.status == expected
            return answer


@asynccontextmanager
async def open_door(kind: str, server: Instance, devices: dict[int, Client]) -> AsyncIterator[Door]:
    if kind == "http":
        async with ClientSession() as session:
            yield Http(session, server.url)
    else:
        async with RawSocket.open(server.url) as nobody:
            yield Sockets(devices, nobody)
