"""Uploads: files come in, are kept, and are shown to those who may see them."""

import hashlib
from datetime import timedelta

import pytest

from tests.conftest import StartInstance
from tests.files import PDF, Fetched, fetch, fill_form, post, upload
from tests.instance import Instance
from tests.stand_ins.pictures import draw
from tests.stand_ins.waiting import set_clock


def name_of(fetched: Fetched) -> str:
    return fetched.headers["Content-Disposition"]


async def test_a_file_is_kept_and_can_be_read(server: Instance) -> None:
    person, content = await server.add_person(), draw("PNG", (64, 48))

    answer = await upload(server, person, content, name="Holiday.png")

    links = {answer.pop("url"), answer.pop("thumbnail_url")}
    assert len(links) == 2
    assert answer.pop("created_at").endswith("Z")
    assert answer == {
        "id": answer["id"],
        "purpose": "message",
        "file_name": "Holiday.png",
        "file_type": "image/png",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "width": 64,
        "height": 48,
    }
    fetched = await fetch(server, f"/uploads/{answer['id']}", person)
    assert (fetched.status, fetched.body) == (200, content)


async def test_what_people_upload_is_shown_and_never_run(server: Instance) -> None:
    person = await server.add_person()
    answer = await upload(server, person)

    headers = (await fetch(server, answer["url"])).headers

    assert headers["Content-Type"] == "image/png"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"].startswith("private, max-age=")


async def test_images_are_shown_and_documents_are_saved(server: Instance) -> None:
    person = await server.add_person()

    image = await upload(server, person)
    document = await upload(server, person, PDF, name="Report.pdf", type="application/pdf")

    assert name_of(await fetch(server, image["url"])).startswith("inline;")
    assert name_of(await fetch(server, document["url"])).startswith("attachment;")
    assert (document["width"], document["height"], document["thumbnail_url"]) == (None, None, None)
    thumbnail = await fetch(server, f"/uploads/{document['id']}/thumbnail", person)
    assert thumbnail.status == 404


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("Фото.png", "filename*=utf-8''%D0%A4%D0%BE%D1%82%D0%BE.png"),
        ("one; two=3.png", "filename*=utf-8''one%3B%20two%3D3.png"),
        ("Ы" * 200, f"filename*=utf-8''{'%D0%AB' * 200}"),
    ],
)
async def test_a_file_keeps_its_name_whatever_letters_it_has(
    server: Instance, name: str, sent: str
) -> None:
    person = await server.add_person()

    answer = await upload(server, person, name=name)

    assert answer["file_name"] == name
    assert name_of(await fetch(server, answer["url"])) == f"inline; {sent}"


async def test_parts_of_a_file_can_be_asked_for(server: Instance) -> None:
    person = await server.add_person()
    content = PDF * 1000
    answer = await upload(server, person, content, type="application/pdf")

    part = await fetch(server, answer["url"], headers={"Range": "bytes=1000-1999"})
    end = await fetch(server, answer["url"], headers={"Range": "bytes=-10"})
    beyond = await fetch(server, answer["url"], headers={"Range": f"bytes={len(content)}-"})

    assert (part.status, part.body) == (206, content[1000:2000])
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(content)}"
    assert (end.status, end.body) == (206, content[-10:])
    assert beyond.status == 416


async def test_a_file_that_one_has_is_not_sent_again(server: Instance) -> None:
    person = await server.add_person()
    answer = await upload(server, person)
    tag = (await fetch(server, answer["url"])).headers["ETag"]

    again = await fetch(server, answer["url"], headers={"If-None-Match": tag})
    other = await fetch(server, answer["url"], headers={"If-None-Match": '"other"'})

    assert (again.status, again.body) == (304, b"")
    assert other.status == 200


async def test_nobody_else_sees_what_was_not_shared(server: Instance) -> None:
    owner, stranger = await server.add_person(), await server.add_person()
    for purpose in ("avatar", "message", "resource", "goal", "analysis", "receipt"):
        answer = await upload(server, owner, purpose=purpose)
        for path in (f"/uploads/{answer['id']}", f"/uploads/{answer['id']}/thumbnail"):
            assert (await fetch(server, path, owner)).status == 200
            assert (await fetch(server, path, stranger)).status == 404
            assert (await fetch(server, path)).status == 401


