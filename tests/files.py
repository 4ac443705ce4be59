"""Files that people upload, and what tests of them have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientSession, FormData
from multidict import CIMultiDictProxy
from sqlalchemy import select

from storage.outbox import Job
from storage.uploads import Upload
from tests.instance import Instance, Person
from tests.stand_ins.pictures import draw
from tests.stand_ins.waiting import eventually

PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a GET brought."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


def fill_form(
    content: Any = None,
    *,
    name: str = "picture.png",
    type: str = "image/png",
    purpose: str | None = "message",
) -> FormData:
    # Names go as they are, as browsers send them.
    form = FormData(quote_fields=False)
    if purpose is not None:
        form.add_field("purpose", purpose)
    content = draw() if content is None else content
    file = BytesIO(content) if isinstance(content, bytes) else content
    form.add_field("file", file, filename=name, content_type=type or None)
    return form


async def post(server: Instance, person: Person, form: Any) -> tuple[int, Any]:
    return await server.request("POST", "/uploads", token=person.token, data=form)


async def upload(server: Instance, person: Person, content: Any = None, **about: Any) -> Any:
    """Upload a file that is taken."""
    status, answer = await post(server, person, fill_form(content, **about))
    assert status == 201, answer
    return answer


async def refuse(server: Instance, person: Person, content: Any = None, **about: Any) -> Any:
    """The error that a file is answered with; it leaves nothing behind."""
    before = await list_traces(server)
    _, answer = await post(server, person, fill_form(content, **about))
    assert await list_traces(server) == before
    return answer["error"]


async def fetch(
    server: Instance,
    url: str,
    person: Person | None = None,
    headers: Mapping[str, str] | None = None,
) -> Fetched:
    """Get a file by its path or its link, as this person or as nobody."""
    parts = urlsplit(url)
    headers = dict(headers or {})
    if person is not None:
        headers["Authorization"] = f"Bearer {person.token}"
    place = f"{server.url}{parts.path}?{parts.query}"
    async with ClientSession() as session, session.get(place, headers=headers) as response:
        return Fetched(response.status, response.headers, await response.read())


async def read_upload(server: Instance, upload_id: int) -> Upload | None:
    async with server.runtime.database.session(write=False) as db:
        return await db.get(Upload, upload_id)


async def list_traces(server: Instance) -> list[str]:
    """Everything that uploads leave: rows, bytes, and files on their way."""
    folder = server.runtime.settings.data_dir
    async with server.runtime.database.session(write=False) as db:
        rows = [f"row {upload_id}" for upload_id in await db.scalars(select(Upload.id))]
    found = [path for name in ("blobs", "incoming") for path in (folder / name).rglob("*")]
    return sorted([*rows, *(str(path) for path in found if path.is_file())])


async def wait_until_clean(server: Instance) -> None:
    """Until no upload has left anything."""

    async def is_clean() -> bool:
        return not await list_traces(server)

    await eventually(is_clean, "uploads to be gone")


async def wait_for_thumbnail(server: Instance, upload_id: int) -> None:
    async def is_made() -> bool:
        row = await read_upload(server, upload_id)
        return row is not None and row.thumbnail_at is not None

    await eventually(is_made, "a thumbnail")


async def wait_for_jobs(server: Instance) -> None:
    """Until whatever is to be done with files now is done."""

    async def none_is_due() -> bool:
        async with server.runtime.database.session(write=False) as db:
            due = select(Job.id).where(Job.queue == "files").limit(1)
            return await db.scalar(due) is None

    await eventually(none_is_due, "the jobs of files")
