"""Uploads over time: room for so many, what nobody uses goes, and nothing stays by accident."""

import asyncio
import os
import threading
from datetime import timedelta

import pytest

from handlers.uploads import make_thumbnail, remove_blob
from handlers.uploads.payloads import MakeThumbnail, RemoveBlob
from server.context import Context
from storage import uploads
from storage.uploads import NewUpload
from tests.conftest import StartInstance
from tests.files import (
    PDF,
    fetch,
    fill_form,
    list_traces,
    post,
    read_upload,
    upload,
    wait_for_jobs,
    wait_for_thumbnail,
    wait_until_clean,
)
from tests.instance import Instance
from tests.stand_ins.pictures import draw
from tests.stand_ins.waiting import eventually, set_clock

MB = 1024 * 1024
A_DAY = timedelta(days=1, hours=2)


async def test_everybody_has_room_for_so_much(start: StartInstance) -> None:
    server = await start(upload_quota_mb=1)
    person, other = await server.add_person(), await server.add_person()
    large = PDF + bytes(700_000)
    await upload(server, person, large, type="application/pdf")
    before = await list_traces(server)

    status, answer = await post(server, person, fill_form(large, type="application/pdf"))

    assert (status, answer["error"]["code"]) == (409, "quota_exceeded")
    assert await list_traces(server) == before
    await upload(server, person, PDF, type="application/pdf")
    await upload(server, other, large, type="application/pdf")


async def test_room_is_not_given_twice(start: StartInstance) -> None:
    server = await start(upload_quota_mb=1)
    person = await server.add_person()
    large = PDF + bytes(700_000)

    answers = await asyncio.gather(
        *(post(server, person, fill_form(large, type="application/pdf")) for _ in range(3))
    )

    assert sorted(status for status, _ in answers) == [201, 409, 409]


async def test_what_nobody_uses_is_gone_after_a_day(server: Instance) -> None:
    person = await server.add_person()
    picture = await upload(server, person, draw("PNG", (400, 400)))
    await wait_for_thumbnail(server, picture["id"])
    avatar = await upload(server, person, purpose="avatar")
    await wait_for_thumbnail(server, avatar["id"])
    change = {"avatar_upload_id": avatar["id"]}
    await server.ask(person, "/account", "profile:update", change)

    await set_clock(server, ahead=timedelta(hours=23))
    await wait_for_jobs(server)
    assert await read_upload(server, picture["id"]) is not None
    await set_clock(server, ahead=A_DAY)

    async def is_gone() -> bool:
        # The picture and its thumbnail; the avatar's row and both of its own stay.
        return len(await list_traces(server)) == 3

    await eventually(is_gone, "what nobody uses to go")
    assert await read_upload(server, avatar["id"]) is not None
    person = await server.sign_in(person.email)
    assert (await fetch(server, f"/uploads/{picture['id']}", person)).status == 404
    assert (await fetch(server, f"/uploads/{avatar['id']}", person)).status == 200


async def test_what_a_dead_process_left_is_gone_after_a_day(server: Instance) -> None:
    """Killed after its row was written: before the bytes were kept, and right after that."""
    person = await server.add_person()
    blobs = server.runtime.settings.data_dir / "blobs" / "message"
    blobs.mkdir(parents=True)
    (blobs / "second").write_bytes(PDF)
    ids = []
    for key in ("message/first", "message/second"):
        async with Context.open(server.runtime) as ctx:
            new = NewUpload(
                person.id, "message", "a.pdf", "application/pdf", 9, "", None, None, key
            )
            row = await uploads.reserve_upload(ctx.db, new, quota=MB, now=ctx.now)
            assert row is not None
            ids.append(row.id)
    for upload_id in ids:
        assert (await fetch(server, f"/uploads/{upload_id}", person)).status == 404

    await set_clock(server, ahead=A_DAY)

    await wait_until_clean(server)


async def test_files_on_their_way_in_do_not_outlive_a_dead_process(start: StartInstance) -> None:
    first = await start()
    incoming = first.runtime.settings.data_dir / "incoming"
    folder = incoming / "tmpabc"
    folder.mkdir(parents=True)
    old = [incoming / "old.part", folder / "whole", folder]
    young = incoming / "young.part"
    for path in (old[0], old[1], young):
        path.write_bytes(PDF)
    for path in old:
        os.utime(path, (0, 0))

    await start()

    assert list(incoming.iterdir()) == [young]


async def test_a_store_that_fails_leaves_nothing(server: Instance) -> None:
    person = await server.add_person()
    blobs = server.runtime.settings.data_dir / "blobs"
    blobs.mkdir()
    (blobs / "message").write_bytes(b"in the way")

    status, _ = await post(server, person, fill_form())

    assert status == 500
    (blobs / "message").unlink()
    await wait_until_clean(server)
    await upload(server, person)


async def test_a_thumbnail_that_comes_too_late_goes_too(server: Instance) -> None:
    """The image is discarded, with all its bytes, while its small picture is being made."""
    person = await server.add_person()
    answer = await upload(server, person, purpose="avatar")
    await wait_for_thumbnail(server, answer["id"])
    change = {"avatar_upload_id": answer["id"]}
    await server.ask(person, "/account", "profile:update", change)
    release = threading.Event()
    busy = [asyncio.create_task(server.runtime.images.run(release.wait)) for _ in range(2)]
    try:
        await ask_for_thumbnail(server, answer["id"])
        incoming = server.runtime.settings.data_dir / "incoming"

        async def is_waiting() -> bool:
            return bool(list(incoming.glob("*/whole")))

        await eventually(is_waiting, "the job to wait for a thread")
        await server.ask(person, "/account", "profile:update", {"avatar_upload_id": None})
        blobs = server.runtime.settings.data_dir / "blobs"

        async def are_removed() -> bool:
            return not [path for path in blobs.rglob("*") if path.is_file()]

        await eventually(are_removed, "the bytes to be removed")
    finally:
        release.set()
    await asyncio.gather(*busy)

    await wait_for_jobs(server)
    await wait_until_clean(server)


async def ask_for_thumbnail(server: Instance, upload_id: int) -> None:
    async with Context.open(server.runtime) as ctx:
        ctx.enqueue(make_thumbnail, MakeThumbnail(upload_id=upload_id), key=str(upload_id))


@pytest.mark.parametrize("count", [1, 3])
async def test_removing_bytes_twice_is_no_harm(server: Instance, count: int) -> None:
    person = await server.add_person()
    answer = await upload(server, person, purpose="avatar")
    row = await read_upload(server, answer["id"])
    assert row is not None
    change = {"avatar_upload_id": answer["id"]}
    await server.ask(person, "/account", "profile:update", change)
    await server.ask(person, "/account", "profile:update", {"avatar_upload_id": None})
    await wait_until_clean(server)

    for _ in range(count):
        async with Context.open(server.runtime) as ctx:
            ctx.enqueue(remove_blob, RemoveBlob(key=row.blob_key))
    await wait_for_jobs(server)

    await upload(server, person)
