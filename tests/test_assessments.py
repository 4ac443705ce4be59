"""Answering tests: what it comes to, once, and whom it is told."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from storage.accounts import Role
from tests.instance import Instance, Person
from tests.questionnaires import (
    GAD7,
    PHQ9,
    SPACE,
    answer,
    catch_up,
    create_test,
    find_option,
    find_test,
    own_test,
    publish_test,
    send,
    submit,
)
from tests.talks import refusal

EVENT = "result:created"


async def list_results(server: Instance, person: Person, **wanted: Any) -> list[Any]:
    answer = await server.ask(person, SPACE, "result:list", wanted)
    items: list[Any] = answer["items"]
    return items


async def test_a_test_is_answered(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    devices = [await server.connect(one, SPACE) for one in (patient, psychologist)]
    test = await find_test(server, patient, PHQ9)

    status, result = await send(server, patient, test, answer(test, [1, 2, 1, 2, 1, 2, 1, 2, 0, 1]))

    assert status == 201
    questions = test["questions"]
    assert {key: result[key] for key in result if key not in ("id", "created_at", "crisis")} == {
        "test_id": test["id"],
        "code": "phq-9",
        "title": "Patient Health Questionnaire (PHQ-9)",
        "version": 1,
        "language": "en",
        "user_id": patient.id,
        "total": 12,
        "severity": {"code": "moderate", "text": "Moderate symptoms"},
        "scales": [
            {
                "code": "total",
                "total": 12,
                "severity": {"code": "moderate", "text": "Moderate symptoms"},
            }
        ],
        "breakdown": [
            {
                "question_id": question["id"],
                "option_id": find_option(question, score),
                "score": score,
            }
            for question, score in zip(questions, [1, 2, 1, 2, 1, 2, 1, 2, 0, 1], strict=True)
        ],
        "complete": True,
        "prorated": False,
        "flags": ["other_syndrome"],
    }
    assert result["crisis"] is None
    del result["crisis"]
    for device in devices:
        assert (await device.wait_for(EVENT, namespace=SPACE)).data == result
    assert await list_results(server, patient) == [result]
    asked = {"patient_id": patient.id}
    listed = await server.ask(psychologist, SPACE, "result:patient", asked)
    assert listed["items"] == [result]
    for person in (patient, psychologist):
        assert await server.ask(person, SPACE, "result:get", {"result_id": result["id"]}) == result


async def test_shipped_tests_are_there_in_both_languages(server: Instance) -> None:
    person = await server.add_person()
    listed = await server.ask(person, SPACE, "test:list", {})
    assert [item["code"] for item in listed["items"]] == ["phq-9", "phq-2", "gad-7", "gad-2"]
    assert listed["total"] == 4
    assert not [item for item in listed["items"] if "questions" in item]
    english = await find_test(server, person, GAD7)
    await server.ask(person, "/account", "profile:update", {"locale": "ru"})
    person = await server.sign_in(person.email)
    russian = await find_test(server, person, GAD7)

    first, other = english["questions"][0], russian["questions"][0]
    assert (
        (first["id"], first["loinc"]) == (other["id"], other["loinc"]) == (first["id"], "69725-0")
    )
    assert first["text"] == "Feeling nervous, anxious, or on edge"
    assert other["text"] == "Вы нервничали, тревожились или испытывали сильный стресс"
    assert [option["text"] for option in other["options"]] == [
        *("Ни разу", "Несколько дней", "Более недели", "Почти каждый день")
    ]
    assert english["languages"] == ["en", "ru"]
    assert (english["language"], russian["language"]) == ("en", "ru")
    assert "LOINC" in english["licence"]["notice"]
    assert russian["wording"]["provenance"].startswith("phqscreeners.com, Russian")
    result = await submit(server, person, GAD7, [2, 3, 2, 1, 2, 1, 2])
    assert (result["total"], result["severity"]["code"]) == (13, "moderate")
    assert result["severity"]["text"] == "Умеренная выраженность симптомов"
    assert result["language"] == "ru"


async def test_each_is_told_in_their_own_language(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    await server.ask(psychologist, "/account", "profile:update", {"locale": "ru"})
    device = await server.connect(psychologist, SPACE)

    result = await submit(server, patient, PHQ9, [0] * 9)

    told = (await device.wait_for(EVENT, namespace=SPACE)).data
    assert result["severity"]["text"] == "Minimal symptoms"
    assert told["severity"]["text"] == "Минимальная выраженность симптомов"
    assert told["id"] == result["id"]


@pytest.mark.parametrize(("ten", "flags"), [(None, []), (0, []), (3, [])])
async def test_question_ten_is_asked_and_never_scored(
    server: Instance, ten: int | None, flags: list[str]
) -> None:
    patient = await server.add_person()
    result = await submit(server, patient, PHQ9, [0] * 9 + [ten])
    assert (result["total"], result["complete"], result["flags"]) == (0, True, flags)


async def test_what_is_missing_is_refused(server: Instance) -> None:
    patient = await server.add_person()
    test = await find_test(server, patient, PHQ9)
    first, second = answer(test, [1] * 8), answer(test, [1] * 9)
    second[4]["option_id"] = None

    for answers, code in ((first, "phq9_9"), (second, "phq9_5")):
        status, body = await send(server, patient, test, answers)
        assert (status, body["error"]["code"]) == (422, "invalid")
        (field,) = body["error"]["fields"]
        assert (field["path"], field["code"]) == ("answers", "unanswered")
        assert code in field["message"]
    assert await list_results(server, patient) == []


async def test_what_is_asked_nowhere_is_refused(server: Instance) -> None:
    patient = await server.add_person()
    test, other = [await find_test(server, patient, code) for code in (PHQ9, GAD7)]
    right, foreign = answer(test, [1] * 9), answer(other, [1])
    wrong: list[tuple[Any, str, str]] = [
        ([*right, right[0]], "answers.9.question_id", "repeated"),
        ([*right, *foreign], "answers.9.question_id", "unknown_question"),
        (
            [*right[:8], {**right[8], "option_id": right[0]["option_id"]}],
            *("answers.8.option_id", "unknown_option"),
        ),
        ([{"question_id": 999_999, "option_id": 1}], "answers.0.question_id", "unknown_question"),
    ]
    for answers, path, code in wrong:
        status, body = await send(server, patient, test, answers)
        assert (status, body["error"]["code"]) == (422, "invalid")
        assert (path, code) in [(f["path"], f["code"]) for f in body["error"]["fields"]]
    shapeless: list[dict[str, Any]] = [{}, {"answers": None}, {"answers": [{}]}]
    for bad in (*shapeless, {"answers": right, "more": 1}):
        path = f"/tests/{test['id']}/submit"
        status, body = await server.request("POST", path, bad, token=patient.token)
        assert (status, body["error"]["code"]) == (422, "invalid")
    assert await list_results(server, patient) == []


async def test_a_test_that_may_lack_answers(start: Any) -> None:
    server = await start(prorated_tests=("phq-9",))
    patient = await server.add_person()
    test = await find_test(server, patient, PHQ9)
    answers = answer(test, [2] * 8)
    answers.append({"question_id": test["questions"][8]["id"], "option_id": None})

    status, result = await send(server, patient, test, answers)

    assert (status, result["total"], result["prorated"], result["complete"]) == (
        *(201, 18, True, False),
    )
    assert result["flags"] == ["safety_unanswered", "major_syndrome"]
    assert result["breakdown"][8]["score"] is None
    status, _ = await send(server, patient, test, answers[:6])
    assert status == 422


async def test_a_repeated_request_is_one_result(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    device = await server.connect(psychologist, SPACE)
    ref = str(uuid4())

    results = [await submit(server, patient, PHQ9, [0] * 9, client_ref=ref) for _ in range(2)]

    assert results[0] == results[1]
    assert len(await list_results(server, patient)) == 1
    await catch_up(device)
    assert [told.event for told in device.pushes(SPACE)] == [EVENT]
    test = await find_test(server, patient, PHQ9)
    status, body = await send(server, patient, test, answer(test, [1] * 9), client_ref=ref)
    assert (status, body["error"]["code"]) == (409, "conflict")
    again = await submit(server, patient, PHQ9, [0] * 9)
    assert again["id"] != results[0]["id"]


async def test_twins_at_the_same_moment_are_one_result(server: Instance) -> None:
    patient = await server.add_person()
    test = await find_test(server, patient, PHQ9)
    answers, ref = answer(test, [0] * 8 + [1]), str(uuid4())

    outcomes = await asyncio.gather(
        *(send(server, patient, test, answers, client_ref=ref) for _ in range(4))
    )

    assert {status for status, _ in outcomes} == {201}
    assert len({body["id"] for _, body in outcomes}) == 1
    assert len(await list_results(server, patient)) == 1


async def test_results_are_found_by_test_and_time(server: Instance) -> None:
    patient = await server.add_person()
    await server.ask(patient, "/account", "profile:update", {"time_zone": "Asia/Kathmandu"})
    results = [await submit(server, patient, code, [0] * 9) for code in (PHQ9, PHQ9, "phq-2")]
    by_test = await list_results(server, patient, test_id=results[2]["test_id"])
    assert [item["id"] for item in by_test] == [results[2]["id"]]
    page = await server.ask(patient, SPACE, "result:list", {"skip": 1, "limit": 1})
    assert (page["total"], [item["id"] for item in page["items"]]) == (3, [results[1]["id"]])
    later = await list_results(server, patient, **{"from": results[1]["created_at"]})
    assert [item["id"] for item in later] == [results[2]["id"], results[1]["id"]]
    earlier = await list_results(server, patient, to=results[1]["created_at"])
    assert [item["id"] for item in earlier] == [results[0]["id"]]
    for bounds, count in (
        ({"from": "2020-01-01", "to": "2020-12-31"}, 0),
        ({"from": "2020-01-01"}, 3),
        ({"to": "2020-01-01"}, 0),
    ):
        assert len(await list_results(server, patient, **bounds)) == count
    for wrong in (
        {"from": "2026-02-30"},
        {"from": "2026-01-01T00:00:00"},
        {"from": 5},
        {"from": "2026-01-02", "to": "2026-01-01"},
        {"to": "9999-12-31"},
    ):
        asking = server.ask(patient, SPACE, "result:list", wrong)
        assert await refusal(asking) == "invalid", wrong


async def test_only_published_tests_are_answered(server: Instance) -> None:
    psychologist = await server.add_person(Role.PSYCHOLOGIST)
    patient = await server.add_person()
    draft = await create_test(server, psychologist)
    answers = answer(draft, [0, 2])

    assert (await send(server, patient, draft, answers))[0] == 404
    assert (await send(server, patient, {"id": 999_999}, answers))[0] == 404
    assert (await send(server, psychologist, draft, answers))[0] == 403
    await server.ask(psychologist, SPACE, "test:publish", {"test_id": draft["id"]})
    status, result = await send(server, patient, draft, answers)
    assert (status, result["total"], result["severity"]) == (
        201,
        2,
        {"code": "fine", "text": "All is well"},
    )
    gone = await server.ask(psychologist, SPACE, "test:delete", {"test_id": draft["id"]})
    assert gone == {"test_id": draft["id"], "status": "retired"}
    status, body = await send(server, patient, draft, answers)
    assert (status, body["error"]["code"]) == (409, "conflict")
    del result["crisis"]
    assert await list_results(server, patient) == [result]


async def test_a_version_that_was_begun_may_be_finished(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    first = await publish_test(server, psychologist)
    change = {"test_id": first["id"], **new_version()}
    await server.ask(psychologist, SPACE, "test:update", change)
    second = await server.ask(psychologist, SPACE, "test:publish", {"test_id": first["id"]})

    old = (await send(server, patient, first, answer(first, [2, 2])))[1]
    new = (await send(server, patient, second, answer(second, [5])))[1]

    assert (old["version"], old["total"], old["severity"]["code"]) == (1, 4, "poor")
    assert (new["version"], new["total"], new["severity"]) == (2, 5, None)
    assert [r["version"] for r in await list_results(server, patient)] == [2, 1]
    asked = {"test_id": first["id"], "version": 1}
    assert (await server.ask(patient, SPACE, "test:get", asked))["questions"] == first["questions"]


def new_version() -> dict[str, Any]:
    options = [{"text": "Bad", "score": 0}, {"text": "Good", "score": 5}]
    return {"title": "Sleep", "questions": [{"text": "How do you sleep?", "options": options}]}


async def test_scales_have_bands_of_their_own(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    scales = [
        {
            "code": code,
            "items": [item],
            "bands": [
                {"least": 0, "code": "low", "text": f"Little {what}"},
                {"least": 2, "code": "high", "text": f"Much {what}"},
            ],
        }
        for code, item, what in (("total", "q1", "sorrow"), ("fear", "q2", "fear"))
    ]
    test = await publish_test(server, psychologist, scales=scales)

    _, result = await send(server, patient, test, answer(test, [2, 2]))

    assert result["severity"] == {"code": "high", "text": "Much sorrow"}
    assert [scale["severity"]["text"] for scale in result["scales"]] == ["Much sorrow", "Much fear"]


async def test_who_refuses_an_answer_has_not_answered_zero(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    refused = [{"text": "I would not say", "score": None}, {"text": "I do not know", "score": None}]
    questions = [
        {**question, "options": [*question["options"], *refused]}
        for question in own_test()["questions"] * 2
    ]
    strict, lenient = [
        await publish_test(server, psychologist, questions=questions, missing={"max_missing": most})
        for most in (0, 1)
    ]

    for number in (2, 3):
        answers = answer(strict, [2, 2, 2, 2])
        answers[1]["option_id"] = strict["questions"][1]["options"][number]["id"]
        status, body = await send(server, patient, strict, answers)
        assert (status, body["error"]["fields"][0]["code"]) == (422, "unanswered")
    answers = answer(lenient, [2, 2, 0, 2])
    answers[2]["option_id"] = lenient["questions"][2]["options"][2]["id"]
    status, result = await send(server, patient, lenient, answers)
    assert (status, result["total"], result["prorated"]) == (201, 8, True)
    assert result["breakdown"][2] == {**answers[2], "score": None}


async def test_submitting_is_limited(start: Any) -> None:
    server = await start(rate_limit_scale=1)
    patient = await server.add_person()
    test = await find_test(server, patient, "phq-2")
    answers = answer(test, [0, 0])
    statuses = [(await send(server, patient, test, answers))[0] for _ in range(11)]
    assert statuses == [201] * 10 + [429]
