"""Images: nothing but the picture is kept, upright, and a small one is made of it."""

import hashlib
from typing import Any

import pytest

from handlers.uploads import make_thumbnail
from handlers.uploads.payloads import MakeThumbnail
from server.context import Context
from tests.files import (
    fetch,
    list_traces,
    upload,
    wait_for_jobs,
    wait_for_thumbnail,
)
from tests.instance import Instance, Person
from tests.stand_ins.pictures import (
    PLACE,
    animate,
    draw,
    insert_chunk,
    insert_segment,
    load,
    save,
    take_photo,
    tell_place,
    write_on_png,
)

# What is made of pictures is the same on any database: once is enough.
pytestmark = pytest.mark.embedded

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
async def person(server: Instance) -> Person:
    return await server.add_person()


async def keep(server: Instance, person: Person, content: bytes) -> tuple[Any, bytes]:
    """What the server says of an image, and what it has kept of it."""
    answer = await upload(server, person, content)
    kept = (await fetch(server, answer["url"])).body
    assert answer["size"] == len(kept)
    assert answer["sha256"] == hashlib.sha256(kept).hexdigest()
    return answer, kept


def is_near(colour: Any, other: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 40 for a, b in zip(colour, other, strict=False))


@pytest.mark.parametrize(
    "content",
    [
        take_photo(orientation=1),
        take_photo(orientation=6),
        take_photo() + PLACE,
        draw("JPEG") + take_photo(),
        insert_segment(draw("JPEG"), 0xEB, b"JP\0" + PLACE),
        insert_segment(draw("JPEG"), 0xE1, b"http://ns.adobe.com/xmp/extension/\0" + PLACE),
        insert_segment(draw("JPEG"), 0xE0, b"JFXX\0" + PLACE),
        draw("JPEG", progressive=True, comment=PLACE),
        write_on_png(),
        draw("PNG") + PLACE,
        insert_chunk(draw("PNG"), b"prVt", PLACE),
        insert_chunk(animate("PNG"), b"tEXt", b"Comment\0" + PLACE),
        draw("WEBP", exif=tell_place(), xmp=PLACE),
        animate("WEBP", exif=tell_place(), xmp=PLACE),
        draw("WEBP") + PLACE,
        draw("GIF", comment=PLACE),
        animate("GIF", comment=PLACE),
        draw("GIF") + PLACE,
    ],
    ids=[
        "jpeg",
        "jpeg to be turned",
        "jpeg with a tail",
        "jpeg with a second one",
        "jpeg with a segment of its own",
        "jpeg with the rest of its xmp",
        "jpeg with a small picture",
        "progressive jpeg",
        "png",
        "png with a tail",
        "png with a chunk of its own",
        "animated png",
        "webp",
        "animated webp",
        "webp with a tail",
        "gif",
        "animated gif",
        "gif with a tail",
    ],
)
async def test_what_tells_of_its_maker_is_taken_out(
    server: Instance, person: Person, content: bytes
) -> None:
    assert PLACE in content

    _, kept = await keep(server, person, content)

    before, after = load(content), load(kept)
    assert PLACE not in kept
    assert not after.getexif()
    assert {"exif", "xmp", "comment", "photoshop"} & set(after.info) == set()
    assert after.format == ("JPEG" if before.format == "MPO" else before.format)
    if before.format in ("PNG", "WEBP", "GIF"):
        assert (getattr(after, "n_frames", 1), after.size) == (
            getattr(before, "n_frames", 1),
            before.size,
        )


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF"])
async def test_a_picture_that_says_nothing_is_kept_as_it_is(
    server: Instance, person: Person, format: str
) -> None:
    for content in (draw(format), *([animate(format)] if format != "JPEG" else [])):
        _, kept = await keep(server, person, content)
        assert kept == content


