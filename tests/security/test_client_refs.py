"""A `client_ref` of somebody else brings no answer of theirs, and takes none away."""

from uuid import uuid4

import pytest

from tests.conftest import StartInstance
from tests.instance import Instance
from tests.security.planted import find_planted, plant
from tests.talks import Talk, add_talk, refusal, start_talk


@pytest.fixture
async def server(start: StartInstance) -> Instance:
    return await start(jobs=False)


@pytest.fixture
async def talk(server: Instance) -> Talk:
    return await start_talk(server)


async def test_the_ref_of_anothers_message_is_free_for_oneself(talk: Talk) -> None:
    stranger = await start_talk(talk.server)
    fellow = await add_talk(talk, await talk.server.add_person())
    sent = {"client_ref": str(uuid4()), "text": plant("text", "anna")}
    first = await talk.ask(talk.patient, "message:send", **sent)

    for one in (stranger, fellow):
        repeat = {**sent, "chat_id": talk.chat_id}
        asking = talk.server.ask(one.patient, "/chat", "message:send", repeat)
        assert await refusal(asking) == "not_found"
        other = await one.ask(one.patient, "message:send", **{**sent, "text": "My own"})
        assert (other["chat_id"], other["sender_id"]) == (one.chat_id, one.patient.id)
        assert find_planted(await one.history(one.patient)) == set()
    assert await talk.ask(talk.patient, "message:send", **sent) == first
    assert len(await talk.history(talk.patient)) == 1


async def test_the_ref_of_anothers_change_brings_ones_own_answer(talk: Talk) -> None:
    server, stranger = talk.server, await talk.server.add_person()
    ref = str(uuid4())
    change = {"client_ref": ref, "name": plant("name", "anna")}
    first = await server.ask(talk.patient, "/account", "profile:update", change)

    same = {"client_ref": ref, "time_zone": "Europe/Moscow"}
    own = await server.ask(stranger, "/account", "profile:update", same)
    assert (own["id"], own["name"]) == (stranger.id, stranger.name)
    again = await server.ask(stranger, "/account", "profile:update", same)
    assert again == own
    assert await server.ask(talk.patient, "/account", "profile:update", change) == first
