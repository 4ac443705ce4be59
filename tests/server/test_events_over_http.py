"""Every event, and every stream, for callers without a socket."""

import asyncio
from typing import Any

import pytest

from server import delivery
from server.context import Context
from storage import events
from tests.instance import Instance, Person
from tests.server.trial import (
    DETAIL,
    PLACE,
    delivery_of,
    log_silently,
    signal,
    tell,
    token_of,
    wait_until,
)

STREAM = f"/events{PLACE}"


async def read(kernel: Instance, person: Person, query: str = "") -> dict[str, Any]:
    status, body = await kernel.request("GET", f"{STREAM}?{query}", token=person.token)
    assert status == 200
    assert list(body) == ["data"]
    assert list(body["data"]) == ["items", "head", "epoch", "reset"]
    return dict(body["data"])


async def post(kernel: Instance, person: Person, event: str, **options: Any) -> tuple[int, Any]:
    return await kernel.request("POST", f"{STREAM}/{event}", token=person.token, **options)


async def test_an_event_is_answered_as_on_the_socket(kernel: Instance, person: Person) -> None:
    client = await kernel.connect(person, PLACE)
    for event in ("thing:add", "many:add"):
        status, body = await post(kernel, person, event, body={"number": 5})
        assert (status, body) == (200, {"data": {"number": 5, "text": ""}})
    await client.wait_for("thing:added", namespace=PLACE, count=2)


@pytest.mark.parametrize(
    ("event", "body", "status", "code"),
    [
        ("echo:get", {"unknown": 1}, 422, "invalid"),
        ("echo:get", [], 422, "invalid"),
        ("many:add", {}, 422, "invalid"),
        ("many:add", {"number": -1}, 404, "not_found"),
        ("many:add", {"number": 13}, 500, "internal"),
        ("thing:break", {"user_ids": []}, 500, "internal"),
        ("thing:guard", {}, 403, "forbidden"),
        ("echo:gone", {}, 404, "unknown_event"),
        ("connect", {}, 404, "unknown_event"),
        ("token:refresh", {}, 404, "unknown_event"),
    ],
)
async def test_errors_are_those_of_the_socket(
    kernel: Instance, person: Person, event: str, body: object, status: int, code: str
) -> None:
    answered, answer = await post(kernel, person, event, body=body)
    assert (answered, answer["error"]["code"]) == (status, code)
    assert DETAIL not in str(answer)


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 422, "invalid"),
        ({"data": b"\xff", "headers": {"Content-Type": "application/json"}}, 422, "invalid"),
        ({"data": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "unsupported_type"),
        (
            {"data": b'"' + b"x" * 300_000 + b'"', "headers": {"Content-Type": "application/json"}},
            413,
            "too_large",
        ),
    ],
)
async def test_a_body_that_is_none_is_refused(
    kernel: Instance, person: Person, options: dict[str, Any], status: int, code: str
) -> None:
    answered, answer = await post(kernel, person, "echo:get", body=None, **options)
    assert (answered, answer["error"]["code"]) == (status, code)


async def test_a_caller_must_say_who_asks(kernel: Instance, person: Person) -> None:
    old = token_of(kernel, person, seconds=-1)
    for token, code in (
        (None, "unauthenticated"),
        ("x", "unauthenticated"),
        (old, "token_expired"),
    ):
        for method, path in (("POST", f"{STREAM}/echo:get"), ("GET", STREAM)):
            status, body = await kernel.request(method, path, token=token)
            assert (status, body["error"]["code"]) == (401, code)


async def test_an_unknown_namespace_is_not_found(kernel: Instance, person: Person) -> None:
    for method, path in (("POST", "/events/nowhere/a:b"), ("GET", "/events/nowhere")):
        status, body = await kernel.request(method, path, token=person.token)
        assert status == 404
        assert body["error"]["code"] in ("not_found", "unknown_event")


async def test_a_stream_is_read_from_where_one_stopped(kernel: Instance, person: Person) -> None:
    assert await read(kernel, person) == {
        "items": [],
        "head": 0,
        "epoch": delivery_of(kernel).epoch,
        "reset": False,
    }
    await tell(kernel, [person], 10, 11, 12)
    assert (await read(kernel, person))["head"] == 3
    page = await read(kernel, person, "after=1&wait=30")
    assert [item["meta"]["seq"] for item in page["items"]] == [2, 3]
    first = page["items"][0]
    assert first["event"] == "thing:added"
    assert first["data"] == {"number": 11, "text": ""}
    assert set(first["meta"]) == {"seq", "at"}
    assert (page["head"], page["reset"]) == (3, False)


