"""The official JavaScript client, unchanged, against real servers."""

import asyncio
import json

import pytest

from tests.instance import Instance, Person
from tests.nodejs import FOLDER, find_node
from tests.stand_ins.balancer import balance

TRANSPORTS = ("websocket", "polling", "upgrade")
LAST_STEP = "ok leaves"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_two_people_chat_through_the_official_client(
    server: Instance, transport: str
) -> None:
    await tell_story(server, server, transport)


@pytest.mark.scaled
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_two_people_on_two_instances_chat_through_the_official_client(
    instances: tuple[Instance, Instance], transport: str
) -> None:
    await tell_story(*instances, transport)


@pytest.mark.scaled
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_two_people_behind_a_round_robin_chat_through_the_official_client(
    instances: tuple[Instance, Instance], transport: str
) -> None:
    async with balance(*(instance.url for instance in instances)) as balancer:
        front = Instance(instances[0].runtime, balancer.url)
        await tell_story(front, front, transport)
        assert min(balancer.sent.values()) >= 3


async def tell_story(first: Instance, second: Instance, transport: str) -> None:
    writer, reader = await first.connect_pair()
    story = {
        "urls": [first.url, second.url],
        "writer": describe(writer),
        "reader": describe(reader),
        "chat_id": await first.open_chat(writer, reader),
        "transport": transport,
    }
    process = await asyncio.create_subprocess_exec(
        find_node("socket.io-client"),
        FOLDER / "story.mjs",
        json.dumps(story),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    told = output.decode()
    assert process.returncode == 0, told
    assert told.splitlines()[-1] == LAST_STEP, told


def describe(person: Person) -> dict[str, object]:
    return {"id": person.id, "token": person.token}
