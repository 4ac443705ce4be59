"""A real server on a real port, and the people who use it."""

import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession, web
from sqlalchemy import update

from handlers import NAMESPACES
from handlers.accounts import people
from jobs.broker import build_brokers
from jobs.scheduler import Scheduler
from jobs.wakes import Wakes
from jobs.worker import Worker
from run import make_runtime
from server.app import DRAIN, build_app
from server.auth import Identity
from server.context import Context
from server.contract import Namespace
from server.runtime import Runtime
from server.settings import Settings
from storage.accounts import Role, User
from tests.backend import Backend
from tests.client import Client, Refused
from tests.compiled import share_compiled

Drain = Callable[[], Awaitable[None]]

_numbers = itertools.count(1)
_hashes: dict[str, str] = {}
PASSWORD = "a password for tests"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account, signed in once."""

    id: int
    email: str
    name: str
    token: str
    refresh_token: str
    session_id: int

    @property
    def identity(self) -> Identity:
        """As the server knows them once they are signed in."""
        return Identity(self.id, Role(self.email.partition(".")[0]), self.session_id, "en")


class Instance:
    """One running server; several may share a backend."""

    def __init__(self, runtime: Runtime, url: str, drain: Drain | None = None) -> None:
        self.runtime = runtime
        self.url = url
        self._drain = drain
        self._clients: list[Client] = []

    async def add_person(
        self, role: Role = Role.PATIENT, name: str = "", *, with_password: bool = False
    ) -> Person:
        """A new account and its first session, without the cost of a password unless asked."""
        number = next(_numbers)
        email = f"{role.value}.{number}@example.com"
        async with Context.open(self.runtime) as ctx:
            user = await people.create_user(ctx, email, role, name or f"Person {number}", None)
            if with_password:
                stored = {"password_hash": await self._hash_once(PASSWORD)}
                await ctx.db.execute(update(User).where(User.id == user.id).values(stored))
        return await self.sign_in(email)

    async def _hash_once(self, password: str) -> str:
        """As it is stored; hashing is slow for good reason."""
        if password not in _hashes:
            _hashes[password] = await self.runtime.passwords.hash(password)
        return _hashes[password]

    async def sign_in(self, email: str) -> Person:
        """One more session of this person."""
        async with Context.open(self.runtime) as ctx:
            session = await people.sign_in_as(ctx, email)
        claims = self.runtime.tokens.read(session.access_token)
        user = session.user
        assert session.refresh_token is not None
        return Person(
            user.id,
            user.email,
            user.name,
            session.access_token,
            session.refresh_token,
            claims.session_id,
        )

    async def connect(
        self,
        person: Person | str,
        *namespaces: str,
        transports: tuple[str, ...] = ("websocket",),
        **auth: Any,
    ) -> Client:
        """A device of this person (or with this token), joined to the namespaces."""
        token = person if isinstance(person, str) else person.token
        client = Client(self.url)
        self._clients.append(client)
        await client.connect(
            namespaces or ("/chat",), {"token": token, **auth}, transports=transports
        )
        return client

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        **options: Any,
    ) -> tuple[int, Any]:
        """One HTTP request: the status and the JSON (or None)."""
        headers = options.pop("headers", {})
        if token is not None:
            headers = {**headers, "Authorization": f"Bearer {token}"}
        async with (
            ClientSession() as session,
            session.request(
                method, self.url + path, json=body, headers=headers, **options
            ) as response,
        ):
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else None

    async def ask(self, person: Person, namespace: str, event: str, payload: Any) -> Any:
        """An event over HTTP: its data, or Refused."""
        _, answer = await self.request(
            "POST", f"/events{namespace}/{event}", payload, token=person.token
        )
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["data"]

    async def connect_pair(self) -> tuple[Person, Person]:
        """A psychologist and a patient with an active relation."""
        psychologist = await self.add_person(Role.PSYCHOLOGIST)
        patient = await self.add_person(Role.PATIENT)
        await self.relate(psychologist, patient)
        return psychologist, patient

    async def relate(self, psychologist: Person, patient: Person) -> None:
        await self.ask(psychologist, "/care", "relation:invite", {"email": patient.email})
        await self.ask(patient, "/care", "relation:accept", {"psychologist_id": psychologist.id})

    async def open_chat(self, psychologist: Person, patient: Person) -> int:
        answer = await self.ask(psychologist, "/chat", "chat:open", {"user_id": patient.id})
        chat_id: int = answer["id"]
        return chat_id

    async def drain(self) -> None:
        """Send everybody elsewhere, as before a stop."""
        assert self._drain is not None
        await self._drain()

    async def close_clients(self) -> None:
        for client in self._clients:
            await client.close()


@asynccontextmanager
async def start_instance(
    backend: Backend,
    *,
    namespaces: Sequence[Namespace] = NAMESPACES,
    jobs: bool = True,
    **changes: Any,
) -> AsyncIterator[Instance]:
    """A server on a free port, with limits switched off unless `changes` say otherwise."""
    place = socket.create_server(("127.0.0.1", 0))
    port = place.getsockname()[1]
    values: dict[str, Any] = {
        "port": port,
        "drain_seconds": 0.2,
        "database_url": backend.database_url,
        "redis_url": backend.redis_url,
        "data_dir": backend.data_dir,
        "rate_limit_scale": 0,
        **changes,
    }
    settings = Settings(_env_file=None, **values)
    runtime = make_runtime(settings)
    share_compiled(runtime.database)
    brokers = build_brokers(runtime.settings)
    app = build_app(
        runtime,
        namespaces,
        [Wakes(runtime, brokers), Worker(runtime, brokers), Scheduler(runtime)] if jobs else [],
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, auto_decompress=False)
    await runner.setup()
    await web.SockSite(runner, place).start()
    instance = Instance(runtime, f"http://127.0.0.1:{port}", app[DRAIN])
    try:
        yield instance
    finally:
        await instance.close_clients()
        await runner.cleanup()
