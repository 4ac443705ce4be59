"""The profile, the settings and the sessions of a person, on all their devices."""

from uuid import uuid4

import pytest

from tests.client import Client, Refused
from tests.conftest import StartInstance
from tests.instance import Instance

ACCOUNT = "/account"


async def refuse(device: Client, event: str, payload: object) -> list[tuple[str, str]]:
    """Where and why the server finds the payload invalid."""
    with pytest.raises(Refused, match="invalid") as raised:
        await device.ask(event, payload, namespace=ACCOUNT)
    return [(field["path"], field["code"]) for field in raised.value.error["fields"]]


async def test_a_new_profile_reaches_every_device(instances: tuple[Instance, Instance]) -> None:
    here, there = instances
    person, stranger = await here.add_person(name="Anna"), await here.add_person()
    phone, laptop = await here.connect(person, ACCOUNT), await there.connect(person, ACCOUNT)
    other = await there.connect(stranger, ACCOUNT)
    changes = {
        "name": "  Анна Иванова ",
        "contacts": {"phone": "+7 900 000-00-00"},
        "locale": "ru",
        "time_zone": "Europe/Moscow",
    }

    updated = await phone.ask("profile:update", changes, namespace=ACCOUNT)

    assert {name: updated[name] for name in changes} == {**changes, "name": "Анна Иванова"}
    for device in (phone, laptop):
        told = await device.wait_for("profile:updated", namespace=ACCOUNT)
        assert (told.data, told.seq) == (updated, 1)
    assert await laptop.ask("profile:get", namespace=ACCOUNT) == updated
    assert other.pushes(ACCOUNT) == []


async def test_only_what_is_given_is_changed(server: Instance) -> None:
    person = await server.add_person(name="Anna")
    device = await server.connect(person, ACCOUNT)
    await device.ask("profile:update", {"contacts": {"phone": "1"}}, namespace=ACCOUNT)
    before = await device.ask("profile:get", namespace=ACCOUNT)

    assert await device.ask("profile:update", {}, namespace=ACCOUNT) == before
    assert await device.ask("profile:update", {"name": None}, namespace=ACCOUNT) == before
    after = await device.ask("profile:update", {"contacts": {}}, namespace=ACCOUNT)

    assert after == {**before, "contacts": {}}
    assert len(device.pushes(ACCOUNT)) == 2


BAD: list[tuple[dict[str, object], str]] = [
    ({"time_zone": "Mars/Olympus"}, "time_zone"),
    ({"time_zone": "../../etc/passwd"}, "time_zone"),
    ({"locale": "de"}, "locale"),
    ({"name": " "}, "name"),
    ({"name": "two\nlines"}, "name"),
    ({"name": "x" * 101}, "name"),
    ({"name": 7}, "name"),
    ({"contacts": {"phone": ""}}, "contacts.phone"),
    ({"contacts": {str(n): "x" for n in range(11)}}, "contacts"),
    ({"email": "another@example.com"}, "email"),
    ({"role": "admin"}, "role"),
    ({"client_ref": "no uuid"}, "client_ref"),
]


async def test_a_bad_profile_is_refused_by_field(server: Instance) -> None:
    person = await server.add_person()
    device = await server.connect(person, ACCOUNT)
    before = await device.ask("profile:get", namespace=ACCOUNT)

    for changes, path in BAD:
        assert [where for where, _ in await refuse(device, "profile:update", changes)] == [path]

    assert await device.ask("profile:get", namespace=ACCOUNT) == before


async def test_a_repeated_change_is_answered_again_and_done_once(server: Instance) -> None:
    person = await server.add_person()
    device = await server.connect(person, ACCOUNT)
    change = {"name": "Anna", "client_ref": str(uuid4())}
    first = await device.ask("profile:update", change, namespace=ACCOUNT)
    await device.ask("profile:update", {"name": "Maria"}, namespace=ACCOUNT)

    again = await server.ask(person, ACCOUNT, "profile:update", change)

    assert again == first
    assert (await device.ask("profile:get", namespace=ACCOUNT))["name"] == "Maria"
    assert len(device.pushes(ACCOUNT)) == 2
    with pytest.raises(Refused, match="conflict"):
        await device.ask("profile:update", {**change, "name": "Olga"}, namespace=ACCOUNT)


