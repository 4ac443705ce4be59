"""Taking everything along: what is in the archive, and what is not."""

import json
from datetime import datetime, timedelta
from typing import Any

from fhir.resources.R4B.bundle import Bundle

from server.context import Context
from storage import assessments as tests
from storage import mood, notifications
from storage.accounts import Role
from storage.notifications import NewNotification
from tests.exports import (
    take_along,
    unsign,
)
from tests.files import PDF, upload, wait_for_jobs
from tests.goals import add_goal, add_stages, ask, complete
from tests.instance import Instance, Person
from tests.questionnaires import (
    GAD7,
    PHQ9,
    SPACE,
    answer,
    create_test,
    find_test,
    own_test,
    publish_test,
    submit,
)
from tests.security.planted import find_planted, plant
from tests.security.scene import set_scene
from tests.stand_ins.pictures import draw
from tests.talks import message, start_talk

ACCOUNT = "/account"
MANY = 230
"""More than two portions."""


async def list_all(server: Instance, person: Person, call: str, **wanted: Any) -> list[Any]:
    """A whole list of the wire, in the order of archives: what came first is first."""
    namespace, event = call.split(" ")
    listed = await server.ask(person, namespace, event, {"limit": 50, **wanted})
    items: list[Any] = unsign(listed["items"])
    assert len(items) == listed["total"]
    return items[::-1]


async def test_a_patient_takes_along_what_the_wire_shows_them(server: Instance) -> None:
    scene = await set_scene(server)
    anna, talk = scene.anna, scene.things.talk
    done = await add_stages(server, anna, await add_goal(server, anna), "A", "B")
    await complete(server, anna, done["stages"][0])
    await ask(server, anna, "goal:archive", goal_id=done["id"])
    gad7 = await find_test(server, anna, GAD7)
    drafted = {"test_id": gad7["id"], "answers": answer(gad7, [1, 2])}
    draft = await server.ask(anna, SPACE, "draft:save", drafted)
    await talk.ask(anna, "message:delete", seq=1)
    await wait_for_jobs(server)

    taken = await take_along(server, anna)

    for name, call in (
        ("mood/entries", "/mood entry:list"),
        ("assessments/results", "/assessments result:list"),
    ):
        assert taken.read(name) == await list_all(server, anna, call), name
    chats = await list_all(server, anna, "/chat chat:list")
    assert taken.read("chat/chats") == sorted(chats, key=lambda chat: chat["id"])
    assert len(chats) == 2
    # The other chat, with a former psychologist, has no messages.
    assert taken.read("chat/messages") == unsign(await talk.history(anna, limit=100))
    relations = await list_all(server, anna, "/care relation:list")
    assert sorted(taken.read("care/relations"), key=str) == sorted(relations, key=str)
    assert taken.read("goals/goals") == [
        *reversed(await list_all(server, anna, "/goals goal:list")),
        *reversed(await list_all(server, anna, "/goals goal:list_archived")),
    ]
    for name, call in (
        ("goals/achievements", "/goals achievement:list"),
        ("account/settings", "/account settings:get"),
        ("notifications/preferences", "/notifications preference:list"),
        ("notifications/subscriptions", "/notifications subscription:list"),
    ):
        namespace, event = call.split(" ")
        assert taken.read(name) == await server.ask(anna, namespace, event, {}), name
    profile = unsign(await server.ask(anna, ACCOUNT, "profile:get", {}))
    assert profile.items() <= taken.read("account/profile").items()
    assert taken.read("assessments/drafts") == [draft]
    # What the feed was when the archive was made: it has told of the archive since.
    feed = await list_all(server, anna, "/notifications notification:list")
    assert [note for note in feed if note["type"] != "export"] == taken.read(
        "notifications/notifications"
    )
    assert [device.keys() for device in taken.read("account/devices")] == [
        {"platform", "registered_at"}
    ]
    sessions = taken.read("account/sessions")
    shown = await list_all(server, anna, "/account session:list")
    assert [one["id"] for one in sessions] == [one["id"] for one in shown]


async def test_files_are_in_the_archive_as_they_were_uploaded(server: Instance) -> None:
    talk = await start_talk(server)
    patient = talk.patient
    content = {
        "Снимок.PNG": draw("PNG", (40, 30)),
        "report.pdf": PDF * 1000,
        "odd.name with a very strange ending!": PDF,
    }
    added = [
        await upload(server, patient, data, name=name, type="", purpose="goal")
        for name, data in content.items()
    ]
    theirs = await upload(server, talk.psychologist, PDF, name="a.pdf", type="application/pdf")
    sent = {"client_ref": message(1)["client_ref"], "text": "", "upload_ids": [theirs["id"]]}
    await talk.ask(talk.psychologist, "message:send", **sent)

    taken = await take_along(server, patient)

    listed = taken.read("uploads/uploads")
    assert [{k: v for k, v in one.items() if k != "path"} for one in listed] == unsign(added)
    assert {one["path"]: taken.files[one["path"]] for one in listed} == {
        f"files/{added[0]['id']}.PNG": content["Снимок.PNG"],
        f"files/{added[1]['id']}.pdf": content["report.pdf"],
        f"files/{added[2]['id']}": content["odd.name with a very strange ending!"],
    }
    assert len([name for name in taken.files if name.startswith("files/")]) == 3
    manifest = taken.read("manifest")
    assert (manifest["schema_version"], manifest["user_id"]) == (1, patient.id)
    assert manifest["created_at"] == taken.told["created_at"]


