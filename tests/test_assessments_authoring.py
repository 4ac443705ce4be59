"""Tests that psychologists write: checked, published, never changed under a result."""

from typing import Any

import pytest

from handlers.assessments.shipped import install
from storage.accounts import Role
from tests.instance import Instance, Person
from tests.questionnaires import (
    PHQ9,
    SPACE,
    answer,
    create_test,
    find_test,
    own_test,
    publish_test,
    send,
)
from tests.talks import refusal

QUESTION = own_test()["questions"][0]


async def ask(server: Instance, person: Person, event: str, **payload: Any) -> Any:
    return await server.ask(person, SPACE, event, payload)


async def list_titles(server: Instance, person: Person, **wanted: Any) -> list[str]:
    listed = await ask(server, person, "test:list", **wanted)
    return [item["title"] for item in listed["items"]]


@pytest.fixture
async def author(server: Instance) -> Person:
    return await server.add_person(Role.PSYCHOLOGIST)


async def test_a_test_is_written_and_published(server: Instance, author: Person) -> None:
    reader = await server.add_person()

    draft = await create_test(server, author)

    assert {key: draft[key] for key in ("code", "title", "version", "status", "author_id")} == {
        "code": None,
        "title": "How is your sleep?",
        "version": 1,
        "status": "draft",
        "author_id": author.id,
    }
    first, second = draft["questions"]
    assert (first["code"], second["code"]) == ("q1", "q2")
    assert first["text"] == "Do you fall asleep late?"
    assert [(option["text"], option["score"]) for option in first["options"]] == [
        *(("No", 0), ("Yes", 2))
    ]
    assert (first["scored"], first["required"]) == (True, True)
    assert await ask(server, author, "test:get", test_id=draft["id"]) == draft
    assert await refusal(ask(server, reader, "test:get", test_id=draft["id"])) == "not_found"
    assert draft["title"] not in await list_titles(server, reader)
    assert draft["title"] in await list_titles(server, author)

    published = await ask(server, author, "test:publish", test_id=draft["id"])

    assert published == {**draft, "status": "published"}
    assert await ask(server, reader, "test:get", test_id=draft["id"]) == published
    assert (await list_titles(server, reader))[0] == draft["title"]


async def test_a_published_version_never_changes(server: Instance, author: Person) -> None:
    reader = await server.add_person()
    first = await publish_test(server, author)
    test_id = first["id"]

    draft = await ask(server, author, "test:update", test_id=test_id, **own_test(title="New"))
    assert (draft["version"], draft["status"], draft["title"]) == (2, "draft", "New")
    assert await ask(server, reader, "test:get", test_id=test_id) == first
    hidden = ask(server, reader, "test:get", test_id=test_id, version=2)
    assert await refusal(hidden) == "not_found"
    assert await ask(server, author, "test:get", test_id=test_id, version=2) == draft

    again = await ask(server, author, "test:update", test_id=test_id, **own_test(title="Newer"))
    assert (again["version"], again["title"]) == (2, "Newer")
    second = await ask(server, author, "test:publish", test_id=test_id)
    assert await ask(server, reader, "test:get", test_id=test_id) == second
    assert (second["version"], second["status"]) == (2, "published")
    assert await ask(server, reader, "test:get", test_id=test_id, version=1) == first
    assert await refusal(ask(server, author, "test:publish", test_id=test_id)) == "conflict"
    assert "Newer" in await list_titles(server, reader, query="newer")
    assert await list_titles(server, reader, query="How is your") == []


