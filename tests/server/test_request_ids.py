"""One id follows a request: from socket or HTTP into its lines in the log, and into its jobs."""

import asyncio
from collections.abc import Iterator

import pytest
from aiohttp import ClientSession

from storage.accounts import Role
from tests.conftest import StartInstance
from tests.instance import Instance, Person
from tests.server.trial import PLACE
from tests.stand_ins.journal import Journal, open_journal
from tests.stand_ins.waiting import eventually

ORIGIN = "https://app.example.com"
INVITE, LETTER = "/care relation:invite", "care.mail_invitation"


@pytest.fixture
def journal() -> Iterator[Journal]:
    with open_journal() as journal:
        yield journal


async def wait_for_job(journal: Journal, job: str) -> str:
    """The request that the job came of, once it is done."""

    async def find() -> str:
        done = journal.find("job.done", job=job)
        return done[0]["request_id"] if done else ""

    return await eventually(find, f"{job} is done")


async def test_a_request_on_a_socket_is_followed_into_its_job(
    server: Instance, journal: Journal
) -> None:
    client = await server.connect(await server.add_person(Role.PSYCHOLOGIST), "/care")

    await client.ask("relation:invite", {"email": "new@example.com"}, namespace="/care")
    await client.ask("relation:list", {}, namespace="/care")

    request_id = await wait_for_job(journal, LETTER)
    (invited,) = journal.find("call", call=INVITE)
    (listed,) = journal.find("call", call="/care relation:list")
    assert invited["request_id"] == request_id
    assert listed["request_id"] != request_id


async def test_a_request_over_http_is_told_the_id_that_its_job_carries(
    server: Instance, journal: Journal
) -> None:
    person = await server.add_person(Role.PSYCHOLOGIST)
    async with (
        ClientSession() as session,
        session.post(
            f"{server.url}/events/care/relation:invite",
            json={"email": "new@example.com"},
            headers={"Authorization": f"Bearer {person.token}", "X-Request-Id": "an-id-of-mine"},
        ) as response,
    ):
        assert response.status == 200
        told = response.headers["X-Request-Id"]

    assert told != "an-id-of-mine"
    assert await wait_for_job(journal, LETTER) == told
    assert [line["request_id"] for line in journal.find("call", call=INVITE)] == [told]


async def test_every_answer_over_http_has_an_id_that_web_clients_may_read(
    start: StartInstance,
) -> None:
    server = await start(cors_origins=[ORIGIN])
    ids = set()
    async with ClientSession() as session:
        for path in ("/health/live", "/docs", "/nowhere", "/events/chat", "/auth/login"):
            async with session.get(server.url + path, headers={"Origin": ORIGIN}) as response:
                ids.add(response.headers["X-Request-Id"])
                assert response.headers["Access-Control-Expose-Headers"] == "X-Request-Id"
    assert len(ids) == 5


async def test_requests_that_are_done_together_keep_ids_of_their_own(
    kernel: Instance, journal: Journal
) -> None:
    people = [await kernel.add_person() for _ in range(3)]
    clients = [await kernel.connect(person, PLACE) for person in people]

    await asyncio.gather(
        *(
            client.ask("many:add", {"number": number}, namespace=PLACE)
            for client in clients
            for number in range(4)
        )
    )

    calls = journal.find("call", call=f"{PLACE} many:add")
    batches = journal.find("call", call=f"{PLACE} many:add batch")
    ids = [call["request_id"] for call in calls]
    assert len(set(ids)) == len(ids) == 12
    assert sorted(one for batch in batches for one in batch["request_ids"]) == sorted(ids)
    for batch in batches:
        together = batch["request_ids"]
        assert (batch["request_id"] in ids) == (len(together) == 1)


async def test_a_request_that_spoils_its_batch_is_found_by_its_id(
    kernel: Instance, person: Person, journal: Journal
) -> None:
    client = await kernel.connect(person, PLACE)

    await asyncio.gather(
        *(client.ask("many:add", {"number": number}, namespace=PLACE) for number in (1, 13, 2)),
        return_exceptions=True,
    )

    (call,) = journal.find("call", call=f"{PLACE} many:add", outcome="internal")
    assert journal.find("call.failed", request_id=call["request_id"])
