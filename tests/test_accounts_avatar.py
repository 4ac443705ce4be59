"""Avatars: a picture of oneself, for whoever is signed in."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.client import Refused
from tests.files import fetch, list_traces, read_upload, upload, wait_for_jobs, wait_for_thumbnail
from tests.instance import Instance, Person
from tests.stand_ins.pictures import draw, load
from tests.stand_ins.waiting import eventually, set_clock
from tests.talks import start_talk


async def update(server: Instance, person: Person, **changes: Any) -> Any:
    return await server.ask(person, "/account", "profile:update", changes)


async def choose_avatar(server: Instance, person: Person) -> Any:
    avatar = await upload(server, person, draw("PNG", (400, 400)), purpose="avatar")
    await wait_for_thumbnail(server, avatar["id"])
    return await update(server, person, avatar_upload_id=avatar["id"])


async def test_an_avatar_is_seen_in_the_profile_and_by_partners(server: Instance) -> None:
    talk = await start_talk(server)
    device = await server.connect(talk.patient, "/account")

    profile = await choose_avatar(server, talk.patient)

    assert (await device.wait_for("profile:updated", namespace="/account")).data == profile
    assert await server.ask(talk.patient, "/account", "profile:get", {}) == profile
    chat = await talk.ask(talk.psychologist, "chat:get")
    relations = await server.ask(talk.psychologist, "/care", "relation:list", {})
    assert chat["patient"]["avatar_url"] == profile["avatar_url"]
    assert relations["items"][0]["patient"]["avatar_url"] == profile["avatar_url"]
    assert chat["psychologist"]["avatar_url"] is None
    assert load((await fetch(server, profile["avatar_url"])).body).size == (320, 320)


async def test_faces_are_seen_by_who_was_given_a_link_and_not_by_who_guesses_ids(
    server: Instance,
) -> None:
    person, stranger = await server.add_person(), await server.add_person()
    loose = await upload(server, person, purpose="avatar")
    worn = await update(server, person, avatar_upload_id=loose["id"])

    assert (await fetch(server, f"/uploads/{loose['id']}", stranger)).status == 404
    assert (await fetch(server, f"/uploads/{loose['id']}")).status == 401
    assert (await fetch(server, f"/uploads/{loose['id']}", person)).status == 200
    assert (await fetch(server, worn["avatar_url"])).status == 200


async def test_a_new_avatar_replaces_the_one_before(server: Instance) -> None:
    person = await server.add_person()
    first = await choose_avatar(server, person)

    second = await choose_avatar(server, person)

    assert second["avatar_url"] != first["avatar_url"]
    assert (await fetch(server, first["avatar_url"])).status == 404

    async def only_the_second_is_left() -> bool:
        return len(await list_traces(server)) == 3

    await eventually(only_the_second_is_left, "the first avatar to go")


async def test_an_avatar_can_be_taken_away(server: Instance) -> None:
    person = await server.add_person()
    worn = await choose_avatar(server, person)

    other = await update(server, person, name="Another")
    bare = await update(server, person, avatar_upload_id=None)

    assert other["avatar_url"] == worn["avatar_url"]
    assert bare["avatar_url"] is None
    assert (await fetch(server, worn["avatar_url"])).status == 404
    assert (await update(server, person, avatar_upload_id=None))["avatar_url"] is None


async def test_only_ones_own_picture_for_this_can_be_worn(server: Instance) -> None:
    person, other = await server.add_person(), await server.add_person()
    worn = await choose_avatar(server, person)
    foreign = await upload(server, other, purpose="avatar")
    attachment = await upload(server, person)

    for wrong in (foreign["id"], attachment["id"], 999_999):
        with pytest.raises(Refused) as caught:
            await update(server, person, avatar_upload_id=wrong, name="Lost")
        assert caught.value.code == "invalid"
        assert caught.value.error["fields"][0]["path"] == "avatar_upload_id"
    profile = await server.ask(person, "/account", "profile:get", {})
    assert (profile["avatar_url"], profile["name"]) == (worn["avatar_url"], person.name)


async def test_the_same_avatar_again_stays(server: Instance) -> None:
    person = await server.add_person()
    avatar = await upload(server, person, purpose="avatar")

    for _ in range(2):
        await update(server, person, avatar_upload_id=avatar["id"])
    await wait_for_jobs(server)

    assert await read_upload(server, avatar["id"]) is not None


async def test_an_answer_given_again_has_a_link_that_works(server: Instance) -> None:
    person = await server.add_person()
    avatar = await upload(server, person, purpose="avatar")
    change = {"avatar_upload_id": avatar["id"], "client_ref": str(uuid4())}
    first = await update(server, person, **change)
    await set_clock(server, ahead=timedelta(hours=5))
    person = await server.sign_in(person.email)

    again = await update(server, person, **change)

    assert (await fetch(server, first["avatar_url"])).status == 410
    assert (await fetch(server, again["avatar_url"])).status == 200
    assert {**again, "avatar_url": first["avatar_url"]} == first
