"""Uploads in an S3: through the server on their way in, straight from the store on their way out."""

from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession

from tests.conftest import StartInstance
from tests.files import (
    PDF,
    fetch,
    fill_form,
    list_traces,
    post,
    upload,
    wait_for_jobs,
    wait_for_thumbnail,
)
from tests.instance import Instance
from tests.stand_ins.pictures import draw, load
from tests.stand_ins.s3 import S3StandIn, run_s3
from tests.stand_ins.waiting import eventually, set_clock

# Bytes do not go into a database: once is enough.
pytestmark = pytest.mark.embedded


@pytest.fixture
async def s3() -> AsyncIterator[S3StandIn]:
    async with run_s3() as s3:
        yield s3


@pytest.fixture
async def server(start: StartInstance, s3: S3StandIn) -> Instance:
    return await start(**s3.settings)


async def test_a_file_comes_straight_from_the_store(server: Instance, s3: S3StandIn) -> None:
    person = await server.add_person()
    content = draw("PNG", (400, 400))
    answer = await upload(server, person, content, name="Фото.png")
    await wait_for_thumbnail(server, answer["id"])

    fetched = await fetch(server, answer["url"])
    small = await fetch(server, answer["thumbnail_url"])

    assert (fetched.status, fetched.body) == (200, content)
    assert fetched.headers["Content-Type"] == "image/png"
    assert "%D0%A4%D0%BE%D1%82%D0%BE.png" in fetched.headers["Content-Disposition"]
    assert load(small.body).size == (320, 320)
    assert len(await s3.list_keys()) == 2
    # Nothing stays in the server's own folders.
    assert await list_traces(server) == [f"row {answer['id']}"]


async def test_the_server_only_says_where_the_file_is(server: Instance, s3: S3StandIn) -> None:
    person = await server.add_person()
    answer = await upload(server, person)
    place = urlsplit(answer["url"])
    url = f"{server.url}{place.path}?{place.query}"

    async with ClientSession() as session, session.get(url, allow_redirects=False) as response:
        status, location = response.status, response.headers["Location"]

    assert (status, location.startswith(f"{s3.url}/{s3.bucket}/message/")) == (302, True)
    assert "X-Amz-Signature=" in location
    stranger = await server.add_person()
    assert (await fetch(server, place.path, stranger)).status == 404


async def test_ranges_work_over_the_redirect(server: Instance) -> None:
    person = await server.add_person()
    content = PDF * 100
    answer = await upload(server, person, content, type="application/pdf")

    part = await fetch(server, answer["url"], headers={"Range": "bytes=100-199"})

    assert (part.status, part.body) == (206, content[100:200])


async def test_a_large_file_goes_up_in_pieces(server: Instance, s3: S3StandIn) -> None:
    person = await server.add_person()
    content = PDF + bytes(20 * 1024 * 1024)

    answer = await upload(server, person, content, type="application/pdf")

    assert (await fetch(server, answer["url"])).body == content
    assert await s3.list_unfinished() == []


async def test_what_goes_is_gone_from_the_store(server: Instance, s3: S3StandIn) -> None:
    person = await server.add_person()
    answer = await upload(server, person)
    await wait_for_thumbnail(server, answer["id"])

    await set_clock(server, ahead=timedelta(days=1, hours=2))

    async def is_empty() -> bool:
        return not await s3.list_keys()

    await eventually(is_empty, "the store to be empty")
    await wait_for_jobs(server)


async def test_while_the_store_is_away_nothing_is_taken(
    start: StartInstance, s3: S3StandIn
) -> None:
    server = await start(**{**s3.settings, "s3_bucket": "nobodys"})
    person = await server.add_person()

    status, answer = await post(server, person, fill_form())

    assert (status, answer["error"]["code"]) == (503, "unavailable")
    assert answer["error"]["retryable"]
    assert await list_traces(server) == []
