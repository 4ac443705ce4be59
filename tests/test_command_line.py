"""The command line: what operators ask for, and what they are told."""

import asyncio
import json
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from handlers import demo
from handlers.accounts.declared import welcome
from handlers.accounts.payloads import Registered
from server.context import Context
from storage import dead_jobs, outbox
from storage.accounts import Role
from storage.outbox import Job
from tests.backend import SCALED, Backend
from tests.command import FILES, ROOT, Shell, copy_project
from tests.conftest import StartInstance
from tests.instance import PASSWORD, Instance

DOCUMENTS = ("docs/asyncapi.json", "docs/openapi.json", "README.md", ".env.example")
PRODUCTION = {
    "ENVIRONMENT": "production",
    "JWT_SECRET_KEY": "j" * 32,
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nowhere",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "SMTP_URL": "smtps://nobody:secret@127.0.0.1:9",
    "S3_BUCKET": "nowhere",
    "FIREBASE_CREDENTIALS": "nowhere.json",
    "AI_BASE_URL": "https://127.0.0.1:9",
    "AI_API_KEY": "nobody's",
    "AI_MODEL": "none",
    "PUBLIC_URL": "https://emotrack.example",
    "RATE_LIMIT_SCALE": "1",
}


async def sign_in(server: Instance, email: str, password: str) -> tuple[int, Any]:
    return await server.request("POST", "/auth/login", {"email": email, "password": password})


async def test_migrating_twice_is_harmless(fresh: Backend) -> None:
    shell = Shell(fresh)
    assert await shell.do("migrate") == ""
    assert await shell.do("migrate") == ""
    assert json.loads(await shell.do("user", "create", "a@example.com", "--role", "admin"))["id"]


async def test_a_created_user_is_printed_and_may_sign_in(shell: Shell, server: Instance) -> None:
    printed = await shell.do(
        "user", "create", "Anna@Example.com", "--role", "psychologist", given=f"{PASSWORD}\n"
    )

    status, session = await sign_in(server, "anna@example.com", PASSWORD)
    assert status == 200
    assert json.loads(printed) == session["user"]
    assert {"name": "Anna", "role": "psychologist", "status": "active"}.items() <= (
        session["user"].items()
    )


@pytest.mark.embedded
async def test_users_who_cannot_be_created_are_refused_in_one_line(
    shell: Shell, server: Instance
) -> None:
    taken = await server.add_person()
    refused = [
        (taken.email.upper(), "", "email_taken: "),
        ("no address", "", "invalid: "),
        ("boris@example.com", "password", "invalid: This password is among the commonest"),
    ]
    outcomes = await asyncio.gather(
        *(
            shell.run("user", "create", email, "--role", "patient", given=f"{password}\n")
            for email, password, _ in refused
        )
    )
    for outcome, (_, _, complaint) in zip(outcomes, refused, strict=True):
        assert outcome.complaint.startswith(f"run.py: {complaint}")
        assert outcome.out == ""
    assert (await sign_in(server, "boris@example.com", "password"))[0] == 401


@pytest.mark.embedded
async def test_an_unknown_role_is_refused(shell: Shell) -> None:
    outcome = await shell.run("user", "create", "a@example.com", "--role", "wizard")
    assert outcome.code == 2
    assert "invalid choice: 'wizard'" in outcome.err.splitlines()[-1]


async def test_a_printed_session_works_on_a_server_beside_it(
    shell: Shell, server: Instance
) -> None:
    person = await server.add_person()

    printed = await shell.do("user", "token", person.email.upper())

    assert "\n" not in printed
    session = json.loads(printed)
    assert session["user"]["id"] == person.id
    assert set(session) == {"user", "access_token", "refresh_token", "token_type", "expires_in"}
    client = await server.connect(session["access_token"])
    assert (await client.wait_for("stream:ready")).data["reset"] is False
    body = {"refresh_token": session["refresh_token"]}
    assert (await server.request("POST", "/auth/refresh", body))[0] == 200


async def test_an_approved_psychologist_may_work(shell: Shell, server: Instance) -> None:
    who = {"email": "yana@example.com", "password": PASSWORD, "role": "psychologist"}
    _, session = await server.request("POST", "/auth/register", who)
    patient = await server.add_person()

    async def invite() -> int:
        body, token = {"email": patient.email}, session["access_token"]
        return (await server.request("POST", "/events/care/relation:invite", body, token=token))[0]

    assert await invite() == 403
    printed = await shell.do("user", "approve", "yana@example.com")
    assert json.loads(printed)["status"] == "active"
    assert await invite() == 200


async def test_a_partners_server_signs_in_with_its_key(shell: Shell, server: Instance) -> None:
    merchant = await server.add_person(Role.MERCHANT)

    key = json.loads(await shell.do("user", "key", merchant.email))

    status, session = await server.request("POST", "/auth/token", key)
    assert (status, session["user"]["id"]) == (200, merchant.id)
    assert session["refresh_token"] is None
    client = await server.connect(session["access_token"], "/account")
    profile = await client.ask("profile:get", namespace="/account")
    assert profile == session["user"]
    wrong = {**key, "client_secret": "wrong"}
    assert (await server.request("POST", "/auth/token", wrong))[0] == 401