async def test_a_long_stream_is_read_page_by_page(kernel: Instance, person: Person) -> None:
    await tell(kernel, [person] * 450, 1)
    heard, pages = 0, 0
    while heard < 450:
        page = await read(kernel, person, f"after={heard}")
        assert page["items"][0]["meta"]["seq"] == heard + 1
        assert page["head"] == 450
        heard, pages = page["items"][-1]["meta"]["seq"], pages + 1
    assert pages == 3


@pytest.mark.parametrize("query", ["after=9", "after=0&epoch=another"])
async def test_an_impossible_position_resets(kernel: Instance, person: Person, query: str) -> None:
    await tell(kernel, [person], 1)
    page = await read(kernel, person, f"{query}&wait=30")
    assert (page["items"], page["head"], page["reset"]) == ([], 1, True)


@pytest.mark.parametrize("query", ["after=-1", "after=x", "wait=31", "wait=-1", "who=me"])
async def test_a_query_that_is_none_is_refused(
    kernel: Instance, person: Person, query: str
) -> None:
    status, body = await kernel.request("GET", f"{STREAM}?{query}", token=person.token)
    assert (status, body["error"]["code"]) == (422, "invalid")


async def wait_until_waiting(kernel: Instance, person: Person) -> None:
    followers = delivery_of(kernel)._followers
    await wait_until(
        lambda: any(
            getattr(one, "after", None) is not None
            for space in followers.get(person.id, {}).values()
            for one in space
        ),
        "somebody waits",
    )


async def test_who_waits_is_woken_by_a_push_not_by_a_signal(
    kernel: Instance, person: Person
) -> None:
    waiting = asyncio.create_task(read(kernel, person, "after=0&wait=30"))
    await wait_until_waiting(kernel, person)
    await signal(kernel, [person], 1)
    await tell(kernel, [person], 2)
    page = await waiting
    assert [item["data"]["number"] for item in page["items"]] == [2]
    assert page["head"] == 1


async def test_who_waits_is_woken_by_what_the_bus_lost(kernel: Instance, person: Person) -> None:
    waiting = asyncio.create_task(read(kernel, person, "wait=30"))
    await wait_until_waiting(kernel, person)
    await log_silently(kernel, person, 7)
    delivery_of(kernel).recovered()
    assert [item["data"]["number"] for item in (await waiting)["items"]] == [7]


async def test_a_check_before_its_place_is_known_wakes_nobody(
    kernel: Instance, person: Person
) -> None:
    waiting = asyncio.create_task(read(kernel, person, "wait=30"))
    followers = delivery_of(kernel)._followers
    # Not one turn of the loop may be missed: it soon knows its place.
    while person.id not in followers:  # noqa: ASYNC110 - following brings no event
        await asyncio.sleep(0)
    (waiter,) = followers[person.id][PLACE]
    assert waiter.after is None  # type: ignore[attr-defined]
    waiter.behind(0)
    await wait_until_waiting(kernel, person)
    await tell(kernel, [person], 7)
    assert [item["data"]["number"] for item in (await waiting)["items"]] == [7]


async def test_who_waits_in_vain_is_answered(kernel: Instance, person: Person) -> None:
    other = await kernel.add_person()
    waiting = asyncio.create_task(read(kernel, person, "wait=1"))
    await wait_until_waiting(kernel, person)
    await tell(kernel, [other], 1)
    page = await waiting
    assert (page["items"], page["head"], page["reset"]) == ([], 0, False)
    assert person.id not in delivery_of(kernel)._followers


async def test_a_reader_at_the_head_may_name_the_epoch(kernel: Instance, person: Person) -> None:
    await tell(kernel, [person], 1)
    epoch = (await read(kernel, person))["epoch"]
    assert not (await read(kernel, person, f"after=1&epoch={epoch}"))["reset"]
    async with Context.open(kernel.runtime) as ctx:
        await events.renew_epoch(ctx.db)
    delivery_of(kernel).recovered()
    await wait_until(lambda: delivery_of(kernel).epoch != epoch, "the new epoch is known")
    assert (await read(kernel, person, f"after=1&epoch={epoch}"))["reset"]


async def test_too_far_behind_resets(
    kernel: Instance, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "MAX_REPLAY", 2)
    await tell(kernel, [person], 1, 2, 3)
    assert (await read(kernel, person, "after=0"))["reset"]
    assert len((await read(kernel, person, "after=1"))["items"]) == 2
