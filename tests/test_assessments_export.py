"""Results to take along: valid FHIR, tables, and the results as they are."""

import csv
import json
import subprocess
import tempfile
from io import StringIO
from typing import Any

from fhir.resources.R4B.bundle import Bundle

from tests.conftest import StartInstance
from tests.instance import Instance, Person
from tests.nodejs import FOLDER, find_node
from tests.questionnaires import (
    GAD7,
    PHQ9,
    SPACE,
    answer,
    publish_test,
    send,
    submit,
)
from tests.talks import refusal

ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"


async def export(server: Instance, person: Person, format: str, **wanted: Any) -> Any:
    asked = {"format": format, **wanted}
    return await server.ask(person, SPACE, "result:export", asked)


def list_resources(text: str) -> list[Any]:
    """The resources of a bundle, which the validator takes."""
    Bundle.model_validate_json(text)
    return [entry["resource"] for entry in json.loads(text)["entry"]]


def list_problems(text: str) -> list[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        command = [find_node("fhir"), str(FOLDER / "validate_fhir.mjs"), file.name]
        run = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert not run.stderr, run.stderr
    return run.stdout.splitlines()


async def test_fhir_of_shipped_tests(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    result = await submit(server, patient, PHQ9, [1, 2, 1, 2, 1, 2, 1, 2, 1, 3])
    await submit(server, patient, GAD7, [2, 3, 2, 1, 2, 1, 2])

    file = await export(server, patient, "fhir")

    assert (file["file_name"], file["file_type"], file["total"]) == (
        *("results.fhir.json", "application/fhir+json", 2),
    )
    resources = list_resources(file["text"])
    kinds = [one["resourceType"] for one in resources]
    assert kinds == [
        *("Questionnaire", "Questionnaire"),
        *("QuestionnaireResponse", "Observation", "QuestionnaireResponse", "Observation"),
    ]
    (questionnaire,) = [one for one in resources if one["id"] == "phq-9-1"]
    assert [item["linkId"] for item in questionnaire["item"]][-3:] == [
        *("/44260-8", "/69722-7", "/44261-6")
    ]
    stem, first, *_ = questionnaire["item"]
    assert (stem["linkId"], stem["type"]) == ("/instructions", "display")
    assert stem["text"].startswith("Over the last 2 weeks")
    often = first["answerOption"][3]["valueCoding"]
    for said, name, russian in (
        (questionnaire, "title", "Опросник"),
        (stem, "text", "Как часто"),
        (first, "text", "Вам не хотелось ничего делать"),
        (often, "display", "Почти каждый день"),
    ):
        (translation,) = said[f"_{name}"]["extension"]
        language, content = translation["extension"]
        assert language["valueCode"] == "ru"
        assert content["valueString"].startswith(russian)
    assert questionnaire["code"][0]["code"] == "44249-1"
    assert "Pfizer" in questionnaire["copyright"]
    (response,) = [one for one in resources if one["id"] == f"result-{result['id']}"]
    assert response["questionnaire"] == f"{questionnaire['url']}|1"
    assert response["subject"] == {"reference": f"Patient/{patient.id}"}
    assert response["item"][0]["answer"] == [
        {
            "valueCoding": {
                "system": "http://loinc.org",
                "code": "LA6569-3",
                "display": "Several days",
                "extension": [{"url": ORDINAL, "valueDecimal": 1}],
            }
        }
    ]
    assert response["item"][9]["answer"][0]["valueCoding"]["code"] == "LA6574-3"
    assert response["item"][-1] == {"linkId": "/44261-6", "answer": [{"valueDecimal": 13}]}
    (total,) = [one for one in resources if one["id"] == f"total-{result['id']}"]
    assert total["code"]["coding"][0]["code"] == "44261-6"
    assert total["valueQuantity"]["value"] == 13
    assert total["interpretation"] == [{"text": "Moderate symptoms"}]
    assert total["derivedFrom"] == [{"reference": f"QuestionnaireResponse/{response['id']}"}]
    theirs = await export(server, psychologist, "fhir", patient_id=patient.id)
    assert theirs == file


async def test_fhir_of_own_tests(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    test = await publish_test(server, psychologist, missing={"max_missing": 1})
    await send(server, patient, test, answer(test, [2]))

    questionnaire, response, total = list_resources((await export(server, patient, "fhir"))["text"])

    assert questionnaire["url"].endswith(f"/fhir/Questionnaire/test-{test['id']}")
    assert [item["linkId"] for item in questionnaire["item"]] == ["/q1", "/q2", "/total"]
    answered, missing, _ = response["item"]
    coding = answered["answer"][0]["valueCoding"]
    assert (coding["code"], coding["display"]) == ("q1-2", "Yes")
    assert "answer" not in missing
    assert (total["valueQuantity"]["value"], total["interpretation"]) == (
        *(4, [{"text": "Poor sleep"}]),
    )


async def test_fhir_is_what_r4_allows(start: StartInstance) -> None:
    """By a validator of R4 itself: what is used here of R4B is the same."""
    server = await start(prorated_tests=(GAD7,))
    psychologist, patient = await server.connect_pair()
    await server.ask(patient, "/account", "profile:update", {"locale": "ru"})
    patient = await server.sign_in(patient.email)
    await submit(server, patient, PHQ9, [1, 2, 1, 2, 1, 2, 1, 2, 1, 3])
    await submit(server, patient, GAD7, [2, 3, 2, 1, 2, 1, None])
    test = await publish_test(server, psychologist, missing={"max_missing": 1})
    await send(server, patient, test, answer(test, [2]))

    text = (await export(server, patient, "fhir"))["text"]

    assert not list_problems(text)
    assert list_problems(text.replace('"completed"', '"done"'))


async def test_tables_and_json(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    results = [await submit(server, patient, PHQ9, [0] * 8 + [n]) for n in (0, 1)]
    for result in results:
        del result["crisis"]

    file = await export(server, psychologist, "csv", patient_id=patient.id)
    rows = list(csv.DictReader(StringIO(file["text"])))
    assert (file["file_name"], file["file_type"]) == ("results.csv", "text/csv")
    assert [(row["id"], row["test"], row["total"]) for row in rows] == [
        (str(result["id"]), "phq-9", str(result["total"])) for result in reversed(results)
    ]
    assert rows[0]["flags"] == "safety"
    assert rows[0]["answers"].split()[-2:] == ["phq9_9=1", "phq9_10="]
    page = await export(server, patient, "json", limit=1)
    assert json.loads(page["text"]) == {"items": results[1:], "total": 2, "skip": 0, "limit": 1}
    assert list(csv.DictReader(StringIO((await export(server, psychologist, "csv"))["text"]))) == []


async def test_whose_results_may_be_taken_along(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    other = await server.add_person()
    await server.ask(patient, "/care", "relation:end", {"user_id": psychologist.id})
    for person in (psychologist, other):
        for kind in ("fhir", "csv", "json"):
            asking = export(server, person, kind, patient_id=patient.id)
            assert await refusal(asking) == "not_found"
    assert await refusal(export(server, patient, "pdf")) == "invalid"