@pytest.mark.parametrize("path", ["/uploads/999999", "/uploads/0", "/uploads/9" + "9" * 30])
async def test_what_is_not_there_is_not_found(server: Instance, path: str) -> None:
    person = await server.add_person()

    assert (await fetch(server, path, person)).status in (404, 422)
    assert (await fetch(server, "/uploads/word", person)).status == 404


async def test_a_link_opens_a_file_to_whoever_has_it(server: Instance) -> None:
    owner, stranger = await server.add_person(), await server.add_person()
    content = draw()
    answer = await upload(server, owner, content)

    assert answer["url"].startswith(f"{server.runtime.settings.public_url}/uploads/")
    assert (await fetch(server, answer["url"])).body == content
    assert (await fetch(server, answer["thumbnail_url"])).status == 200
    # Programs add their header to every request; it must not shut what the link opens.
    assert (await fetch(server, answer["url"], owner)).body == content
    assert (await fetch(server, answer["url"], stranger)).body == content


async def test_a_link_that_was_altered_opens_nothing(server: Instance) -> None:
    person = await server.add_person()
    first, second = [await upload(server, person) for _ in range(2)]
    path, _, query = first["url"].partition("?")
    expires, _, signature = query.partition("&signature=")

    for altered in (
        f"/uploads/{second['id']}?{query}",
        f"{path}/thumbnail?{query}",
        f"{path}?{expires}0&signature={signature}",
        f"{path}?{expires}&signature={'0' * 32}",
        f"{path}?{expires}&signature=%D1%84%FF",
        f"{path}?signature={signature}",
        f"{path}?{expires}",
        f"{path}?expires=never&signature={signature}",
    ):
        assert (await fetch(server, altered)).status == 401, altered
    # What the link does not open the header still does.
    altered = f"{path}?{expires}&signature={'0' * 32}"
    assert (await fetch(server, altered, person)).status == 200


async def test_a_link_runs_out(server: Instance) -> None:
    person = await server.add_person()
    answer = await upload(server, person)

    await set_clock(server, ahead=timedelta(minutes=59))
    assert (await fetch(server, answer["url"])).status == 200
    await set_clock(server, ahead=timedelta(minutes=121))
    assert (await fetch(server, answer["url"])).status == 410
    assert (await fetch(server, answer["url"], person)).status == 200


async def test_links_of_the_key_before_still_work(start: StartInstance) -> None:
    keys = ["a" * 32, "b" * 32, "c" * 32]
    first = await start(jwt_secret_key=keys[0])
    person = await first.add_person()
    answer = await upload(first, person)

    second = await start(jwt_secret_key=keys[1], jwt_previous_secret_key=keys[0])
    third = await start(jwt_secret_key=keys[2], jwt_previous_secret_key=keys[1])

    assert (await fetch(second, answer["url"])).status == 200
    assert (await fetch(third, answer["url"])).status == 401


async def test_each_purpose_takes_its_own_types(server: Instance) -> None:
    person = await server.add_person()

    for purpose in ("message", "resource", "goal", "receipt"):
        await upload(server, person, PDF, type="application/pdf", purpose=purpose)
    for purpose in ("avatar", "analysis"):
        form = fill_form(PDF, type="application/pdf", purpose=purpose)
        status, answer = await post(server, person, form)
        assert (status, answer["error"]["code"]) == (415, "unsupported_type")


@pytest.mark.parametrize(
    ("content", "told", "type"),
    [
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "audio/webm", "video/webm"),
        (b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42isom", "audio/mp4", "audio/mp4"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(64), "video/mp4", "video/mp4"),
        (b"OggS\0\x02" + bytes(64), "audio/ogg", "audio/ogg"),
        (b"ID3\x03" + bytes(64), "audio/mpeg", "audio/mpeg"),
    ],
    ids=["recorded by a browser", "m4a", "mp4", "ogg", "mp3"],
)
async def test_voices_and_films_are_taken(
    server: Instance, content: bytes, told: str, type: str
) -> None:
    person = await server.add_person()

    answer = await upload(server, person, content, name="voice", type=told)

    assert answer["file_type"] == type
    assert name_of(await fetch(server, answer["url"])).startswith("inline;")


async def test_fields_may_come_after_the_file(server: Instance) -> None:
    person = await server.add_person()
    form = fill_form(purpose=None)
    form.add_field("purpose", "goal")

    status, answer = await post(server, person, form)

    assert (status, answer["purpose"]) == (201, "goal")
