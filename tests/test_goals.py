"""Goals: made, changed, archived and deleted, on every device of their person."""

from typing import Any

import pytest

from handlers.goals import aims
from storage.accounts import Role
from tests.files import fetch, upload, wait_for_jobs
from tests.goals import GOALS, add_goal, add_stages, ask
from tests.instance import Instance
from tests.talks import refusal


async def test_every_device_follows_a_goal(server: Instance) -> None:
    person, other = await server.add_person(), await server.add_person()
    device, second, stranger = [await server.connect(one, GOALS) for one in (person, person, other)]
    wanted = {"title": "  Run 5 km ", "description": "By summer", "deadline": "2030-06-01"}

    created = await device.ask("goal:create", wanted, namespace=GOALS)
    changed = await device.ask(
        "goal:update",
        {"goal_id": created["id"], "title": "Run 10 km", "deadline": None},
        namespace=GOALS,
    )
    gone = await device.ask("goal:delete", {"goal_id": created["id"]}, namespace=GOALS)

    assert created == {
        "id": created["id"],
        "title": "Run 5 km",
        "description": "By summer",
        "deadline": "2030-06-01",
        "progress": 0,
        "created_at": created["created_at"],
        "archived_at": None,
        "stages": [],
        "attachments": [],
        "reminders": [],
        "split": None,
    }
    assert changed == {**created, "title": "Run 10 km", "deadline": None}
    assert gone == {"goal_id": created["id"]}
    for one in (device, second):
        await one.wait_for("goal:deleted", namespace=GOALS)
        assert [(told.event, told.data) for told in one.pushes(GOALS)] == [
            ("goal:updated", created),
            ("goal:updated", changed),
            ("goal:deleted", gone),
        ]
    assert stranger.pushes(GOALS) == []
    assert await refusal(ask(server, person, "goal:get", goal_id=created["id"])) == "not_found"


async def test_goals_are_listed_newest_first_and_apart_from_the_archive(server: Instance) -> None:
    person = await server.add_person(Role.PSYCHOLOGIST)
    made = [await add_goal(server, person, f"Goal {n}") for n in range(4)]
    archived = await ask(server, person, "goal:archive", goal_id=made[1]["id"])
    again = await ask(server, person, "goal:archive", goal_id=made[1]["id"])

    listed = await ask(server, person, "goal:list", skip=1, limit=2)
    archive = await ask(server, person, "goal:list_archived")

    assert listed == {"items": [made[2], made[0]], "total": 3, "skip": 1, "limit": 2}
    assert (archive["items"], archive["total"]) == ([archived], 1)
    assert archived == again == {**made[1], "archived_at": archived["archived_at"]}
    assert await ask(server, person, "goal:restore", goal_id=made[1]["id"]) == made[1]
    assert (await ask(server, person, "goal:list_archived"))["items"] == []


async def test_what_is_not_ones_own_is_not_found(server: Instance) -> None:
    person, stranger = await server.add_person(), await server.add_person()
    goal = await add_stages(server, person, await add_goal(server, person), "One", "Two")
    stage = {"stage_id": goal["stages"][0]["id"]}
    about = {"goal_id": goal["id"]}
    asked: list[tuple[str, dict[str, Any]]] = [
        *((f"goal:{verb}", about) for verb in ("get", "update", "archive", "restore", "delete")),
        *((f"stage:{verb}", stage) for verb in ("update", "delete", "complete", "undo")),
        ("stage:add", {**about, "title": "Three"}),
        ("stage:reorder", {**stage, "after_stage_id": None}),
        ("reminder:set", {**about, "times": ["08:00"]}),
    ]

    for event, payload in asked:
        assert await refusal(ask(server, stranger, event, **payload)) == "not_found"

    assert await ask(server, person, "goal:get", **about) == goal


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"title": "x" * 201},
        {"title": "a\nb"},
        {"description": "x" * 2001},
        {"deadline": "2026-02-30"},
        {"deadline": "1999-12-31"},
        {"deadline": 20_000},
        {"deadline": "2026-02-20T00:00:00Z"},
    ],
)
async def test_what_is_no_goal_is_refused(server: Instance, wrong: dict[str, Any]) -> None:
    person = await server.add_person()

    assert await refusal(ask(server, person, "goal:create", **{"title": "A", **wrong})) == "invalid"


async def test_a_person_has_so_many_goals_at_most(
    server: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aims, "MAX_GOALS", 2)
    person = await server.add_person()
    first = await add_goal(server, person)
    await ask(server, person, "goal:archive", goal_id=first["id"])
    await add_goal(server, person)

    assert await refusal(ask(server, person, "goal:create", title="Third")) == "quota_exceeded"
    await ask(server, person, "goal:delete", goal_id=first["id"])
    await add_goal(server, person)


async def test_files_belong_to_a_goal_and_go_with_it(server: Instance) -> None:
    person, stranger = await server.add_person(), await server.add_person()
    goal, other = [await add_goal(server, person, title) for title in ("A", "B")]
    files = [await upload(server, person, purpose="goal") for _ in range(2)]
    foreign = await upload(server, stranger, purpose="goal")
    elsewhere = await upload(server, person, purpose="message")
    about = {"goal_id": goal["id"]}

    for file in files:
        goal = await ask(server, person, "attachment:add", **about, upload_id=file["id"])

    assert [file["id"] for file in goal["attachments"]] == [file["id"] for file in files]
    assert (await fetch(server, goal["attachments"][0]["url"])).status == 200
    assert (await fetch(server, f"/uploads/{files[0]['id']}", person)).status == 200
    assert (await fetch(server, f"/uploads/{files[0]['id']}", stranger)).status == 404
    for upload_id in (files[0]["id"], foreign["id"], elsewhere["id"], 999_999):
        adding = ask(server, person, "attachment:add", **about, upload_id=upload_id)
        assert await refusal(adding) == "invalid"
    wrong_goal = {"goal_id": other["id"], "upload_id": files[0]["id"]}
    assert await refusal(ask(server, person, "attachment:remove", **wrong_goal)) == "not_found"

    first = {**about, "upload_id": files[0]["id"]}
    goal = await ask(server, person, "attachment:remove", **first)
    assert [file["id"] for file in goal["attachments"]] == [files[1]["id"]]
    assert await refusal(ask(server, person, "attachment:remove", **first)) == "not_found"
    await ask(server, person, "goal:delete", **about)
    await wait_for_jobs(server)
    for file in files:
        assert (await fetch(server, f"/uploads/{file['id']}", person)).status == 404


async def test_a_goal_has_so_many_files_at_most(
    server: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handlers.goals.attachments.MAX_FILES", 1)
    person = await server.add_person()
    goal = await add_goal(server, person)
    files = [await upload(server, person, purpose="goal") for _ in range(2)]
    await ask(server, person, "attachment:add", goal_id=goal["id"], upload_id=files[0]["id"])

    adding = ask(server, person, "attachment:add", goal_id=goal["id"], upload_id=files[1]["id"])
    assert await refusal(adding) == "quota_exceeded"