async def test_errors_are_told_in_the_language_of_the_profile(server: Instance) -> None:
    person = await server.add_person()
    await server.ask(person, ACCOUNT, "profile:update", {"locale": "ru"})
    device = await server.connect(person, ACCOUNT)

    with pytest.raises(Refused) as raised:
        await device.ask("session:end", {"session_id": 10**6}, namespace=ACCOUNT)

    assert raised.value.error["message"] == "Такого нет."


async def test_settings_are_kept_and_told(server: Instance) -> None:
    person = await server.add_person()
    phone, laptop = [await server.connect(person, ACCOUNT) for _ in range(2)]
    settings = await phone.ask("settings:get", namespace=ACCOUNT)
    assert settings == {
        "push_enabled": True,
        "schedule": {"times": [], "frequency": "off", "weekday": None},
        "quiet_hours": {"starts": None, "ends": None},
    }

    off = settings | {"push_enabled": False}
    switch = {"push_enabled": False}
    assert await phone.ask("settings:update", switch, namespace=ACCOUNT) == off

    for device in (phone, laptop):
        assert (await device.wait_for("settings:updated", namespace=ACCOUNT)).data == off
    assert await laptop.ask("settings:get", namespace=ACCOUNT) == off
    assert await refuse(phone, "settings:update", {"push_enabled": 0}) == [
        ("push_enabled", "bool_type")
    ]
    assert await refuse(phone, "settings:update", {}) == [("push_enabled", "missing")]


async def test_sessions_are_listed_newest_first_page_by_page(server: Instance) -> None:
    person = await server.add_person()
    later = [await server.sign_in(person.email) for _ in range(2)]
    ids = [one.session_id for one in (*reversed(later), person)]
    await server.add_person()

    whole = await server.ask(person, ACCOUNT, "session:list", {})
    page = await server.ask(person, ACCOUNT, "session:list", {"skip": 1, "limit": 1})

    assert [one["id"] for one in whole["items"]] == ids
    assert [one["current"] for one in whole["items"]] == [False, False, True]
    assert (whole["total"], whole["skip"], whole["limit"]) == (3, 0, 20)
    assert [one["id"] for one in page["items"]] == ids[1:2]
    assert (page["total"], page["skip"], page["limit"]) == (3, 1, 1)


async def test_a_session_is_ended_from_another_device(
    instances: tuple[Instance, Instance],
) -> None:
    here, there = instances
    person = await here.add_person()
    lost = await there.sign_in(person.email)
    device, lost_device = await here.connect(person, ACCOUNT), await there.connect(lost, "/chat")

    await device.ask("session:end", {"session_id": lost.session_id}, namespace=ACCOUNT)

    await lost_device.wait_until_left("/chat")
    with pytest.raises(Refused, match="unauthenticated"):
        await there.connect(lost, "/chat")
    sessions = await device.ask("session:list", namespace=ACCOUNT)
    assert [one["id"] for one in sessions["items"]] == [person.session_id]
    for gone in (lost.session_id, 10**6):
        with pytest.raises(Refused, match="not_found"):
            await device.ask("session:end", {"session_id": gone}, namespace=ACCOUNT)


async def test_a_session_of_somebody_else_is_not_to_be_found(server: Instance) -> None:
    person, other = await server.add_person(), await server.add_person()

    with pytest.raises(Refused, match="not_found"):
        await server.ask(person, ACCOUNT, "session:end", {"session_id": other.session_id})

    assert (await server.ask(other, ACCOUNT, "profile:get", {}))["id"] == other.id


async def test_ending_ones_own_session_cuts_the_line(server: Instance) -> None:
    person = await server.add_person()
    device = await server.connect(person, ACCOUNT)

    await device.emit("session:end", {"session_id": person.session_id}, namespace=ACCOUNT)

    await device.wait_until_left(ACCOUNT)


@pytest.mark.scaled
async def test_a_session_ends_everywhere_with_redis_away(start: StartInstance) -> None:
    """The cut is not heard over the bus: each server reads it from the database."""
    here, deaf = await start(), await start(redis_url="")
    person = await here.add_person()
    lost = await here.sign_in(person.email)
    device = await deaf.connect(lost, "/chat")

    await here.ask(person, ACCOUNT, "session:end", {"session_id": lost.session_id})

    await device.wait_until_left("/chat")
