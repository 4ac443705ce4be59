"""Workers and schedulers as processes of their own: killed, restarted, without Redis, overrun."""

import asyncio
import socket
from datetime import timedelta

import pytest
from aiohttp import ClientSession
from sqlalchemy import func, select

from handlers.accounts.declared import welcome
from handlers.accounts.payloads import Registered
from jobs.perform import MAX_CRASHES
from server.context import Context
from server.outgoing import Queue
from server.work import WAKE_TRUST
from storage import outbox
from storage.accounts import Role
from storage.dead_jobs import DeadJob
from storage.outbox import Job, NewJob
from tests.backend import SCALED, Backend, Databases
from tests.command import Shell, read_memory
from tests.conftest import StartInstance
from tests.doomed import Doom
from tests.instance import PASSWORD, Instance, start_instance
from tests.server.own_redis import OwnRedis
from tests.stand_ins.letters import ask_for_letter, wait_until_sent
from tests.stand_ins.smtp import SmtpStandIn
from tests.stand_ins.waiting import eventually

MANY = 2_000
NOBODY = 10**9
CHUNK = 1000
ROOM = 64 * 1024
"""Kilobytes that a worker may grow by, whatever there is to do."""


async def add_jobs(server: Instance, count: int) -> None:
    """Jobs that nobody has been told of; there is nobody to welcome, so they are quick."""
    payload = Registered(user_id=NOBODY).model_dump_json()
    for _ in range(0, count, CHUNK):
        async with Context.open(server.runtime) as ctx:
            new = NewJob(welcome.name, None, Queue.GENERAL, payload, "", ctx.now)
            some = [new] * min(count, CHUNK)
            ctx.write(outbox.add_jobs(some, now=ctx.now, trust=timedelta(0)))


async def wait_until_done(server: Instance) -> None:
    async def is_done() -> bool:
        async with server.runtime.database.session(write=False) as db:
            left = await db.scalar(select(func.count()).where(Job.job == welcome.name))
        return left == 0

    await eventually(is_done, "an empty outbox", patience=240)


@pytest.mark.scaled
async def test_a_worker_elsewhere_does_the_job_and_its_pushes_arrive(
    start: StartInstance, shell: Shell
) -> None:
    server = await start(jobs=False)
    port = str(find_free_port())
    async with shell.start("worker", "--metrics-port", port), shell.start("scheduler"):
        psychologist = await server.add_person(Role.PSYCHOLOGIST)
        client = await server.connect(psychologist, "/care")
        await server.ask(psychologist, "/care", "relation:invite", {"email": "new@example.com"})
        new = {"email": "new@example.com", "password": PASSWORD}
        status, session = await server.request("POST", "/auth/register", new)
        assert status == 201

        told = await client.wait_for("relation:invited", namespace="/care")
        metrics = await read_metrics(f"http://127.0.0.1:{port}/metrics")

    assert (told.data["patient"]["id"], told.seq) == (session["user"]["id"], 1)
    assert 'emotrack_jobs_total{name="accounts.welcome",outcome="ok"} 1.0' in metrics


@pytest.mark.scaled
async def test_a_killed_workers_job_is_taken_over(
    start: StartInstance, shell: Shell, smtp: SmtpStandIn
) -> None:
    server = await start(jobs=False)
    person = await server.add_person()
    smtp.may_pass.clear()
    variables = {"SMTP_URL": smtp.url}
    async with shell.start("scheduler"), shell.start("worker", variables=variables) as worker:
        await ask_for_letter(server, person)
        await smtp.wait_for_knock()
        worker.kill()
        await worker.wait()

        async with shell.start("worker", variables=variables):
            await smtp.wait_for_knock(2, patience=30)
            smtp.may_pass.set()
            await wait_until_sent(server)

    letters = smtp.find(person.email)
    assert len({letter["Message-ID"] for letter in letters}) == 1