async def test_a_photo_keeps_its_quality_where_it_need_not_be_turned(
    server: Instance, person: Person
) -> None:
    photo = take_photo(orientation=1)

    _, kept = await keep(server, person, photo)

    assert load(kept).tobytes() == load(photo).tobytes()
    assert load(kept).info["icc_profile"] == load(photo).info["icc_profile"]


async def test_a_photo_is_turned_as_the_camera_was_held(server: Instance, person: Person) -> None:
    """Orientation 6: the left of what is stored is the top of what was seen."""
    answer, kept = await keep(server, person, take_photo((64, 48), orientation=6))

    image = load(kept)
    assert image.size == (answer["width"], answer["height"]) == (48, 64)
    assert is_near(image.getpixel((24, 5)), RED)
    assert is_near(image.getpixel((24, 58)), BLUE)
    assert "icc_profile" in image.info


async def test_a_picture_that_only_decoders_forgive_is_made_anew(
    server: Instance, person: Person
) -> None:
    jpeg = draw("JPEG")
    head = 2 + 18

    _, kept = await keep(server, person, jpeg[:head] + PLACE + jpeg[head:])

    assert PLACE not in kept
    assert is_near(load(kept).getpixel((5, 5)), RED)


async def test_transparency_stays(server: Instance, person: Person) -> None:
    palette = load(draw("PNG")).convert("P")
    palette.info["transparency"] = palette.getpixel((0, 0))
    for kind in ("PNG", "GIF"):
        content = insert_tail(palette, kind)
        _, kept = await keep(server, person, content)
        assert load(kept).convert("RGBA").getchannel("A").getpixel((0, 0)) == 0


def insert_tail(image: Any, format: str) -> bytes:
    return save(image, format, transparency=image.info["transparency"]) + PLACE


async def test_the_small_picture_is_there_at_once_and_small_soon(
    server: Instance, person: Person
) -> None:
    answer = await upload(server, person, draw("PNG", (1000, 500)), name="Big.png")

    assert (await fetch(server, answer["thumbnail_url"])).status == 200
    await wait_for_thumbnail(server, answer["id"])
    small = await fetch(server, answer["thumbnail_url"])

    assert small.headers["Content-Type"] == "image/webp"
    assert load(small.body).size == (320, 160)
    assert is_near(load(small.body).getpixel((10, 10)), RED)


@pytest.mark.parametrize(
    "content",
    [
        draw("JPEG", (400, 400)),
        animate("GIF"),
        animate("PNG"),
        animate("WEBP"),
        draw("PNG", (10_000, 3)),
        draw("PNG", (1, 1)),
        load(draw("PNG")).convert("LA"),
        load(draw("PNG")).convert("I;16"),
        load(draw("PNG")).convert("1"),
        load(draw("PNG")).convert("CMYK"),
    ],
    ids=[
        "jpeg",
        "gif",
        "apng",
        "webp",
        "wide",
        "dot",
        "grey with alpha",
        "16 bit",
        "1 bit",
        "cmyk",
    ],
)
async def test_every_kind_of_image_gets_a_small_one(
    server: Instance, person: Person, content: Any
) -> None:
    if not isinstance(content, bytes):
        content = save(content, "JPEG" if content.mode == "CMYK" else "PNG")
    answer = await upload(server, person, content)

    await wait_for_thumbnail(server, answer["id"])

    small = load((await fetch(server, answer["thumbnail_url"])).body)
    assert max(small.size) <= 320


async def test_making_it_twice_changes_nothing(server: Instance, person: Person) -> None:
    answer = await upload(server, person, draw("PNG", (400, 400)))
    await wait_for_thumbnail(server, answer["id"])
    first, traces = (await fetch(server, answer["thumbnail_url"])).body, await list_traces(server)

    async with Context.open(server.runtime) as ctx:
        ctx.enqueue(make_thumbnail, MakeThumbnail(upload_id=answer["id"]), key="again")
    await wait_for_jobs(server)

    assert (await fetch(server, answer["thumbnail_url"])).body == first
    assert await list_traces(server) == traces
