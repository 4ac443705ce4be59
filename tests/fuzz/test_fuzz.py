"""Thousands of packets, right and wrong: what is well-formed is answered, all else closes."""

import pytest

from tests.fuzz.fuzzer import Make, Open, fuzz
from tests.fuzz.links import open_polling, open_socket
from tests.fuzz.mutations import make_noise, mutate
from tests.fuzz.oracle import Fate
from tests.fuzz.packets import Scene, make_event
from tests.fuzz.seeds import ONLY, SEEDS
from tests.fuzz.setting import unharmed
from tests.instance import Instance


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("open_link", [open_socket, open_polling])
async def test_every_event_with_any_payload_is_answered_once(
    fuzzed: Instance, scenes: list[Scene], seed: int, open_link: Open
) -> None:
    async with unharmed(fuzzed) as chatting:
        turn = chatting.give_turn
        tally = await fuzz(
            fuzzed, scenes, seed, open_link, make_event, cases=900, namespaces=4, on_batch=turn
        )
    if not ONLY:
        met = {"ok", "invalid", "unknown_event", "unauthenticated", "forbidden", "not_found"}
        assert met <= set(tally.codes)
        assert tally.fates[Fate.OPEN] > 700


@pytest.mark.embedded  # The codec knows no database.
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("make", [mutate, make_noise])
@pytest.mark.parametrize(("open_link", "cases"), [(open_socket, 300), (open_polling, 180)])
async def test_what_is_no_packet_closes_and_what_still_is_one_is_answered(
    fuzzed: Instance, scenes: list[Scene], seed: int, open_link: Open, cases: int, make: Make
) -> None:
    async with unharmed(fuzzed) as chatting:
        turn = chatting.give_turn
        tally = await fuzz(fuzzed, scenes, seed, open_link, make, cases=cases, on_batch=turn)
    if not ONLY:
        assert min(tally.fates[Fate.OPEN], tally.fates[Fate.CLOSED]) > cases / 10
