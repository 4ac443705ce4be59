"""Tests that people answer, over the wire."""

from collections.abc import Sequence
from typing import Any

from tests.client import Client
from tests.instance import Instance, Person

SPACE = "/assessments"

PHQ9, GAD7 = "phq-9", "gad-7"


async def find_test(server: Instance, person: Person, code: str) -> Any:
    """A shipped test with its questions."""
    listed = await server.ask(person, SPACE, "test:list", {"code": code})
    (summary,) = listed["items"]
    return await server.ask(person, SPACE, "test:get", {"test_id": summary["id"]})


def answer(test: Any, scores: Sequence[float | None]) -> list[dict[str, Any]]:
    """The answers with these scores to the first questions; None where one is left out."""
    return [
        {"question_id": question["id"], "option_id": find_option(question, score)}
        for question, score in zip(test["questions"], scores, strict=False)
        if score is not None
    ]


def find_option(question: Any, score: float) -> int:
    (option_id,) = [option["id"] for option in question["options"] if option["score"] == score]
    found: int = option_id
    return found


async def send(
    server: Instance, person: Person, test: Any, answers: Any, **more: Any
) -> tuple[int, Any]:
    """The status and the body of what submitting is answered with."""
    body = {"answers": answers, **more}
    return await server.request("POST", f"/tests/{test['id']}/submit", body, token=person.token)


async def catch_up(device: Client) -> None:
    """Until the device has heard whatever was told before this moment on its instance."""
    await device.ask("test:list", namespace=SPACE)


async def submit(
    server: Instance, person: Person, code: str, scores: Sequence[float | None], **more: Any
) -> Any:
    """The result of answering a shipped test with these scores."""
    test = await find_test(server, person, code)
    status, result = await send(server, person, test, answer(test, scores), **more)
    assert status == 201, result
    return result


def own_test(**changes: Any) -> dict[str, Any]:
    """A small test as a psychologist writes it."""
    options = [{"text": "No", "score": 0}, {"text": "Yes", "score": 2}]
    return {
        "title": "How is your sleep?",
        "questions": [
            {"text": "Do you fall asleep late?", "options": options},
            {"text": "Do you wake up early?", "options": options},
        ],
        "scales": [
            {
                "bands": [
                    {"least": 0, "code": "fine", "text": "All is well"},
                    {"least": 3, "code": "poor", "text": "Poor sleep"},
                ]
            }
        ],
        **changes,
    }


async def create_test(server: Instance, author: Person, **changes: Any) -> Any:
    return await server.ask(author, SPACE, "test:create", own_test(**changes))


async def publish_test(server: Instance, author: Person, **changes: Any) -> Any:
    test = await create_test(server, author, **changes)
    return await server.ask(author, SPACE, "test:publish", {"test_id": test["id"]})
