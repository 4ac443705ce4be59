"""A snapshot and the pushes that follow it are the next snapshot, for everybody."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from storage.accounts import Role
from tests.client import Client, Refused
from tests.instance import Instance, Person
from tests.snapshots import (
    Snapshot,
    chats_snapshot,
    feed_snapshot,
    fold,
    relations_snapshot,
)
from tests.stand_ins.waiting import settled
from tests.talks import fence

ACTIONS = 150
EXPECTED = {"not_found", "forbidden", "chat_closed", "gone"}
"""What a random action may be answered; anything else is a mistake."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """A device that took a snapshot of everything and hears of every change."""

    person: Person
    device: Client

    async def ask(self, namespace: str, event: str, payload: Any = None) -> Any:
        return await self.device.ask(event, payload or {}, namespace=namespace)

    async def look(self) -> dict[str, Snapshot]:
        page = {"limit": 100}
        chats = await self.ask("/chat", "chat:list", page)
        histories = {
            chat["id"]: (
                await self.ask("/chat", "message:history", {"chat_id": chat["id"], **page})
            )["items"]
            for chat in chats["items"]
        }
        return {
            "/chat": chats_snapshot(chats, histories),
            "/care": relations_snapshot(await self.ask("/care", "relation:list", page)),
            "/notifications": feed_snapshot(
                await self.ask("/notifications", "notification:list", page),
                await self.ask("/notifications", "unread:get"),
            ),
        }


@dataclass(frozen=True, slots=True)
class World:
    """Two psychologists and two patients who do whatever comes to their minds."""

    server: Instance
    psychologists: list[Person]
    patients: list[Person]
    chance: random.Random

    @property
    def people(self) -> list[Person]:
        return [*self.psychologists, *self.patients]

    async def act(self) -> None:
        actions = [self.write] * 6 + [self.move] * 4 + [self.change] * 3
        actions += [self.relate, self.open, self.open, self.read_notifications]
        try:
            await self.chance.choice(actions)()
        except Refused as error:
            if error.code not in EXPECTED:
                raise

    async def relate(self) -> None:
        one, other = self.chance.choice(self.psychologists), self.chance.choice(self.patients)
        kind = self.chance.choice(["invite"] * 3 + ["accept"] * 3 + ["decline", "end"])
        if kind == "invite":
            await self._ask(one, "/care", "relation:invite", email=other.email)
        elif kind == "end":
            await self._ask(one, "/care", "relation:end", user_id=other.id)
        else:
            await self._ask(other, "/care", f"relation:{kind}", psychologist_id=one.id)

    async def open(self) -> None:
        one, other = self.chance.choice(self.psychologists), self.chance.choice(self.patients)
        await self._ask(one, "/chat", "chat:open", user_id=other.id)

    async def write(self) -> None:
        person, chat_id, _ = await self._pick()
        text = f"{self.chance.random()}"
        await self._ask(person, "/chat", "message:send", chat_id=chat_id, text=text)

    async def move(self) -> None:
        person, chat_id, seq = await self._pick()
        event = self.chance.choice(["message:read", "message:delivered"])
        await self._ask(person, "/chat", event, chat_id=chat_id, seq=seq)

    async def change(self) -> None:
        person, chat_id, seq = await self._pick()
        if self.chance.random() < 0.5:
            await self._ask(person, "/chat", "message:delete", chat_id=chat_id, seq=seq)
        else:
            text = f"edited {self.chance.random()}"
            await self._ask(person, "/chat", "message:edit", chat_id=chat_id, seq=seq, text=text)

    async def read_notifications(self) -> None:
        person = self.chance.choice(self.people)
        listed = await self.server.ask(person, "/notifications", "notification:list", {})
        if listed["items"] and self.chance.random() < 0.8:
            note = self.chance.choice(listed["items"])
            wanted = {"notification_id": note["id"]}
            await self._ask(person, "/notifications", "notification:read", **wanted)
        else:
            await self._ask(person, "/notifications", "notification:read_all")

    async def _pick(self) -> tuple[Person, int, int]:
        """Somebody, one of their chats, and a message in it."""
        person = self.chance.choice(self.people)
        listed = await self.server.ask(person, "/chat", "chat:list", {})
        if not listed["items"]:
            return person, 999_999, 1
        chat = self.chance.choice(listed["items"])
        return person, chat["id"], max(1, chat["last_seq"] - self.chance.randint(0, 5))

    async def _ask(self, person: Person, namespace: str, event: str, **payload: Any) -> None:
        payload["client_ref"] = str(uuid4())
        await self.server.ask(person, namespace, event, payload)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_snapshot_and_what_is_told_make_the_next_snapshot(
    server: Instance, seed: int
) -> None:
    world = await make_world(server, seed)
    for _ in range(10):
        await world.act()
    await settled(server)
    watchers = [Watcher(person, await connect(server, person)) for person in world.people]
    before = [await watcher.look() for watcher in watchers]

    for _ in range(ACTIONS):
        await world.act()
    await settled(server)

    happened: set[str] = set()
    for watcher, snapshots in zip(watchers, before, strict=True):
        after = await watcher.look()
        for namespace, snapshot in snapshots.items():
            await fence_in(watcher, namespace)
            told = watcher.device.pushes(namespace)
            happened |= {one.event for one in told}
            folded = fold(snapshot, told, watcher.person.id)
            assert folded == after[namespace], f"{namespace} of {watcher.person.email}"
    assert {"message:created", "message:read", "notification:created"} <= happened


async def make_world(server: Instance, seed: int) -> World:
    psychologists = [await server.add_person(Role.PSYCHOLOGIST) for _ in range(2)]
    patients = [await server.add_person() for _ in range(2)]
    for psychologist, patient in zip(psychologists, patients, strict=True):
        await server.relate(psychologist, patient)
        await server.open_chat(psychologist, patient)
    return World(server, psychologists, patients, random.Random(seed))


async def connect(server: Instance, person: Person) -> Client:
    return await server.connect(person, "/chat", "/care", "/notifications")


async def fence_in(watcher: Watcher, namespace: str) -> None:
    """Everything told before `look` was answered has come; nothing has happened since."""
    fences: dict[str, Callable[[], Awaitable[Any]]] = {
        "/care": lambda: watcher.ask("/care", "relation:list"),
    }
    await fences.get(namespace, lambda: fence(watcher.device, namespace))()