async def test_a_worker_that_leaves_hands_back_what_it_cannot_end(
    start: StartInstance, smtp: SmtpStandIn, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.worker.LEAVE_AFTER", 0.1)
    smtp.may_pass.clear()
    async with start_instance(backend, smtp_url=smtp.url) as server:
        person = await server.add_person()
        await ask_for_letter(server, person)
        await smtp.wait_for_knock()

    successor = await start(smtp_url=smtp.url)
    async with asyncio.timeout(5):
        await smtp.wait_for_knock(2)
    smtp.may_pass.set()
    await wait_until_sent(successor)


@pytest.mark.scaled
async def test_a_redis_that_comes_back_empty_loses_no_job(
    own_redis: OwnRedis, backend: Backend, smtp: SmtpStandIn
) -> None:
    own = Backend(backend.database_url, own_redis.url, backend.data_dir)
    shell = Shell(own)
    async with start_instance(own, jobs=False) as server:
        people = [await server.add_person() for _ in range(8)]
        async with (
            shell.start("scheduler"),
            shell.start("worker", variables={"SMTP_URL": smtp.url}),
        ):
            await ask_for_letter(server, people[0])
            await smtp.wait_for(to=people[0].email)
            await own_redis.kill()
            for person in people[1:]:
                await ask_for_letter(server, person)
            await own_redis.start()

            await smtp.wait_for(len(people), patience=30)
            await wait_until_sent(server)
    assert sorted(letter["To"] for letter in smtp.letters) == sorted(p.email for p in people)


async def test_schedulers_that_tick_at_once_wake_each_job_once(start: StartInstance) -> None:
    servers = [await start(jobs=False) for _ in range(1 + 2 * SCALED)]
    await add_jobs(servers[0], 100)

    async def tick(server: Instance) -> list[int]:
        async with Context.open(server.runtime) as ctx:
            wakes = await outbox.wake_overdue(
                ctx.db, Queue.GENERAL, now=ctx.now, trust=WAKE_TRUST, limit=60
            )
        return [wake.job_id for wake in wakes]

    told = await asyncio.gather(*(tick(server) for server in servers * 3))

    woken = [job_id for ids in told for job_id in ids]
    assert len(woken) == len(set(woken))
    assert len(woken) == 100 or SCALED
    assert not [one for server in servers for one in await tick(server) if one in woken]


async def test_a_stuck_provider_holds_up_its_own_queue_alone(
    start: StartInstance, smtp: SmtpStandIn
) -> None:
    server = await start(smtp_url=smtp.url)
    smtp.may_pass.clear()
    for _ in range(30):
        await ask_for_letter(server, await server.add_person())
    await smtp.wait_for_knock(8)

    await add_jobs(server, 20)
    async with asyncio.timeout(10):
        await wait_until_done(server)

    assert smtp.letters == []


async def test_a_job_that_kills_its_workers_is_given_up(
    backend: Backend, databases: Databases, doom: Doom
) -> None:
    async with start_instance(backend, jobs=False) as server:
        await add_jobs(server, 1)

    async with databases.copy(backend) as place:
        for crash in range(MAX_CRASHES + 1):
            # Its claim, the commit of it, and whatever the job does first.
            die_at = 4 if crash < MAX_CRASHES else None
            ahead = timedelta(minutes=crash)
            fate = await asyncio.to_thread(
                doom.run, place.variables, welcome.name, ahead=ahead, die_at=die_at
            )
            assert fate.died == (crash < MAX_CRASHES)
        async with (
            start_instance(place, jobs=False) as server,
            server.runtime.database.session(write=False) as db,
        ):
            dead = (await db.scalars(select(DeadJob))).one()
    assert (dead.job, dead.error, dead.attempts) == (welcome.name, "crashed", MAX_CRASHES + 1)


@pytest.mark.timeout(300)
async def test_thousands_of_jobs_drain_in_bounded_memory(
    start: StartInstance, shell: Shell
) -> None:
    server = await start(jobs=False)
    await add_jobs(server, MANY)
    if SCALED:
        async with shell.start("scheduler"), shell.start("worker") as worker:
            before = read_memory(worker.pid)
            await wait_until_done(server)
            assert read_memory(worker.pid) < before + ROOM
    else:
        async with shell.serve() as served:
            before = read_memory(served.process.pid)
            await wait_until_done(server)
            assert read_memory(served.process.pid) < before + ROOM


@pytest.mark.embedded
async def test_without_redis_there_is_nothing_for_a_worker_to_do(shell: Shell) -> None:
    for command in ("worker", "scheduler"):
        outcome = await shell.run(command)
        assert outcome.complaint == "run.py: without REDIS_URL jobs run inside the server"


async def read_metrics(url: str) -> str:
    async with ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        return await response.text()


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        return int(nobody.getsockname()[1])