async def test_results_are_there_as_fhir_too(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    own = await publish_test(server, psychologist)
    await submit(server, patient, PHQ9, [1] * 9 + [0])
    await submit(server, patient, GAD7, [2] * 7)
    body = {"answers": answer(own, [2, 0])}
    await server.request("POST", f"/tests/{own['id']}/submit", body, token=patient.token)

    taken = await take_along(server, patient)

    bundle = taken.files["assessments/results.fhir.json"]
    Bundle.model_validate_json(bundle)
    exported = await server.ask(patient, SPACE, "result:export", {"format": "fhir"})

    def by_url(entries: list[Any]) -> list[Any]:
        return sorted(entries, key=lambda entry: entry["fullUrl"])

    assert by_url(json.loads(bundle)["entry"]) == by_url(json.loads(exported["text"])["entry"])
    theirs = await take_along(server, psychologist)
    assert theirs.read("assessments/results") == []
    assert not [name for name in theirs.files if "fhir" in name]


async def test_long_things_come_whole_and_in_order(server: Instance) -> None:
    talk = await start_talk(server)
    patient = talk.patient
    device = await server.connect(patient)
    for number in range(MANY):
        await device.emit("message:send", message(talk.chat_id, f"{number}"))
    await device.wait_for("message:created", count=MANY)
    first = await submit(server, patient, PHQ9, [0] * 9)
    async with Context.open(server.runtime) as ctx:
        found = await tests.find_result(ctx.db, first["id"])
        assert found is not None
        row = {
            column.name: getattr(found.result, column.name)
            for column in tests.Result.__table__.columns
            if column.name not in ("id", "client_ref")
        }
        for number in range(MANY):
            # Several of one moment: places are told apart by ids.
            at = row["created_at"] + timedelta(seconds=number // 7)
            await tests.add_result(ctx.db, **{**row, "created_at": at})
            await mood.add_entry(
                ctx.db,
                user_id=patient.id,
                score=1 + number % 10,
                note=f"{number}",
                tags=[],
                activities=[],
                at=at,
                time_zone="UTC",
                local_date=at.date(),
                created_at=at,
            )
        notes = [
            NewNotification(patient.id, "resource", f"{number}", f"{number}", "", "/", {})
            for number in range(MANY)
        ]
        await notifications.add_notifications(ctx.db, notes, ctx.now)

    taken = await take_along(server, patient)

    messages = taken.read("chat/messages")
    assert [one["text"] for one in messages] == [f"{number}" for number in range(MANY)]
    assert [one["seq"] for one in messages] == list(range(1, MANY + 1))
    assert [one["note"] for one in taken.read("mood/entries")] == [
        f"{number}" for number in range(MANY)
    ]
    results = taken.read("assessments/results")
    assert len({one["id"] for one in results}) == len(results) == MANY + 1
    assert results == sorted(results, key=lambda one: (when(one["created_at"]), one["id"]))
    feed = taken.read("notifications/notifications")
    assert len({one["id"] for one in feed}) == len(feed) == MANY
    names = ["results.fhir", "results.fhir-2", "results.fhir-3"]
    bundles = [taken.files[f"assessments/{name}.json"] for name in names]
    responses = [
        entry["resource"]["id"]
        for bundle in bundles
        for entry in json.loads(bundle)["entry"]
        if entry["resource"]["resourceType"] == "QuestionnaireResponse"
    ]
    assert responses == [f"result-{one['id']}" for one in results]
    Bundle.model_validate_json(bundles[-1])


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_what_is_of_others_stays_with_them(server: Instance) -> None:
    scene = await set_scene(server)
    annas, boris_has = [
        find_planted((await take_along(server, person)).text) for person in scene.victims
    ]

    for words in (annas, boris_has):
        assert {plant("name", "anna"), plant("text", "boris")} <= words
    # Where pushes go proves who one is; letters that died are the operators'.
    assert {word for word in annas if word.endswith("-anna")} == {
        plant(what, "anna")
        for what in (
            *("address", "name", "contact", "category", "file", "text", "browser"),
            *("title", "note", "link", "data", "diary", "tag", "activity"),
        )
    }
    assert {word for word in annas if word.endswith("-boris")} == {
        plant("name", "boris"),
        plant("text", "boris"),
    }
    # What a psychologist reads of their patients is the patients'.
    assert {word for word in boris_has if word.endswith("-anna")} == {
        *(plant(what, "anna") for what in ("name", "text", "file"))
    }
    assert plant("test", "boris") in boris_has


async def test_an_author_takes_their_tests_along_as_they_wrote_them(server: Instance) -> None:
    psychologist = await server.add_person(Role.PSYCHOLOGIST)
    title = {"en": "Sleep", "ru": "Сон"}
    options = [{"text": {"en": "No", "ru": "Нет"}, "score": 0}, {"text": title, "score": 2}]
    asked = {"questions": [{"text": title, "options": options}], "scales": []}
    published = await publish_test(server, psychologist, title=title, **asked)
    changed = own_test(title="Another", missing={"max_missing": 1})
    about = {"test_id": published["id"], **changed}
    await server.ask(psychologist, SPACE, "test:update", about)
    draft = await create_test(server, psychologist)
    await publish_test(server, await server.add_person(Role.PSYCHOLOGIST), title="Not theirs")

    first, second, third = (await take_along(server, psychologist)).read("assessments/tests")

    assert [(one["test_id"], one["version"], one["version_status"]) for one in (first, second)] == [
        (published["id"], 1, "published"),
        (published["id"], 2, "draft"),
    ]
    assert (third["test_id"], third["test_status"]) == (draft["id"], "draft")
    assert first["definition"]["title"] == title
    again = await server.ask(psychologist, SPACE, "test:create", first["definition"])
    assert nameless(again) == nameless(published)


def nameless(test: Any) -> Any:
    """A test but for its ids and status."""
    texts = [
        (question["code"], question["text"], [(o["text"], o["score"]) for o in question["options"]])
        for question in test["questions"]
    ]
    return test["title"], test["languages"], texts
