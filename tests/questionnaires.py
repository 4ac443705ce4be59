"""Tests that people answer, over the wire."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

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


FILL = (
    """
    INSERT INTO users (id, email, name, role, status, locale, time_zone, contacts, created_at)
    SELECT :people + n, 'psychologist.' || n || '@example.com', 'Psychologist ' || n,
        'psychologist', 'active', 'en', 'UTC', '{}', now()
    FROM generate_series(1, :people / 100) AS n
    """,
    """
    INSERT INTO relations (psychologist_id, patient_id, status, invited_at, since)
    SELECT :people + 1 + (n - 1) / 100, n, 'active', now(), now()
    FROM generate_series(1, :people) AS n
    """,
    """
    INSERT INTO test_results (user_id, test_id, version_id, language, total, severity, scales,
        answers, complete, prorated, flags, created_at)
    SELECT 1 + n % :people, version.test_id, version.id, 'en', n % 22, 'moderate',
        json_build_array(json_build_array('total', n % 22, 'moderate')),
        (SELECT json_agg(json_build_array(q.id, o.id, o.score) ORDER BY q.position)
            FROM questions AS q JOIN answer_options AS o ON o.question_id = q.id
            WHERE q.version_id = version.id AND o.position = n % 4),
        true, false, '[]', timestamptz '2026-01-01 00:00Z' - n / :people * interval '14 hours'
    FROM generate_series(0, :results - 1) AS n
    JOIN LATERAL (
        SELECT v.id, v.test_id FROM test_versions AS v JOIN tests AS t ON t.id = v.test_id
        WHERE t.code = CASE n / :people % 2 WHEN 0 THEN 'phq-9' ELSE 'gad-7' END
    ) AS version ON true
    """,
    """
    INSERT INTO latest_results (user_id, test_id, result_id)
    SELECT DISTINCT ON (user_id, test_id) user_id, test_id, id FROM test_results
    ORDER BY user_id, test_id, created_at DESC, id DESC
    """,
    """
    INSERT INTO alerts (patient_id, result_id, question_id, score, status, for_admins, raised_at)
    SELECT r.user_id, r.id, q.id, 1,
        CASE WHEN r.id % 100 < 50 THEN 'resolved' ELSE 'open' END, r.id % 7 = 0, r.created_at
    FROM test_results AS r JOIN questions AS q
        ON q.version_id = r.version_id AND q.code = 'phq9_9'
    WHERE r.id % :alarming = 0
    """,
    "ANALYZE users, relations, test_results, latest_results, alerts, questions, answer_options",
)
"""For PostgreSQL, where the tests and people are: a psychologist for each hundred, and results."""


async def fill_results(url: str, *, people: int, results: int, alarming: int = 50) -> None:
    """As many results of each person, the latest on New Year of 2026; some of them alarming.

    One in so many, where the test is PHQ-9.
    """
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        for statement in FILL:
            given = {"people": people, "results": results, "alarming": alarming}
            wanted = {name: value for name, value in given.items() if f":{name}" in statement}
            await connection.execute(text(statement), wanted)
    await engine.dispose()
