"""Whoever writes while somebody is being erased: nothing comes back afterwards."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from handlers import NAMESPACES
from server.auth import Identity
from server.blobs import Blobs
from server.calls import Request, perform, validate
from server.context import Caller, Context
from server.contract import by_name
from server.errors import Error, NotFound
from storage import accounts, uploads
from storage.accounts import Role
from storage.uploads import Upload
from tests.client import Client, Refused
from tests.files import fill_form, list_traces, post
from tests.instance import Instance, Person
from tests.leavers import FOR_EVER, erase, finish, leave, wait_for_first_round
from tests.security.planted import plant
from tests.stand_ins.waiting import eventually
from tests.talks import message, start_talk
from tests.traces import begin_ids, check_streams, find_number, find_words

WORD = plant("text", "anna")
ROUNDS = 8
BUSY = 503
Act = Callable[[], Awaitable[Any]]


async def repeat(act: Act) -> int:
    """As often as it is answered; the refusals end it."""
    done = 0
    with contextlib.suppress(Refused, Error):
        for _ in range(ROUNDS):
            await act()
            done += 1
    return done


@pytest.mark.timeout(120)
@pytest.mark.parametrize("who", ["patient", "psychologist"])
async def test_nothing_that_is_written_meanwhile_comes_back(
    instances: tuple[Instance, Instance], who: str
) -> None:
    server, other = instances
    await begin_ids(server)
    talk = await start_talk(server)
    leaver: Person = getattr(talk, who)
    (stayer,) = (person for person in talk.people if person is not leaver)
    await server.ask(leaver, "/account", "profile:update", {"name": plant("name", "anna")})
    mine, theirs = [await other.connect(one, "/chat", "/mood") for one in (leaver, stayer)]

    def say(device: Client, text: str) -> Act:
        return lambda: device.ask("message:send", message(talk.chat_id, text))

    async def note() -> None:
        await mine.ask("entry:add", {"score": 5, "note": WORD}, namespace="/mood")

    async def rename() -> None:
        await server.ask(leaver, "/account", "profile:update", {"name": plant("name", "anna")})

    async def set_goal() -> None:
        await server.ask(leaver, "/goals", "goal:create", {"title": WORD})

    async def go() -> None:
        await asyncio.sleep(0)
        fresh = await server.sign_in(leaver.email)
        status = BUSY
        while status == BUSY:
            # So many write at once that one may wait in vain for its turn.
            status, _ = await leave(server, fresh, FOR_EVER)
        assert status == 202

    acts = [say(mine, WORD), say(theirs, "Are you there?"), note, rename, set_goal]
    done = await asyncio.gather(*map(repeat, acts), go(), return_exceptions=True)
    assert not [one for one in done if isinstance(one, AssertionError)]
    await wait_for_first_round(server)
    await finish(server, other)

    found = await find_words(server, ["-anna", leaver.email])
    assert not found, "\n".join(found)
    assert not await find_number(server, leaver.id)
    await check_streams(server)
    history = await talk.history(stayer, limit=100)
    for item in history:
        emptied = (item["text"], item["deleted"]) == ("", True)
        assert emptied == (item["sender_id"] == leaver.id)
    chats = await server.ask(stayer, "/chat", "chat:list", {})
    assert [chat["unread"] for chat in chats["items"]] == [0]


async def test_what_a_late_request_writes_is_found_by_the_second_round(server: Instance) -> None:
    """As one that was let in before, and was held up."""
    await begin_ids(server)
    talk = await start_talk(server)
    leaver = talk.patient
    await erase(server, leaver)
    identity = Identity(leaver.id, Role.PATIENT, leaver.session_id, "en")

    async def act(namespace: str, event: str, payload: dict[str, Any]) -> None:
        call = by_name(NAMESPACES)[namespace].events[event]
        request = Request(call, Caller(), identity, validate(call.request, payload))
        await perform(server.runtime, request)

    ref = {"client_ref": str(uuid4())}
    with pytest.raises(NotFound):
        await act("/mood", "entry:add", {"score": 1, "note": WORD})
    with pytest.raises(NotFound):
        await act("/account", "profile:update", {"name": WORD})
    await act("/goals", "goal:create", {"title": WORD, **ref})
    await act("/account", "device:register", {"token": plant("device", "anna"), "platform": "ios"})
    await act("/account", "schedule:update", {"times": ["05:00"], "frequency": "daily"})
    async with Context.open(server.runtime, Caller(user_agent=WORD)) as ctx:
        await accounts.add_session(
            ctx.db, leaver.id, user_agent=WORD, address="", now=ctx.now, lifetime=timedelta(days=7)
        )
    assert len(await find_words(server, ["-anna"])) >= 4

    await finish(server)

    found = await find_words(server, ["-anna"])
    assert not found, "\n".join(found)
    assert not await find_number(server, leaver.id)


class SlowBlobs:
    """Blobs whose bytes come late."""

    def __init__(self, blobs: Blobs, meanwhile: Act) -> None:
        self._blobs = blobs
        self._meanwhile = meanwhile

    async def put(self, *args: Any) -> None:
        await self._meanwhile()
        await self._blobs.put(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)


async def test_a_file_that_was_on_its_way_leaves_nothing(server: Instance) -> None:
    person = await server.add_person()
    other = await server.sign_in(person.email)
    blobs = server.runtime.blobs
    server.runtime.blobs = SlowBlobs(blobs, lambda: erase(server, other))

    await post(server, person, fill_form())

    async def is_clean() -> bool:
        return not await list_traces(server)

    await eventually(is_clean, "nothing of the file")
    server.runtime.blobs = blobs


async def test_who_is_erased_has_no_room_for_files(server: Instance) -> None:
    person = await server.add_person()
    await erase(server, person)
    new = uploads.NewUpload(person.id, "message", "a.png", "image/png", 1, "", 1, 1, "message/x")
    async with Context.open(server.runtime) as ctx:
        assert await uploads.reserve_upload(ctx.db, new, quota=100, now=ctx.now) is None
    async with server.runtime.database.session(write=False) as db:
        assert not list(await db.scalars(select(Upload.id)))
