"""Uploads that are refused: a clear error, and nothing is left behind."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientOSError, FormData
from PIL import Image

from tests.conftest import StartInstance
from tests.files import (
    PDF,
    fill_form,
    list_traces,
    post,
    refuse,
    upload,
    wait_until_clean,
)
from tests.instance import Instance, Person
from tests.stand_ins.pictures import animate, claim_size, draw, save, take_photo
from tests.stand_ins.waiting import eventually

# What is refused reaches no database: once is enough.
pytestmark = pytest.mark.embedded

MB = 1024 * 1024
HTML = b"<!doctype html><script>alert(1)</script>"


@pytest.fixture
async def person(server: Instance) -> Person:
    return await server.add_person()


@pytest.mark.parametrize(
    ("content", "name", "type"),
    [
        (HTML, "page.html", "text/html"),
        (HTML, "picture.png", "image/png"),
        (PDF, "picture.png", "image/png"),
        (draw(), "report.pdf", "application/pdf"),
        (b"MZ" + bytes(100), "setup.exe", "application/octet-stream"),
        (b"", "empty.png", "image/png"),
        (b"PK\3\4" + bytes(100), "bundle.zip", "application/zip"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "picture.svg", "image/svg+xml"),
    ],
    ids=["html", "html as png", "pdf as png", "png as pdf", "exe", "empty", "zip", "svg"],
)
async def test_the_type_is_what_the_bytes_say(
    server: Instance, person: Person, content: bytes, name: str, type: str
) -> None:
    error = await refuse(server, person, content, name=name, type=type)

    assert error["code"] == "unsupported_type"


async def test_a_slip_in_the_type_is_forgiven(server: Instance, person: Person) -> None:
    for told in ("image/jpeg", "", "application/octet-stream"):
        answer = await upload(server, person, draw("PNG"), name="photo.jpg", type=told)
        assert answer["file_type"] == "image/png"


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "C:\\secret.png",
        "..",
        ".",
        "a/b.png",
        "line\tbreak.png",
        "right\u202eto-left.png",
        "x" * 201,
    ],
)
async def test_a_file_name_is_a_name_and_no_path(
    server: Instance, person: Person, name: str
) -> None:
    error = await refuse(server, person, name=name)

    assert (error["code"], error["fields"][0]["path"]) == ("invalid", "file_name")


async def test_more_than_the_purpose_allows_is_too_large(server: Instance, person: Person) -> None:
    avatar = draw("PNG") + bytes(10 * MB)
    for form in (fill_form(avatar, purpose="avatar"), fill_form(avatar, purpose=None)):
        if form._fields[0][0]["name"] != "purpose":
            form.add_field("purpose", "avatar")
        status, answer = await post(server, person, form)
        assert (status, answer["error"]["code"]) == (413, "too_large")
    await wait_until_clean(server)


async def test_what_is_announced_as_too_large_is_refused_unread(
    server: Instance, person: Person
) -> None:
    answer = await knock(server, person, f"Content-Length: {300 * MB}")

    assert answer.startswith("HTTP/1.1 413")


@pytest.mark.parametrize("size", [(40_000, 40_000), (6_500, 6_500), (2**31 - 1, 2**31 - 1)])
async def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(
    server: Instance, person: Person, size: tuple[int, int]
) -> None:
    error = await refuse(server, person, claim_size(draw(), *size))

    assert error["code"] == "too_large"


async def test_the_frames_of_an_animation_count_as_a_whole(
    server: Instance, person: Person
) -> None:
    frames = [Image.new("L", (2000, 1700), 20 * shade) for shade in range(12)]
    for kind in ("GIF", "PNG", "WEBP"):
        content = save(frames[0], kind, save_all=True, append_images=frames[1:])
        error = await refuse(server, person, content, type=f"image/{kind.lower()}")
        assert error["code"] == "too_large", kind


async def test_an_animation_of_countless_frames_is_refused_soon(
    server: Instance, person: Person
) -> None:
    screen = b"GIF89a\1\0\1\0\x80\0\0" + bytes(6)
    frame = b"\x2c" + bytes(4) + b"\1\0\1\0\0" + b"\2\2\x44\1\0"
    error = await refuse(server, person, screen + frame * 2_000_000 + b";", type="image/gif")

    assert error["code"] == "too_large"


@pytest.mark.parametrize(
    "content", [draw("PNG", (200, 200)), take_photo(), animate("WEBP")], ids=["png", "jpeg", "webp"]
)
async def test_an_image_that_breaks_off_is_invalid(
    server: Instance, person: Person, content: bytes
) -> None:
    for length in (60, len(content) // 2):
        error = await refuse(server, person, content[:length], type="image/png")
        assert (error["code"], error["fields"][0]["path"]) == ("invalid", "file")


async def test_a_form_has_what_it_must_have_and_nothing_else(
    server: Instance, person: Person
) -> None:
    two = fill_form()
    two.add_field("file", draw(), filename="second.png", content_type="image/png")
    twice = fill_form()
    twice.add_field("purpose", "goal")
    more = fill_form()
    more.add_field("colour", "red")
    text = form_of(purpose="message", file="a text")
    long = fill_form(purpose="message" * 1000)
    for form, path in (
        (two, "file"),
        (twice, "purpose"),
        (more, "colour"),
        (text, "file"),
        (long, "purpose"),
        (fill_form(purpose=None), "purpose"),
        (fill_form(purpose="holiday"), "purpose"),
        (form_of(purpose="message"), "file"),
    ):
        status, answer = await post(server, person, form)
        assert (status, answer["error"]["code"]) == (422, "invalid")
        assert answer["error"]["fields"][0]["path"] == path
    assert await list_traces(server) == []


@pytest.mark.parametrize(
    ("type", "body", "code"),
    [
        ("application/json", b"{}", "unsupported_type"),
        ("multipart/mixed; boundary=x", b"--x--\r\n", "unsupported_type"),
        ("multipart/form-data", b"--x--\r\n", "invalid"),
        ("multipart/form-data; boundary=x", b"", "invalid"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", "invalid"),
        ("multipart/form-data; boundary=x", b"--y\r\n\r\n\r\n--y--\r\n", "invalid"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nno name\r\n--x--\r\n", "invalid"),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken\r\n\r\n\r\n--x--\r\n", "invalid"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nno end',
            "invalid",
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\xfe\r\n--x--\r\n',
            "invalid",
        ),
    ],
)
async def test_a_broken_form_is_invalid(
    server: Instance, person: Person, type: str, body: bytes, code: str
) -> None:
    _, answer = await server.request(
        "POST", "/uploads", token=person.token, data=body, headers={"Content-Type": type}
    )

    assert answer["error"]["code"] == code
    assert await list_traces(server) == []


async def test_an_upload_that_is_broken_off_leaves_nothing(
    server: Instance, person: Person
) -> None:
    incoming = server.runtime.settings.data_dir / "incoming"

    async def break_off() -> AsyncIterator[bytes]:
        yield PDF + bytes(3 * MB)

        async def has_come() -> bool:
            return any(path.stat().st_size for path in incoming.glob("*"))

        await eventually(has_come, "the beginning of the file")
        raise ConnectionResetError

    with pytest.raises(ClientOSError):
        await post(server, person, fill_form(break_off(), type="application/pdf"))

    await wait_until_clean(server)
    await upload(server, person)


async def test_nobody_uploads_without_signing_in(server: Instance) -> None:
    answer = await knock(server, None, "Content-Length: 1000000")

    assert answer.startswith("HTTP/1.1 401")
    assert await list_traces(server) == []


async def test_uploads_are_counted_before_they_are_read(start: StartInstance) -> None:
    server = await start(rate_limit_scale=0.02)
    person = await server.add_person()
    await upload(server, person)

    answer = await knock(server, person, "Content-Length: 1000000")

    assert answer.startswith("HTTP/1.1 429")


async def test_one_person_uploads_so_many_files_at_once(server: Instance, person: Person) -> None:
    other = await server.add_person()
    go_on = asyncio.Event()

    async def wait() -> AsyncIterator[bytes]:
        yield PDF + bytes(100_000)
        await go_on.wait()

    incoming = server.runtime.settings.data_dir / "incoming"
    waiting = [
        asyncio.create_task(post(server, person, fill_form(wait(), type="application/pdf")))
        for _ in range(4)
    ]

    async def all_have_begun() -> bool:
        return len(list(incoming.glob("*"))) == len(waiting)

    await eventually(all_have_begun, "uploads to begin")
    status, answer = await post(server, person, fill_form())
    assert (status, answer["error"]["code"]) == (429, "rate_limited")
    await upload(server, other)
    go_on.set()
    assert [status for status, _ in await asyncio.gather(*waiting)] == [201] * 4
    await upload(server, person)


def form_of(**fields: str) -> FormData:
    form = FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    return form


async def knock(server: Instance, person: Person | None, *headers: str) -> str:
    """The answer to the head of an upload whose body never comes."""
    place = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    lines = [
        "POST /uploads HTTP/1.1",
        f"Host: {place.netloc}",
        "Content-Type: multipart/form-data; boundary=x",
        *headers,
    ]
    if person is not None:
        lines.append(f"Authorization: Bearer {person.token}")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.close()
    return answer.decode()
