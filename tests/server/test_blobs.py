"""Blobs: a folder and an S3 keep bytes in the same way."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientSession
from yarl import URL

from server.blobs import Blobs, build_blobs
from server.errors import Unavailable
from server.settings import Settings
from tests.stand_ins.s3 import S3StandIn, run_s3

# Bytes do not go into a database: once is enough.
pytestmark = pytest.mark.embedded

DISPOSITION = "inline; filename*=utf-8''%D0%A4.png"


@pytest.fixture
async def s3() -> AsyncIterator[S3StandIn]:
    async with run_s3() as s3:
        yield s3


@pytest.fixture(params=["folder", "s3"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    if request.param == "folder":
        yield build(data_dir=tmp_path)
        return
    async with run_s3() as s3:
        blobs = build(data_dir=tmp_path, **s3.settings)
        yield blobs
        await blobs.close()


def build(**values: Any) -> Blobs:
    return build_blobs(Settings(_env_file=None, **values))


def write(folder: Path, content: bytes) -> Path:
    path = folder / uuid4().hex
    path.write_bytes(content)
    return path


async def read(blobs: Blobs, key: str) -> bytes | None:
    """What a client gets who is sent where the bytes are."""
    place = await blobs.locate(key, type="image/png", disposition=DISPOSITION)
    if isinstance(place, Path):
        return place.read_bytes() if place.exists() else None
    async with ClientSession() as session, session.get(URL(place, encoded=True)) as response:
        if response.status in (403, 404):
            # moto checks a signature only where there is no such key, and then gets it wrong.
            return None
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "image/png"
        assert response.headers["Content-Disposition"] == DISPOSITION
        return await response.read()


@pytest.mark.parametrize("size", [0, 5, 20 * 1024 * 1024], ids=["empty", "small", "large"])
async def test_what_is_kept_comes_back(blobs: Blobs, tmp_path: Path, size: int) -> None:
    content = (b"%08d" % size) * (size // 8) + bytes(size % 8)
    await blobs.put("message/one", write(tmp_path, content), "image/png")

    into = tmp_path / "copy"
    assert await blobs.fetch("message/one", into)
    assert into.read_bytes() == content
    assert await read(blobs, "message/one") == content


async def test_the_same_key_again_is_the_newer_bytes(blobs: Blobs, tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        await blobs.put("message/one", write(tmp_path, content), "image/png")

    assert await read(blobs, "message/one") == b"second"


async def test_what_is_removed_is_gone(blobs: Blobs, tmp_path: Path) -> None:
    await blobs.put("message/one", write(tmp_path, b"one"), "image/png")
    await blobs.put("message/two", write(tmp_path, b"two"), "image/png")

    for _ in range(2):
        await blobs.remove("message/one")

    assert await read(blobs, "message/one") is None
    assert await read(blobs, "message/two") == b"two"
    assert not await blobs.fetch("message/one", tmp_path / "copy")
    await blobs.remove("never/there")


async def test_it_says_where_bytes_go(blobs: Blobs) -> None:
    assert (await blobs.check()).partition(" ")[0] in ("files", "bucket")


async def test_an_s3_that_is_away_is_unavailable(s3: S3StandIn, tmp_path: Path) -> None:
    blobs = build(data_dir=tmp_path, **{**s3.settings, "s3_bucket": "nobodys"})
    with pytest.raises(Unavailable):
        await blobs.check()
    with pytest.raises(Unavailable):
        await blobs.put("message/one", write(tmp_path, b"one"), "image/png")
    await blobs.close()
