"""Admin: jobs that were given up, seen, tried again and forgotten; and what waits."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from handlers.accounts.declared import mail_recovery, welcome
from handlers.accounts.payloads import RecoveryMail, Registered
from handlers.admin import STEP, drop_jobs, retry_jobs
from jobs.perform import perform
from server.context import Context
from server.outgoing import Job as Declared
from server.outgoing import Queue, Value
from storage import dead_jobs, outbox
from storage.accounts import Role
from storage.audit import AuditEntry
from storage.dead_jobs import DeadJob
from storage.outbox import Job
from tests.client import Client, Refused
from tests.conftest import StartInstance
from tests.instance import Instance

ADMIN = "/admin"
ASKED: dict[str, dict[str, Any]] = {
    "job:list": {},
    "job:retry": {"job_id": 1},
    "job:drop": {"job_id": 1},
    "backlog:get": {},
}
NOBODY = 10**9


@pytest.fixture
async def server(start: StartInstance) -> Instance:
    """Where nothing is done unless a test does it."""
    return await start(jobs=False)


@pytest.fixture
async def admin(server: Instance) -> Client:
    return await server.connect(await server.add_person(Role.ADMIN), ADMIN)


async def list_jobs(server: Instance) -> list[Job]:
    async with server.runtime.database.session(write=False) as db:
        return list(await db.scalars(select(Job).order_by(Job.id)))


async def add_job(
    server: Instance, job: Declared[Value], payload: Value, key: str | None = None
) -> int:
    async with Context.open(server.runtime) as ctx:
        ctx.enqueue(job, payload, key=key)
    return (await list_jobs(server))[-1].id


async def bury(server: Instance, *ids: int) -> None:
    """Give these jobs up."""
    for job_id in ids:
        async with Context.open(server.runtime) as ctx:
            lease = timedelta(seconds=15)
            row = await outbox.claim_job(ctx.db, job_id, now=ctx.now, lease=lease)
            assert row is not None
            await dead_jobs.bury(ctx.db, row, now=ctx.now, error="SMTPDataError")


async def add_dead_letter(server: Instance, email: str) -> int:
    job_id = await add_job(server, mail_recovery, RecoveryMail(email=email, locale="en"), key=email)
    await bury(server, job_id)
    return job_id


async def add_dead_welcomes(server: Instance, count: int) -> None:
    async with Context.open(server.runtime) as ctx:
        payload = Registered(user_id=NOBODY).model_dump_json()
        ctx.db.add_all(
            DeadJob(
                id=number,
                job=welcome.name,
                queue=welcome.queue,
                payload=payload,
                request_id="",
                attempts=12,
                error="KeyError",
                died_at=ctx.now,
            )
            for number in range(NOBODY, NOBODY + count)
        )


async def list_deeds(server: Instance, action: str) -> list[AuditEntry]:
    async with server.runtime.database.session(write=False) as db:
        wanted = select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)
        return list(await db.scalars(wanted))


@pytest.mark.parametrize("role", [role for role in Role if role != Role.ADMIN])
async def test_others_than_admins_are_refused(server: Instance, role: Role) -> None:
    client = await server.connect(await server.add_person(role), ADMIN)

    for event, payload in ASKED.items():
        with pytest.raises(Refused) as refusal:
            await client.ask(event, payload, namespace=ADMIN)
        assert refusal.value.code == "forbidden"


async def test_strangers_are_refused(server: Instance) -> None:
    with pytest.raises(Refused) as refusal:
        await server.connect("a token of nobody", ADMIN)
    assert refusal.value.code == "unauthenticated"

    for event, payload in ASKED.items():
        status, answer = await server.request("POST", f"/events{ADMIN}/{event}", payload)
        assert (status, answer["error"]["code"]) == (401, "unauthenticated")


async def test_dead_jobs_are_listed_without_what_they_were_to_do(
    server: Instance, admin: Client
) -> None:
    first = await add_dead_letter(server, "one@example.com")
    second = await add_job(server, welcome, Registered(user_id=NOBODY))
    await bury(server, second)

    page = await admin.ask("job:list", namespace=ADMIN)
    letters = await admin.ask("job:list", {"job": mail_recovery.name}, namespace=ADMIN)

    assert [one["id"] for one in page["items"]] == [second, first]
    assert letters["total"] == 1
    (letter,) = letters["items"]
    assert letter == {
        "id": first,
        "job": mail_recovery.name,
        "key": "one@example.com",
        "queue": "mail",
        "attempts": 1,
        "error": "SMTPDataError",
        "died_at": letter["died_at"],
        "request_id": letter["request_id"],
    }


async def test_a_dead_job_is_tried_again_from_its_beginning(
    server: Instance, admin: Client
) -> None:
    job_id = await add_dead_letter(server, "one@example.com")

    assert await admin.ask("job:retry", {"job_id": job_id}, namespace=ADMIN) == {}

    (job,) = await list_jobs(server)
    assert (job.id, job.key, job.queue) == (job_id, "one@example.com", "mail")
    assert (job.claims, job.failures, job.crashes, job.error) == (0, 0, 0, None)
    assert job.due_at == job.wake_at <= server.runtime.clock()
    (deed,) = await list_deeds(server, "job.retried")
    assert deed.detail == {"job_ids": [job_id]}
    assert deed.actor_id is not None
    await perform(server.runtime, job_id)
    assert await list_jobs(server) == []
    assert (await admin.ask("job:list", namespace=ADMIN))["total"] == 0


async def test_a_dead_job_that_was_asked_for_again_is_left_to_the_new_one(
    server: Instance, admin: Client
) -> None:
    dead = await add_dead_letter(server, "one@example.com")
    pending = await add_job(
        server,
        mail_recovery,
        RecoveryMail(email="one@example.com", locale="en"),
        key="one@example.com",
    )

    await admin.ask("job:retry", {"job_id": dead}, namespace=ADMIN)

    assert [job.id for job in await list_jobs(server)] == [pending]
    assert (await admin.ask("job:list", namespace=ADMIN))["total"] == 0


async def test_a_dead_job_is_forgotten(server: Instance, admin: Client) -> None:
    job_id = await add_dead_letter(server, "one@example.com")
    kept = await add_dead_letter(server, "two@example.com")

    assert await admin.ask("job:drop", {"job_id": job_id}, namespace=ADMIN) == {}

    page = await admin.ask("job:list", namespace=ADMIN)
    assert [one["id"] for one in page["items"]] == [kept]
    assert await list_jobs(server) == []
    (deed,) = await list_deeds(server, "job.dropped")
    assert deed.detail == {"job_ids": [job_id]}


@pytest.mark.parametrize("event", ["job:retry", "job:drop"])
async def test_a_job_that_is_not_dead_is_not_found(
    server: Instance, admin: Client, event: str
) -> None:
    alive = await add_job(server, welcome, Registered(user_id=NOBODY))
    for job_id in (alive, NOBODY):
        with pytest.raises(Refused) as refusal:
            await admin.ask(event, {"job_id": job_id}, namespace=ADMIN)
        assert refusal.value.code == "not_found"
    assert [job.id for job in await list_jobs(server)] == [alive]


async def test_a_retry_that_is_repeated_is_done_once(server: Instance, admin: Client) -> None:
    job_id = await add_dead_letter(server, "one@example.com")
    request = {"job_id": job_id, "client_ref": str(uuid4())}

    answers = [await admin.ask("job:retry", request, namespace=ADMIN) for _ in range(2)]

    assert answers == [{}, {}]
    assert len(await list_deeds(server, "job.retried")) == 1


async def test_all_dead_jobs_are_settled_in_steps(server: Instance) -> None:
    await add_dead_welcomes(server, STEP + 1)
    async with Context.open(server.runtime) as ctx:
        assert await retry_jobs(ctx) == STEP + 1
    assert len(await list_jobs(server)) == STEP + 1
    assert [len(deed.detail["job_ids"]) for deed in await list_deeds(server, "job.retried")] == [
        STEP,
        1,
    ]

    await bury(server, NOBODY)
    async with Context.open(server.runtime) as ctx:
        assert await drop_jobs(ctx) == 1
    assert len(await list_jobs(server)) == STEP


async def test_the_backlog_tells_what_is_due_in_each_queue(server: Instance, admin: Client) -> None:
    await add_dead_letter(server, "one@example.com")
    for _ in range(2):
        await add_job(server, welcome, Registered(user_id=NOBODY))
    oldest = (await list_jobs(server))[0].due_at

    backlog = await admin.ask("backlog:get", namespace=ADMIN)

    assert backlog["dead"] == 1
    queues = {one["queue"]: one for one in backlog["queues"]}
    assert set(queues) == {queue.value for queue in Queue}
    assert queues["mail"] == {"queue": "mail", "due": 0, "oldest": None}
    assert queues["general"]["due"] == 2
    assert queues["general"]["oldest"] == oldest.isoformat().replace("+00:00", "Z")
