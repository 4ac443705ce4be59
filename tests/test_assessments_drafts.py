"""Answers saved one by one, and gone on with on another device."""

import asyncio
from typing import Any

from storage.accounts import Role
from tests.instance import Instance, Person
from tests.questionnaires import (
    PHQ9,
    SPACE,
    answer,
    catch_up,
    find_test,
    own_test,
    publish_test,
    send,
)
from tests.talks import refusal


async def save(server: Instance, person: Person, test: Any, answers: Any) -> Any:
    asked = {"test_id": test["id"], "answers": answers}
    return await server.ask(person, SPACE, "draft:save", asked)


async def load(server: Instance, person: Person, test: Any) -> Any:
    return await server.ask(person, SPACE, "draft:get", {"test_id": test["id"]})


async def test_answers_are_saved_and_resumed(server: Instance) -> None:
    patient = await server.add_person()
    phone, tablet = [await server.connect(patient, SPACE) for _ in range(2)]
    test = await find_test(server, patient, PHQ9)
    answers = answer(test, [1, 2, 3])
    nothing = {"test_id": test["id"], "version": None, "answers": [], "updated_at": None}
    assert await load(server, patient, test) == nothing

    for one in answers:
        asked = {"test_id": test["id"], "answers": [one]}
        draft = await phone.ask("draft:save", asked, namespace=SPACE)

    assert draft == {
        "test_id": test["id"],
        "version": 1,
        "answers": answers,
        "updated_at": draft["updated_at"],
    }
    assert (await tablet.wait_for("draft:saved", namespace=SPACE, count=3)).data == draft
    assert await load(server, patient, test) == draft
    changed = answer(test, [0])[0]
    draft = await save(server, patient, test, [changed])
    assert draft["answers"] == [*answers[1:], changed]
    taken_back = [{"question_id": answers[1]["question_id"], "option_id": None}]
    draft = await save(server, patient, test, taken_back)
    assert draft["answers"] == [answers[2], changed]


async def test_submitting_ends_the_draft(server: Instance) -> None:
    patient = await server.add_person()
    device = await server.connect(patient, SPACE)
    test = await find_test(server, patient, PHQ9)
    await save(server, patient, test, answer(test, [1]))

    status, _ = await send(server, patient, test, answer(test, [0] * 9))

    assert status == 201
    assert (await load(server, patient, test))["answers"] == []
    await catch_up(device)
    assert [told.event for told in device.pushes(SPACE)] == [
        *("draft:saved", "draft:saved", "result:created")
    ]
    assert device.pushes(SPACE)[1].data["answers"] == []


async def test_two_devices_save_at_once(server: Instance) -> None:
    patient = await server.add_person()
    test = await find_test(server, patient, PHQ9)
    answers = answer(test, [1] * 9)

    await asyncio.gather(*(save(server, patient, test, [one]) for one in answers))

    draft = await load(server, patient, test)
    assert sorted(draft["answers"], key=lambda one: one["question_id"]) == answers


async def test_another_version_begins_anew(server: Instance) -> None:
    author = await server.add_person(Role.PSYCHOLOGIST)
    patient = await server.add_person()
    first = await publish_test(server, author)
    await save(server, patient, first, answer(first, [0, 2]))
    change = {"test_id": first["id"], **own_test(title="New")}
    await server.ask(author, SPACE, "test:update", change)
    second = await server.ask(author, SPACE, "test:publish", {"test_id": first["id"]})
    assert (await load(server, patient, first))["version"] == 1

    draft = await save(server, patient, second, answer(second, [2]))

    assert (draft["version"], draft["answers"]) == (2, answer(second, [2]))


async def test_what_cannot_be_saved(server: Instance) -> None:
    author, patient = await server.connect_pair()
    test = await find_test(server, patient, PHQ9)
    hidden = await server.ask(author, SPACE, "test:create", own_test())
    foreign = answer(hidden, [0])

    assert await refusal(save(server, patient, test, foreign)) == "invalid"
    assert await refusal(save(server, patient, hidden, foreign)) == "not_found"
    assert await refusal(save(server, author, test, [])) == "forbidden"
    assert await refusal(save(server, patient, {"id": 999_999}, [])) == "not_found"
    assert (await load(server, patient, test))["answers"] == []