async def test_a_test_in_two_languages(server: Instance, author: Person) -> None:
    reader = await server.add_person()
    await server.ask(reader, "/account", "profile:update", {"locale": "ru"})
    reader = await server.sign_in(reader.email)
    words = {"en": "Sleep", "ru": "Сон"}
    options = [{"text": words, "score": 0.5}, {"text": words, "score": None}]
    question = {"text": words, "options": options, "required": False, "code": "sleep"}

    test = await publish_test(server, author, title=words, questions=[question], scales=[])

    assert (test["title"], test["language"], test["languages"]) == ("Sleep", "en", ["en", "ru"])
    russian = await ask(server, reader, "test:get", test_id=test["id"])
    assert (russian["title"], russian["questions"][0]["text"]) == ("Сон", "Сон")
    assert await list_titles(server, reader, query="Сон".upper()) == ["Сон"]
    status, result = await send(server, reader, test, answer(test, [0.5]))
    assert (status, result["total"], result["language"]) == (201, 0.5, "ru")


@pytest.mark.parametrize(
    ("changes", "path", "code"),
    [
        ({"title": ""}, "title", None),
        ({"title": {}}, "title", None),
        ({"title": {"english": "x"}}, "title", None),
        ({"title": " "}, "title", None),
        ({"questions": []}, "questions", "too_short"),
        ({"questions": [{**QUESTION, "options": []}]}, "questions.0.options", "too_short"),
        ({"questions": [{**QUESTION, "more": 1}]}, "questions.0.more", "extra_forbidden"),
        ({"questions": [{**QUESTION, "code": "A b"}]}, "questions.0.code", None),
        ({"questions": [{"text": "?"}]}, "questions.0.options", "missing"),
        (
            {"questions": [{**QUESTION, "code": "a"}, {**QUESTION, "code": "a"}]},
            *("questions.1.code", "repeated"),
        ),
        ({"scales": [{"items": ["nothing"]}]}, "scales.0.items.0", "unknown_question"),
        ({"safety": [{"question": "z", "least": 1}]}, "safety.0.question", "unknown_question"),
        ({"missing": {"max_missing": 2}}, "missing.max_missing", "too_many"),
        ({"scales": [{"method": "median"}]}, "scales.0.method", None),
    ],
)
async def test_what_is_wrong_with_a_test_is_named(
    server: Instance, author: Person, changes: dict[str, Any], path: str, code: str | None
) -> None:
    _, body = await server.request(
        "POST", f"/events{SPACE}/test:create", own_test(**changes), token=author.token
    )
    assert body["error"]["code"] == "invalid"
    found = [(field["path"], field["code"]) for field in body["error"]["fields"]]
    assert [one for one in found if one[0].startswith(path) and code in (None, one[1])], found
    assert len(await list_titles(server, author)) == 4


async def test_tests_belong_to_their_authors(server: Instance, author: Person) -> None:
    others = [await server.add_person(role) for role in (Role.PSYCHOLOGIST, Role.ADMIN)]
    patient = await server.add_person()
    test = await publish_test(server, author)
    change = {"test_id": test["id"]}

    for event, payload in (
        ("test:update", {**own_test(), **change}),
        ("test:publish", change),
        ("test:delete", change),
    ):
        for other in others:
            assert await refusal(ask(server, other, event, **payload)) == "not_found"
        assert await refusal(ask(server, patient, event, **payload)) == "forbidden"
        missing = {**payload, "test_id": 999_999}
        assert await refusal(ask(server, author, event, **missing)) == "not_found"
    assert await refusal(ask(server, patient, "test:create", **own_test())) == "forbidden"


async def test_a_test_without_results_is_deleted(server: Instance, author: Person) -> None:
    patient = await server.add_person()
    for test in (await create_test(server, author), await publish_test(server, author)):
        gone = await ask(server, author, "test:delete", test_id=test["id"])
        assert gone == {"test_id": test["id"], "status": None}
        assert await refusal(ask(server, author, "test:get", test_id=test["id"])) == "not_found"
    kept = await publish_test(server, author)
    await send(server, patient, kept, answer(kept, [0, 0]))
    gone = await ask(server, author, "test:delete", test_id=kept["id"])
    assert gone["status"] == "retired"
    assert kept["title"] not in await list_titles(server, patient)
    shown = await ask(server, patient, "test:get", test_id=kept["id"])
    assert (shown["status"], shown["questions"]) == ("retired", kept["questions"])
    for event, payload in (("test:publish", {}), ("test:update", own_test())):
        asking = ask(server, author, event, test_id=kept["id"], **payload)
        assert await refusal(asking) == "conflict"