@pytest.mark.embedded
async def test_people_who_are_not_there_are_refused_in_one_line(shell: Shell) -> None:
    outcomes = await asyncio.gather(
        *(shell.run("user", action, "nobody@example.com") for action in ("token", "block"))
    )
    for outcome in outcomes:
        assert outcome.complaint.startswith("run.py: not_found: ")


async def test_seed_says_how_to_sign_in_and_twice_is_harmless(
    shell: Shell, server: Instance
) -> None:
    told = await shell.do("seed")
    again = await shell.do("seed")

    assert again.splitlines() == ["The demo people are there already.", *told.splitlines()]
    password = told.splitlines()[0].partition("'")[2].partition("'")[0]
    assert password == demo.PASSWORD
    emails = [line.split()[0] for line in told.splitlines()[1:]]
    assert len(emails) == len(demo.PEOPLE)
    for email in emails:
        assert (await sign_in(server, email, password))[0] == 200
    _, session = await sign_in(server, "boris@example.com", password)
    client = await server.connect(session["access_token"])
    chats = await client.ask("chat:list")
    assert chats["items"][0]["last_message"]["seq"] == len(demo.TALK)


@pytest.mark.embedded
async def test_seed_is_refused_in_production(shell: Shell) -> None:
    outcome = await shell.run("seed", variables=PRODUCTION)
    assert "not in production" in outcome.complaint


@pytest.mark.embedded
async def test_unsafe_settings_are_refused_in_one_line(shell: Shell) -> None:
    outcome = await shell.run("serve", variables={"ENVIRONMENT": "production"})
    assert "JWT_SECRET_KEY is missing" in outcome.complaint


async def test_check_says_what_works(shell: Shell) -> None:
    lines = (await shell.do("check")).splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", "settings:"],
        ["ok", "database:"],
        ["ok", "redis:"],
        ["ok", "mail:"],
        ["ok", "push:"],
        ["ok", "ai:"],
        ["ok", "blobs:"],
        ["warn", "crisis"],
    ]
    assert ("postgresql" if SCALED else "sqlite") in lines[1]


@pytest.mark.embedded
async def test_check_says_what_does_not_work(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    outcome = await shell.run(
        "check",
        variables={
            "SMTP_URL": f"smtp://127.0.0.1:{port}",
            "REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "AI_BASE_URL": f"http://127.0.0.1:{port}",
            "AI_API_KEY": "nobody's",
            "AI_MODEL": "none",
        },
    )
    assert outcome.complaint == "run.py: something does not work"
    told = [line.split()[:2] for line in outcome.out.splitlines()]
    assert told == [
        ["ok", "settings:"],
        ["ok", "database:"],
        ["FAIL", "redis:"],
        ["FAIL", "mail:"],
        ["ok", "push:"],
        ["FAIL", "ai:"],
        ["ok", "blobs:"],
        ["warn", "crisis"],
    ]


async def test_check_says_that_migrations_are_missing(fresh: Backend) -> None:
    outcome = await Shell(fresh).run("check")
    assert outcome.code == 1
    assert "FAIL  database: " in outcome.out


@pytest.mark.embedded
async def test_docs_writes_what_is_checked_in(shell: Shell, tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    for name in DOCUMENTS:
        if name not in FILES or name == ".env.example":
            (project / name).unlink()

    printed = await shell.do("docs", root=project)

    assert sorted(printed.splitlines()) == sorted(DOCUMENTS)
    for name in DOCUMENTS:
        stale = f"{name} is not what is declared: run `make docs`"
        assert (project / name).read_text("utf-8") == (ROOT / name).read_text("utf-8"), stale


@pytest.mark.embedded
async def test_dead_jobs_are_listed_tried_again_and_dropped(
    shell: Shell, start: StartInstance
) -> None:
    server = await start(jobs=False)
    first, second = [await add_dead_job(server) for _ in range(2)]

    listed = [json.loads(line) for line in (await shell.do("jobs", "list")).splitlines()]
    assert [(job["id"], job["job"], job["error"]) for job in listed] == [
        (second, "accounts.welcome", "crashed"),
        (first, "accounts.welcome", "crashed"),
    ]
    assert "payload" not in listed[0]
    assert await shell.do("jobs", "list", "--job", "other") == ""
    assert "their ids, or --all" in (await shell.run("jobs", "drop")).complaint
    assert "only 0 of these" in (await shell.run("jobs", "retry", "999")).complaint

    assert await shell.do("jobs", "retry", str(first)) == "1 jobs"
    assert await shell.do("jobs", "drop", "--all") == "1 jobs"
    assert await shell.do("jobs", "list") == ""
    async with server.runtime.database.session(write=False) as db:
        (again,) = await db.scalars(select(Job))
    assert (again.id, again.failures, again.crashes) == (first, 0, 0)


async def add_dead_job(server: Instance) -> int:
    async with Context.open(server.runtime) as ctx:
        ctx.enqueue(welcome, Registered(user_id=1))
    async with Context.open(server.runtime) as ctx:
        (job_id,) = await ctx.db.scalars(select(Job.id))
        row = await outbox.claim_job(ctx.db, job_id, now=ctx.now, lease=timedelta(minutes=1))
        assert row is not None
        await dead_jobs.bury(ctx.db, row, now=ctx.now, error="crashed")
    return int(job_id)
