"""What others are told of who is erased: live, late, and from the beginning."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest

from storage.accounts import Role
from tests.files import upload
from tests.instance import Instance, Person
from tests.leavers import erase, finish
from tests.questionnaires import (
    PHQ9,
    SPACE,
    catch_up,
    create_test,
    publish_test,
    send,
    submit,
)
from tests.snapshots import (
    Snapshot,
    chats_snapshot,
    feed_snapshot,
    fold,
    patients_snapshot,
    relations_snapshot,
)
from tests.stand_ins.waiting import settled
from tests.talks import add_talk, start_talk
from tests.test_snapshots import Watcher, connect, fence_in, make_world

PLACES = ("/chat", "/care", "/notifications")
NOTHING: dict[str, Any] = {"items": [], "total": 0}
NAME = "Deleted user"


async def look(watcher: Watcher, places: Sequence[str] = PLACES) -> dict[str, Snapshot]:
    """With what a psychologist knows of patients."""
    snapshots = await watcher.look()
    if watcher.person.email.startswith(Role.PSYCHOLOGIST):
        snapshots["/care"] |= patients_snapshot(await watcher.ask("/care", "patient:list"))
    return {place: snapshots[place] for place in places}


def know_nothing(watcher: Watcher) -> dict[str, Snapshot]:
    care = relations_snapshot(NOTHING)
    if watcher.person.email.startswith(Role.PSYCHOLOGIST):
        care |= patients_snapshot(NOTHING)
    feed = feed_snapshot(NOTHING, {"total": 0})
    return {"/chat": chats_snapshot(NOTHING, {}), "/care": care, "/notifications": feed}


async def compare(watcher: Watcher, before: dict[str, Snapshot]) -> set[str]:
    """That what was told since makes what is there now; which events that were."""
    after = await look(watcher)
    happened: set[str] = set()
    for place, snapshot in before.items():
        await fence_in(watcher, place)
        told = watcher.device.pushes(place)
        happened |= {one.event for one in told}
        assert fold(snapshot, told, watcher.person.id) == after[place], place
    return happened


@pytest.mark.timeout(120)
@pytest.mark.parametrize("role", ["psychologists", "patients"])
@pytest.mark.parametrize("seed", [1, 2])
async def test_who_stays_is_told_all_that_changes(server: Instance, seed: int, role: str) -> None:
    world = await make_world(server, seed)
    for _ in range(60):
        await world.act()
    await settled(server)
    leaver = getattr(world, role).pop()
    watchers = [Watcher(person, await connect(server, person)) for person in world.people]
    before = [await look(watcher) for watcher in watchers]

    await erase(server, leaver)
    for _ in range(20):
        await world.act()
    await finish(server)
    await settled(server)

    happened: set[str] = set()
    for watcher, snapshots in zip(watchers, before, strict=True):
        happened |= await compare(watcher, snapshots)
    assert {"chat:closed", "chat:erased"} <= happened
    for person in world.people:
        # A client that has seen nothing yet gets there by what the log says now.
        late = Watcher(person, await server.connect(person, *PLACES, after=0))
        await compare(late, know_nothing(late))


async def test_who_was_away_gets_to_the_same_end(server: Instance) -> None:
    talk = await start_talk(server)
    psychologist, leaver = talk.people
    other = await add_talk(talk, await server.add_person())
    await server.ask(leaver, "/mood", "entry:add", {"score": 2, "note": "Before"})
    for text in ("One", "Two"):
        await talk.send(leaver, text)
    await settled(server)
    device = await connect(server, psychologist)
    before = await look(Watcher(psychologist, device))
    heads = {
        place: next(t.data["head"] for t in device.told[place] if t.event == "stream:ready")
        for place in PLACES
    }
    await device.close()
    file = await upload(server, leaver)
    ref = {"client_ref": str(uuid4())}
    await talk.ask(leaver, "message:send", text="", upload_ids=[file["id"]], **ref)
    await talk.ask(leaver, "message:edit", seq=1, text="Another one")
    await talk.ask(leaver, "message:delete", seq=2)
    await server.ask(leaver, "/mood", "entry:add", {"score": 2, "note": "After"})
    await other.send(other.patient, "Still here")

    await erase(server, leaver)
    await settled(server)

    after = await look(Watcher(psychologist, await connect(server, psychologist)))
    for place in PLACES:
        late = await server.connect(psychologist, place, after=heads[place])
        ready = await late.wait_for("stream:ready", namespace=place)
        if ready.data["head"] > heads[place]:
            await late.wait_for_seq(ready.data["head"], namespace=place)
        told = late.pushes(place)
        assert [one.seq for one in told] == [*range(heads[place] + 1, heads[place] + 1 + len(told))]
        assert fold(before[place], told, psychologist.id) == after[place], place
        assert "Another one" not in str(told)
        assert leaver.name not in str(told)
    texts = [
        (message["text"], message["deleted"], message["attachments"])
        for message in after["/chat"]["messages"][talk.chat_id].values()
    ]
    assert texts == [("", True, [])] * 3


async def test_guardians_are_told_that_alerts_are_gone(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    admin = await server.add_person(Role.ADMIN)
    devices = [await server.connect(one, SPACE, "/notifications") for one in (psychologist, admin)]
    await submit(server, patient, PHQ9, [0] * 8 + [1])
    raised = (await devices[0].wait_for("alert:raised", namespace=SPACE)).data

    await erase(server, patient)

    for device in devices:
        told = await device.wait_for("alert:erased", namespace=SPACE)
        assert told.data == {"alert_ids": [raised["id"]]}
    await devices[0].wait_for("notification:read", namespace="/notifications")
    renamed = await devices[0].wait_for("notification:erased", namespace="/notifications")
    listed = await server.ask(psychologist, "/notifications", "notification:list", {})
    (note,) = listed["items"]
    assert renamed.data == {"notification_ids": [note["id"]], "title": NAME}
    assert (note["title"], note["read_at"] is None) == (NAME, False)
    for person in (psychologist, admin):
        assert (await server.ask(person, SPACE, "alert:list", {}))["items"] == []


async def test_colleagues_are_told_that_a_note_is_gone(server: Instance) -> None:
    first, patient = await server.connect_pair()
    second = await server.add_person(Role.PSYCHOLOGIST)
    await server.relate(second, patient)
    device = await server.connect(second, SPACE)
    await submit(server, patient, PHQ9, [0] * 8 + [1])
    raised = (await device.wait_for("alert:raised", namespace=SPACE)).data
    settled = {"alert_id": raised["id"], "note": "I have called them."}
    await server.ask(first, SPACE, "alert:acknowledge", settled)
    await device.wait_for("alert:acknowledged", namespace=SPACE)

    await erase(server, first)

    told = (await device.wait_for("alert:acknowledged", namespace=SPACE, count=2)).data
    assert (told["note"], told["acknowledged_by"]) == (None, first.id)
    (alert,) = (await server.ask(second, SPACE, "alert:list", {}))["items"]
    assert alert == told
    late = await server.connect(second, SPACE, after=0)
    await catch_up(late)
    assert "I have called them." not in str(late.told)


async def test_an_admin_leaves_no_note_behind_either(server: Instance) -> None:
    first, second = [await server.add_person(Role.ADMIN) for _ in range(2)]
    device = await server.connect(second, SPACE)
    await submit(server, await server.add_person(), PHQ9, [0] * 8 + [1])
    raised = (await device.wait_for("alert:raised", namespace=SPACE)).data
    settled = {"alert_id": raised["id"], "note": "I have called them."}
    await server.ask(first, SPACE, "alert:resolve", settled)

    await erase(server, first)

    told = (await device.wait_for("alert:resolved", namespace=SPACE, count=2)).data
    assert (told["note"], told["resolved_by"]) == (None, first.id)
    late = await server.connect(second, SPACE, after=0)
    await catch_up(late)
    assert "I have called them." not in str(late.told)


async def test_an_answered_test_outlives_its_author(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    answered = await publish_test(server, psychologist)
    unanswered = await publish_test(server, psychologist)
    draft = await create_test(server, psychologist)
    answers = [
        {"question_id": question["id"], "option_id": question["options"][1]["id"]}
        for question in answered["questions"]
    ]
    _, result = await send(server, patient, answered, answers)

    await erase(server, psychologist)

    assert await server.ask(patient, SPACE, "result:get", {"result_id": result["id"]})
    listed = await server.ask(patient, SPACE, "test:list", {"limit": 100})
    ids = {test["id"] for test in listed["items"]}
    assert not ids & {answered["id"], unanswered["id"], draft["id"]}
    shown = await server.ask(patient, SPACE, "test:get", {"test_id": answered["id"]})
    assert (shown["author_id"], shown["status"]) == (None, "retired")


async def test_a_signed_out_device_hears_nothing_more(server: Instance) -> None:
    talk = await start_talk(server)
    device = await server.connect(talk.patient)
    await erase(server, talk.patient)
    await device.wait_until_left()
    assert not [told for told in device.told["/chat"] if told.event == "chat:erased"]


async def test_the_chat_of_two_who_both_left_is_told_to_nobody(server: Instance) -> None:
    talk = await start_talk(server)
    people: Sequence[Person] = talk.people
    for person in people:
        await talk.send(person)
    for person in people:
        await erase(server, person)
    assert len(await finish(server)) == 2