async def test_lists_have_pages_and_are_searched(server: Instance, author: Person) -> None:
    for number in range(3):
        await publish_test(server, author, title=f"100% of sleep_{number}")
    page = await ask(server, author, "test:list", skip=1, limit=1, query="SLEEP")
    assert (page["total"], page["skip"], page["limit"]) == (3, 1, 1)
    assert [item["title"] for item in page["items"]] == ["100% of sleep_1"]
    assert len(await list_titles(server, author, query="0% of")) == 3
    assert await list_titles(server, author, query="p%1") == []
    assert await list_titles(server, author, code="phq-9") == [
        "Patient Health Questionnaire (PHQ-9)"
    ]


async def test_an_institution_loads_the_text_of_a_skeleton(server: Instance) -> None:
    admin, patient = await server.add_person(Role.ADMIN), await server.add_person()
    skeleton = await find_test(server, admin, "who-5")
    assert skeleton["status"] == "draft"
    assert (await ask(server, patient, "test:list", code="who-5"))["total"] == 0
    refused = ask(server, admin, "test:publish", test_id=skeleton["id"])
    assert await refusal(refused) == "invalid"
    loaded = load_text(skeleton)

    for wrong, path in (
        ({**loaded, "questions": loaded["questions"][:4]}, "questions"),
        ({**loaded, "change": None}, "change"),
        ({**loaded, "scales": [{**loaded["scales"][0], "factor": 5}]}, "scales"),
    ):
        _, body = await server.request(
            "POST", f"/events{SPACE}/test:update", wrong, token=admin.token
        )
        assert [(f["path"], f["code"]) for f in body["error"]["fields"]] == [
            (path, "not_as_shipped")
        ]
    await ask(server, admin, "test:update", **loaded)
    await ask(server, admin, "test:publish", test_id=skeleton["id"])
    test = await find_test(server, patient, "who-5")
    assert test["wording"] == {"version": "1", "provenance": "ours"}
    status, result = await send(server, patient, test, answer(test, [1, 1, 1, 2, 2]))
    assert (status, result["total"], result["severity"]["code"]) == (201, 28, "very_low")


def load_text(skeleton: Any) -> dict[str, Any]:
    """What an admin sends who has the text."""
    bands = [(0, "very_low"), (29, "low"), (51, "adequate")]
    return {
        "test_id": skeleton["id"],
        "title": {"en": "WHO-5"},
        "wordings": {"en": {"version": "1", "provenance": "ours"}},
        "change": {"higher_is_worse": False, "caseness": 50},
        "scales": [
            {
                "method": "factor",
                "factor": 4,
                "bands": [
                    {"least": least, "code": code, "text": {"en": code}} for least, code in bands
                ],
            }
        ],
        "questions": [
            {
                "code": question["code"],
                "text": {"en": f"The text of {question['code']}"},
                "options": [
                    {"text": {"en": f"{option['score']}"}, "score": option["score"]}
                    for option in question["options"]
                ],
            }
            for question in skeleton["questions"]
        ],
    }


async def test_a_shipped_test_is_no_psychologist_s(server: Instance, author: Person) -> None:
    test = await find_test(server, author, PHQ9)
    asking = ask(server, author, "test:delete", test_id=test["id"])
    assert await refusal(asking) == "not_found"


async def test_starting_again_adds_nothing(start: Any) -> None:
    first = await start()
    person = await first.add_person()
    before = await ask(first, person, "test:list")
    await install(first.runtime)
    assert await ask(first, person, "test:list") == before
