"""Two people with a chat, and what tests of chats have in common."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests.client import PATIENCE, Client, Refused
from tests.instance import Instance, Person


@dataclass(frozen=True, slots=True)
class Talk:
    """An open chat of a pair."""

    server: Instance
    psychologist: Person
    patient: Person
    chat_id: int

    @property
    def people(self) -> tuple[Person, Person]:
        return self.psychologist, self.patient

    async def send(self, sender: Person, text: str = "Hello!") -> Any:
        """Send a message over HTTP."""
        return await self.ask(sender, "message:send", client_ref=str(uuid4()), text=text)

    async def ask(self, person: Person, event: str, **payload: Any) -> Any:
        """Ask something about this chat over HTTP."""
        return await self.server.ask(person, "/chat", event, {"chat_id": self.chat_id, **payload})

    async def history(self, person: Person, **wanted: Any) -> list[Any]:
        answer = await self.ask(person, "message:history", **wanted)
        items: list[Any] = answer["items"]
        return items


async def start_talk(server: Instance) -> Talk:
    psychologist, patient = await server.connect_pair()
    return Talk(server, psychologist, patient, await server.open_chat(psychologist, patient))


async def add_talk(talk: Talk, patient: Person) -> Talk:
    """One more patient, and chat, of the same psychologist."""
    await talk.server.relate(talk.psychologist, patient)
    chat_id = await talk.server.open_chat(talk.psychologist, patient)
    return Talk(talk.server, talk.psychologist, patient, chat_id)


def message(chat_id: int, text: str = "Hello!", *, ref: str = "") -> dict[str, Any]:
    return {"chat_id": chat_id, "client_ref": ref or str(uuid4()), "text": text}


async def refusal(asking: Awaitable[Any]) -> str:
    """The code of the error that this is answered with."""
    with pytest.raises(Refused) as caught:
        await asking
    return caught.value.code


async def fence(device: Client, namespace: str = "/chat") -> None:
    """Until the device has heard whatever was told before this moment on its instance."""
    await device.ask("unread:get", namespace=namespace)


async def eventually(look: Callable[[], Awaitable[Any]]) -> Any:
    """What `look` finds, where nothing tells when to look."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await look()):  # noqa: ASYNC110 - what is outside tells nobody
            await asyncio.sleep(0.02)
    return found
