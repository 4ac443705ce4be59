"""A small namespace whose events show the kernel at work, and a server that has it."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from handlers import NAMESPACES
from server.auth import new_id
from server.context import Context
from server.contract import EVERYONE, Asked, Namespace
from server.delivery import Delivery
from server.dispatch import Dispatch
from server.errors import Error, NotFound
from server.limits import Rate
from server.payload import Change, Nothing, Payload
from server.wire import Wire
from storage import events
from storage.accounts import Role
from storage.many import carry_out
from tests.backend import Backend
from tests.client import Client
from tests.instance import Instance, Person, start_instance

SECRET_TEXT = "marker-4711-of-what-people-write"
DETAIL = "the detail of a bug"
STUCK = 99
"""A number that is never added."""

RATE = Rate(50, per=60)
PLACE = "/trial"

trial = Namespace(PLACE, "Events that show the kernel at work.")


class Thing(Payload):
    number: int
    text: str = ""


class Echo(Payload):
    number: int | None = None
    text: str = ""
    parts: tuple[str, ...] = ()


class Add(Change):
    number: int


class Tell(Change):
    user_ids: list[int]
    text: str = ""


class Later(Payload):
    number: int


thing_added = trial.push("thing:added", Thing, "A thing was added.")
thing_moved = trial.signal("thing:moved", Thing, "A thing moved.")
later = trial.job("trial.later", Later)


@trial.on("echo:get", roles=EVERYONE, rate=RATE, reads=True)
async def echo(ctx: Context, request: Echo) -> Echo:
    """What was asked."""
    return request


@trial.on("slow:get", roles=EVERYONE, rate=RATE, reads=True)
async def get_slowly(ctx: Context, request: Thing) -> Thing:
    """Takes the longer, the smaller the number is."""
    await asyncio.sleep(0.02 / (1 + request.number))
    return request


@trial.on("thing:add", roles=EVERYONE, rate=RATE)
async def add(ctx: Context, request: Add) -> Thing:
    """Tell the person of their own thing."""
    thing = Thing(number=request.number)
    ctx.push(thing_added, thing, to=[ctx.user.id])
    return thing


@trial.on("many:add", roles=EVERYONE, rate=RATE, batch=16)
async def add_many(ctx: Context, asked: Sequence[Asked[Add]]) -> list[Thing | Error]:
    """As above, several at once; negative ones are not found.

    Raises: not_found.
    """
    answers: list[Thing | Error] = []
    for ask in asked:
        if ask.request.number == 13:
            raise RuntimeError(DETAIL)
        if ask.request.number == STUCK:
            await asyncio.Event().wait()
        if ask.request.number < 0:
            answers.append(NotFound())
            continue
        thing = Thing(number=ask.request.number)
        ctx.push(thing_added, thing, to=[ask.user.id])
        answers.append(thing)
    return answers


@trial.on("thing:break", roles=EVERYONE, rate=RATE)
async def break_after_push(ctx: Context, request: Tell) -> Nothing:
    """Promise much, then fail."""
    ctx.push(thing_added, Thing(number=1, text=request.text), to=request.user_ids)
    ctx.signal(thing_moved, Thing(number=1), to=request.user_ids)
    ctx.enqueue(later, Later(number=1))
    ctx.audit("trial.broken")
    raise RuntimeError(DETAIL)


@trial.on("thing:read", roles=EVERYONE, rate=RATE, reads=True)
async def push_while_reading(ctx: Context, request: Nothing) -> Nothing:
    """Change something in spite of reads=True."""
    ctx.push(thing_added, Thing(number=1), to=[ctx.user.id])
    return Nothing()


@trial.on("thing:rare", roles=EVERYONE, rate=Rate(2, per=60), reads=True)
async def be_rare(ctx: Context, request: Nothing) -> Nothing:
    """Not often."""
    return Nothing()


@trial.on("thing:guard", roles=frozenset({Role.ADMIN}), rate=RATE, reads=True)
async def guard(ctx: Context, request: Nothing) -> Nothing:
    """For admins."""
    return Nothing()


def start_trial(backend: Backend, **changes: Any) -> AbstractAsyncContextManager[Instance]:
    """A server that has the small namespace too, and no jobs in the background."""
    return start_instance(backend, namespaces=[*NAMESPACES, trial], jobs=False, **changes)


async def tell(server: Instance, people: Sequence[Person], *numbers: int, text: str = "") -> None:
    """Push these numbers, each in a transaction of its own."""
    for number in numbers:
        async with Context.open(server.runtime) as ctx:
            ctx.push(thing_added, Thing(number=number, text=text), to=[p.id for p in people])


async def signal(server: Instance, people: Sequence[Person], number: int) -> None:
    async with Context.open(server.runtime) as ctx:
        ctx.signal(thing_moved, Thing(number=number), to=[p.id for p in people])


async def log_silently(server: Instance, person: Person, *numbers: int) -> list[events.Logged]:
    """Write to the log what the bus will never tell."""
    async with server.runtime.database.session(write=True) as db:
        pushes = [
            events.Push(person.id, PLACE, "thing:added", Thing(number=n).model_dump_json())
            for n in numbers
        ]
        at = server.runtime.clock()
        (heads,) = await carry_out(db, [events.append_events(pushes, at)])
        await db.commit()
    return [
        events.Logged(push.user_id, push.namespace, seq, push.event, push.data, at)
        for push, seq in zip(pushes, events.number_events(pushes, heads), strict=True)
    ]


def token_of(server: Instance, person: Person, *, seconds: float) -> str:
    """One more token of this sign-in, good for so many seconds from now."""
    tokens = server.runtime.tokens
    return tokens.issue(
        user_id=person.id,
        role=Role.PATIENT,
        session_id=person.session_id,
        at=server.runtime.clock() + timedelta(seconds=seconds) - tokens.lifetime,
        jti=new_id(),
    )


def numbers(client: Client) -> list[int]:
    """The things this device was told of, after making sure that no seq was told out of order."""
    pushes = client.pushes(PLACE)
    seqs = [told.seq for told in pushes]
    assert seqs == list(range(seqs[0] or 0, (seqs[0] or 0) + len(seqs))) if seqs else True
    return [told.data["number"] for told in pushes]


def delivery_of(server: Instance) -> Delivery:
    listener = server.runtime.bus._listener  # type: ignore[attr-defined]
    assert isinstance(listener, Delivery)
    return listener


def dispatch_of(server: Instance) -> Dispatch:
    transport = delivery_of(server)._transport
    assert transport is not None
    assert isinstance(transport._door, Dispatch)
    return transport._door


def wires_of(server: Instance) -> dict[str, Wire]:
    transport = delivery_of(server)._transport
    assert transport is not None
    return transport.engine.sockets


async def wait_for_bus(*servers: Instance) -> None:
    """Until each of them hears the others, and they know of it."""
    for server in servers:
        await wait_until(lambda server=server: server.runtime.bus.healthy, "the bus is up")


async def wait_until(condition: Any, what: str, patience: float = 10) -> None:
    """For what brings no event of its own: look again until it is so."""
    try:
        async with asyncio.timeout(patience):
            while True:
                found = condition()
                if asyncio.iscoroutine(found):
                    found = await found
                if found:
                    return
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"it never came to this: {what}") from None
