"""Exports: who gets an archive, how often, for how long, and what it costs to make one."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from handlers.accounts.declared import EXPORT_TIMEOUT
from handlers.accounts.exports import forget_archives
from handlers.uploads import remove_blob
from jobs.upkeep import plan_upkeep
from server.context import Context
from storage import accounts
from storage.accounts import Role
from storage.outbox import Job
from tests.command import Shell
from tests.conftest import StartInstance
from tests.devices import register
from tests.exports import ask_for_export, list_exports, take_along, wait_for_export
from tests.files import PDF, fetch, list_traces, upload
from tests.instance import Instance
from tests.snapshots import exports_snapshot, fold
from tests.stand_ins.fcm import FcmStandIn
from tests.stand_ins.s3 import run_s3
from tests.stand_ins.waiting import eventually, set_clock
from tests.test_uploads_memory import FLAT, MB, SIZE, read_peak, stream

ACCOUNT = "/account"


async def test_everybody_is_told_once_and_the_list_says_the_same(server: Instance) -> None:
    person = await server.add_person()
    devices = [await server.connect(person, ACCOUNT, "/notifications") for _ in range(2)]
    before = exports_snapshot(await list_exports(server, person))

    status, body = await ask_for_export(server, person)

    assert (status, body) == (202, None)
    for device in devices:
        told = await device.wait_for("export:ready", namespace=ACCOUNT)
        note = await device.wait_for("notification:created", namespace="/notifications")
        assert (note.data["type"], note.data["data"]) == ("export", {"export_id": told.data["id"]})
        assert note.data["title"] == "Your data is ready"
        await device.ask("export:list", namespace=ACCOUNT)
        pushes = device.pushes(ACCOUNT)
        assert len(pushes) == 1
        after = exports_snapshot(await list_exports(server, person))
        assert fold(before, pushes, person.id) == after


async def test_it_is_pushed_to_phones(start: StartInstance, fcm: FcmStandIn) -> None:
    server = await start(**fcm.settings)
    person = await server.add_person()
    await register(server, person, "phone")
    await ask_for_export(server, person)
    told = await wait_for_export(server, person)

    await set_clock(server, ahead=timedelta(seconds=10))
    (push,) = await fcm.wait_for()

    assert push["notification"]["title"] == "Your data is ready"
    assert push["data"]["export_id"] == str(told["id"])
    # The link opens everything: it goes nowhere but to the person's own connections.
    assert "signature" not in json.dumps(push)


async def test_asking_again_makes_no_other_until_hours_later(start: StartInstance) -> None:
    waiting = await start(jobs=False)
    person = await waiting.add_person()
    answers = [await ask_for_export(waiting, person) for _ in range(3)]
    assert answers == [(202, None)] * 3
    server = await start()
    await set_clock(server, ahead=timedelta(minutes=1))
    first = await wait_for_export(server, person)
    device = await server.connect(person, ACCOUNT, after=0)

    status, refused = await ask_for_export(server, person)

    assert (status, refused["error"]["code"]) == (429, "rate_limited")
    assert timedelta(hours=5) < timedelta(seconds=refused["error"]["retry_after"])
    other = await server.add_person()
    assert await ask_for_export(server, other) == (202, None)
    await set_clock(server, ahead=timedelta(hours=6, minutes=1))
    assert await ask_for_export(server, person) == (202, None)
    second = await wait_for_export(server, person, count=2)
    assert second["id"] != first["id"]
    await device.wait_for("export:ready", namespace=ACCOUNT, count=2)
    assert [told.event for told in device.pushes(ACCOUNT)] == ["export:ready"] * 2


async def test_a_link_that_was_told_long_ago_is_told_anew(server: Instance) -> None:
    person = await server.add_person()
    taken = await take_along(server, person)

    await set_clock(server, ahead=timedelta(hours=3))
    device = await server.connect(person, ACCOUNT, after=0)
    told = (await device.wait_for("export:ready", namespace=ACCOUNT)).data

    assert (await fetch(server, taken.told["url"])).status == 410
    part = await fetch(server, told["url"], headers={"Range": "bytes=-100"})
    assert (part.status, len(part.body)) == (206, 100)
    assert part.headers["Cache-Control"] == "no-store"
    assert part.headers["Content-Type"] == "application/zip"
    assert told["file_name"] in part.headers["Content-Disposition"]
    assert part.headers["Content-Disposition"].startswith("attachment")
    # Whoever is signed in needs no link.
    place = f"/account/exports/{told['id']}"
    assert (await fetch(server, place, person)).status == 200
    assert (await fetch(server, place, await server.add_person(Role.ADMIN))).status == 404


async def test_an_archive_is_forgotten_after_a_week(server: Instance) -> None:
    person = await server.add_person()
    taken = await take_along(server, person)
    assert len(await list_traces(server)) == 1

    await set_clock(server, ahead=timedelta(days=7, minutes=-5))
    person = await server.sign_in(person.email)
    fresh = (await list_exports(server, person))["items"][0]
    assert (await fetch(server, fresh["url"])).status == 200
    await set_clock(server, ahead=timedelta(days=7, minutes=5))
    person = await server.sign_in(person.email)
    assert (await list_exports(server, person))["items"] == []
    assert (await fetch(server, f"/account/exports/{taken.told['id']}", person)).status == 404
    await plan_upkeep(server.runtime)
    await set_clock(server, ahead=timedelta(days=7, hours=2))

    async def is_gone() -> bool:
        return not await list_traces(server)

    await eventually(is_gone, "the archive to be gone")


async def test_it_is_not_among_the_files_and_takes_none_of_their_room(
    start: StartInstance,
) -> None:
    server = await start(upload_quota_mb=1)
    person = await server.add_person()
    large = PDF + bytes(800_000)
    await upload(server, person, large, type="application/pdf", purpose="goal")
    await take_along(server, person)
    await upload(server, person, PDF, type="application/pdf", purpose="goal")

    await set_clock(server, ahead=timedelta(hours=7))
    await ask_for_export(server, person)
    second = await wait_for_export(server, person, count=2)

    assert second["size"] < 2 * len(large)


@pytest.mark.embedded
async def test_it_comes_from_the_store_and_goes_there(start: StartInstance) -> None:
    async with run_s3() as s3:
        server = await start(**s3.settings)
        person = await server.add_person()
        large = PDF + bytes(20 * MB)
        await upload(server, person, large, type="application/pdf", purpose="goal")

        taken = await take_along(server, person)

        (path,) = [name for name in taken.files if name.startswith("files/")]
        assert taken.files[path] == large
        part = await fetch(server, taken.told["url"], headers={"Range": "bytes=0-3"})
        assert (part.status, part.body) == (206, b"PK\x03\x04")
        assert await s3.list_unfinished() == []
        assert [key.partition("/")[0] for key in await s3.list_keys()] == ["export", "goal"]
        # Nothing stays in the server's own folders.
        assert len(await list_traces(server)) == 1


@pytest.mark.embedded
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to look into")
async def test_files_are_never_whole_in_memory(shell: Shell) -> None:
    async with shell.serve() as served:
        server = served.instance
        person, other = await server.add_person(), await server.add_person()
        # What the first export loads stays.
        await take_along(server, other)
        await upload(server, person, stream(), type="application/pdf", purpose="goal")
        before = read_peak(served.process.pid)

        await ask_for_export(server, person)
        told = await wait_for_export(server, person)

        assert told["size"] > SIZE
        assert read_peak(served.process.pid) - before < FLAT


async def test_bytes_of_one_in_the_making_go_when_nobody_can_be_at_it(
    start: StartInstance,
) -> None:
    server = await start(jobs=False)
    person = await server.add_person()
    await ask_for_export(server, person)
    async with Context.open(server.runtime) as ctx:
        export = await accounts.find_last_export(ctx.db, person.id)
        assert export is not None
        for _ in range(2):
            await accounts.begin_export(ctx.db, export.id)
    async with Context.open(server.runtime) as ctx:
        forget_archives(ctx, await accounts.delete_exports(ctx.db, person.id))

    async with server.runtime.database.session(write=False) as db:
        rows = list(await db.scalars(select(Job).where(Job.job == remove_blob.name)))
    now = server.runtime.clock()
    assert sorted(str(row.key).rpartition("/")[0] for row in rows) == ["export/1", "export/2"]
    assert all(row.due_at - now > timedelta(seconds=EXPORT_TIMEOUT) for row in rows)
