"""Unread counters equal a recount of the rows, whatever two people do and from wherever."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from storage.chat import Chat, Message
from tests.client import Client, Refused
from tests.instance import Instance, Person
from tests.stand_ins.waiting import hurry, settled
from tests.talks import Talk, fence, message, start_talk

DEVICES = 2
FAR = 6
EXPECTED = {"not_found", "forbidden", "gone"}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that one of the two does on one of their devices."""

    kind: str
    who: int
    device: int
    back: int
    """How far from the end the message is that this is about."""


KINDS = ["send"] * 4 + ["read"] * 3 + ["delete"] * 2 + ["delivered", "edit", "reconnect"]
steps = st.builds(
    Step,
    kind=st.sampled_from(KINDS),
    who=st.integers(0, 1),
    device=st.integers(0, DEVICES - 1),
    back=st.integers(0, FAR),
)
moments = st.lists(steps, min_size=1, max_size=4)
"""What happens at the same time."""


class Scene:
    """Two people with several devices each, in one chat."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.devices: dict[tuple[int, int], Client] = {}
        self.sent: tuple[list[int], list[int]] = ([], [])

    async def connect(self, who: int, place: int) -> None:
        if (who, place) in self.devices:
            await self.devices.pop((who, place)).close()
        device = await self.talk.server.connect(self.talk.people[who])
        await device.wait_for("unread:changed")
        self.devices[who, place] = device

    async def live(self, moment: Sequence[Step]) -> None:
        """Do all this at once; a person's device comes back when nobody is speaking through it."""
        speaking = [step for step in moment if step.kind != "reconnect"]
        answers = await asyncio.gather(*map(self.act, speaking))
        for step in moment:
            if step.kind == "reconnect":
                await self.connect(step.who, step.device)
        for step, answer in zip(speaking, answers, strict=True):
            if step.kind == "read" and len(speaking) == 1:
                count = await self.recount(self.talk.people[step.who])
                assert (answer["unread"], answer["total_unread"]) == (count, count)

    async def act(self, step: Step) -> Any:
        device, chat_id = self.devices[step.who, step.device], self.talk.chat_id
        if step.kind == "send":
            sent = await device.ask("message:send", message(chat_id))
            self.sent[step.who].append(sent["seq"])
            return sent
        payload: dict[str, Any] = {"chat_id": chat_id, "seq": self.find(step)}
        if step.kind == "edit":
            payload["text"] = "Edited"
        try:
            return await device.ask(f"message:{step.kind}", payload)
        except Refused as error:
            if error.code not in EXPECTED:
                raise

    def find(self, step: Step) -> int:
        """One of the last messages: anybody's to read, one's own to change."""
        changes = step.kind in ("edit", "delete")
        seqs = sorted(self.sent[step.who] if changes else [*self.sent[0], *self.sent[1]])
        return seqs[-1 - step.back % len(seqs)] if seqs else 1

    async def recount(self, person: Person) -> int:
        """Messages of the other person beyond the read marker, not deleted."""
        async with self.talk.server.runtime.database.session(write=False) as db:
            chat = await db.get_one(Chat, self.talk.chat_id)
            place = chat.find_place(person.id)
            assert place is not None
            rows = await db.scalars(select(Message).where(Message.chat_id == self.talk.chat_id))
            count = sum(
                row.sender_id != person.id and row.seq > place.read_seq and not row.deleted
                for row in rows
            )
        assert place.unread == count, "the stored counter"
        assert place.delivered_seq >= place.read_seq
        return count

    async def check(self) -> None:
        for (who, _), device in self.devices.items():
            person = self.talk.people[who]
            count = await self.recount(person)
            chats = [{"chat_id": self.talk.chat_id, "unread": count}] if count else []
            expected = {"total": count, "chats": chats}

            await fence(device)
            await device.wait_for_last("unread:changed", expected)
            assert await device.ask("unread:get") == expected
            (listed,) = (await device.ask("chat:list"))["items"]
            assert listed["unread"] == count
            told = [told.data for told in device.pushes() if told.event == "message:read"]
            mine = [data for data in told if data["user_id"] == person.id]
            assert [data["seq"] for data in mine] == sorted({data["seq"] for data in mine})
            await settled(self.talk.server)
            notes = await self.talk.server.ask(
                person, "/notifications", "notification:list", {"unread": True}
            )
            assert notes["total"] == (1 if count else 0)

    async def close(self) -> None:
        await asyncio.gather(*(device.close() for device in self.devices.values()))


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # an example is short as it is, and shrinking it takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(life=st.lists(moments, min_size=4, max_size=12))
async def test_unread_counters_equal_a_recount(
    server: Instance, monkeypatch: pytest.MonkeyPatch, life: list[list[Step]]
) -> None:
    hurry(monkeypatch)
    scene = Scene(await start_talk(server))
    places = [(who, place) for who in range(2) for place in range(DEVICES)]
    await asyncio.gather(*(scene.connect(*place) for place in places))

    for moment in life:
        await scene.live(moment)
        await scene.check()

    await scene.close()
