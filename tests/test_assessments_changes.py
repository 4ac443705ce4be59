"""What has become of a person between results, and which may be held against each other."""

from typing import Any

from tests.instance import Instance
from tests.questionnaires import (
    GAD7,
    PHQ9,
    SPACE,
    answer,
    own_test,
    publish_test,
    send,
    submit,
)
from tests.talks import refusal


async def test_what_has_become_of_a_person(server: Instance) -> None:
    patient = await server.add_person()
    totals = [
        await submit(server, patient, PHQ9, scores)
        for scores in ([2] * 8 + [0], [1] * 8 + [0], [1, 1, 1] + [0] * 6, [2] * 8 + [0])
    ]
    assert [result["total"] for result in totals] == [16, 8, 3, 16]
    assert [set(result["flags"]) - {"major_syndrome"} for result in totals] == [
        set(),
        {
            *("reliable_improvement", "noticeable_improvement", "recovery"),
            *("reliable_recovery", "response", "lighter_band"),
        },
        {
            *("reliable_improvement", "noticeable_improvement", "recovery", "remission"),
            *("reliable_recovery", "response", "lighter_band"),
        },
        set(),
    ]
    ids = [result["id"] for result in totals]
    found = await server.ask(patient, SPACE, "result:compare", {"result_ids": ids[1:]})
    assert [item["id"] for item in found["items"]] == ids[1:]
    assert [step["difference"] for step in found["steps"]] == [-5, 13]
    assert found["steps"][0]["flags"] == [
        *("noticeable_improvement", "response", "remission", "lighter_band")
    ]
    assert (found["whole"]["difference"], found["whole"]["from_id"]) == (8, ids[1])
    assert "reliable_deterioration" in found["whole"]["flags"]


async def test_only_results_of_one_person_and_test_are_compared(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    other = await server.add_person()
    await server.relate(psychologist, other)
    mine = (await submit(server, patient, PHQ9, [0] * 9))["id"]
    anxious = (await submit(server, patient, GAD7, [0] * 7))["id"]
    theirs = (await submit(server, other, PHQ9, [0] * 9))["id"]

    for ids in ([mine, anxious], [mine, theirs], [mine, mine]):
        asking = server.ask(psychologist, SPACE, "result:compare", {"result_ids": ids})
        assert await refusal(asking) == "invalid"
    for person, ids in ((patient, [mine, theirs]), (patient, [mine, 999_999])):
        asking = server.ask(person, SPACE, "result:compare", {"result_ids": ids})
        assert await refusal(asking) == "not_found"


async def test_versions_that_are_scored_otherwise_are_not_compared(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    first = await publish_test(server, psychologist)
    about = {"test_id": first["id"]}
    results = [(await send(server, patient, first, answer(first, [2, 2])))[1]]
    for changes in (own_test(title="Another title"), own_test(questions=[question(2, 9)] * 2)):
        await server.ask(psychologist, SPACE, "test:update", {**about, **changes})
        test = await server.ask(psychologist, SPACE, "test:publish", about)
        results.append((await send(server, patient, test, answer(test, [2, 2])))[1])
    low, other = answer(first, [0, 0]), answer(test, [9, 9])
    results += [(await send(server, patient, *asked))[1] for asked in ((first, low), (test, other))]

    assert [result["version"] for result in results] == [1, 2, 3, 1, 3]
    assert [result["flags"] for result in results] == [[], [], [], ["lighter_band"], []]
    ids = [result["id"] for result in results]
    found = await server.ask(patient, SPACE, "result:compare", {"result_ids": [ids[1], ids[3]]})
    assert found["whole"]["difference"] == -4
    for pair in (ids[1:3], [ids[0], ids[4]]):
        asking = server.ask(patient, SPACE, "result:compare", {"result_ids": pair})
        assert await refusal(asking) == "invalid"


def question(*scores: float) -> dict[str, Any]:
    options = [{"text": f"{score}", "score": score} for score in scores]
    return {"text": "How do you sleep?", "options": options}
