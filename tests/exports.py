"""What people take along, asked for and opened, and what tests of that have in common."""

import hashlib
import json
import re
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from zipfile import ZipFile

from tests.files import fetch
from tests.instance import Instance, Person
from tests.stand_ins.waiting import eventually

_SIGNATURE = re.compile(r"\?expires=\d+&signature=[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Taken:
    """An archive that was fetched: what was told of it, and what is in it, by path."""

    told: Any
    files: dict[str, bytes]

    def read(self, name: str) -> Any:
        return json.loads(self.files[f"{name}.json"])

    @property
    def text(self) -> str:
        """All of it that is text."""
        return "".join(
            content.decode() for name, content in self.files.items() if name.endswith(".json")
        )


async def ask_for_export(server: Instance, person: Person) -> tuple[int, Any]:
    return await server.request("POST", "/account/export", token=person.token)


async def take_along(server: Instance, person: Person) -> Taken:
    """Everything that is this person's, asked for and fetched by the link."""
    before = (await list_exports(server, person))["total"]
    status, _ = await ask_for_export(server, person)
    assert status == 202
    told = await wait_for_export(server, person, before + 1)
    fetched = await fetch(server, told["url"])
    assert fetched.status == 200
    assert hashlib.sha256(fetched.body).hexdigest() == told["sha256"]
    assert len(fetched.body) == told["size"]
    return Taken(told, unpack(fetched.body))


async def wait_for_export(server: Instance, person: Person, count: int = 1) -> Any:
    """The latest archive, once there are so many."""

    async def look() -> Any:
        items = (await list_exports(server, person))["items"]
        return items[0] if len(items) >= count else None

    return await eventually(look, f"{count} exports")


async def list_exports(server: Instance, person: Person) -> Any:
    return await server.ask(person, "/account", "export:list", {})


def unpack(content: bytes) -> dict[str, bytes]:
    """What is in an archive, which must be whole and say what it holds."""
    with ZipFile(BytesIO(content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        files = {name: archive.read(name) for name in names}
    assert len(files) == len(names)
    manifest = json.loads(files["manifest.json"])
    assert [file["path"] for file in manifest["files"]] == [
        name for name in names if name != "manifest.json"
    ]
    for file in manifest["files"]:
        found = files[file["path"]]
        assert (file["size"], file["sha256"]) == (len(found), hashlib.sha256(found).hexdigest())
    return files


def unsign(answer: Any) -> Any:
    """What the wire answers, as it is kept: with addresses in place of links."""
    return json.loads(_SIGNATURE.sub("", json.dumps(answer)))
