"""Under attack: whoever floods, stalls or only knocks costs the others next to nothing."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from storage.accounts import Role
from tests.client import Client
from tests.command import Shell, read_memory
from tests.instance import Instance
from tests.stand_ins.attackers import attack
from tests.talks import message

PAIRS = 5
"""Enough for nobody's own rate limit to be in the way."""

PROBES = 80
ATTEMPTS = 4
"""The machine has other work to do as well: one quiet moment is proof enough."""

NEVER_MORE_THAN = 0.05

pytestmark = [pytest.mark.scaled, pytest.mark.alone]

Line = tuple[int, list[Client]]


@pytest.mark.parametrize("kind", ["flood", "stall", "knock"])
async def test_an_attack_leaves_the_others_alone_and_no_memory(shell: Shell, kind: str) -> None:
    async with shell.serve({"RATE_LIMIT_SCALE": "1"}) as served:
        attacker = await served.instance.add_person(Role.PATIENT)
        lines = [await open_line(served.instance) for _ in range(PAIRS)]
        await measure(lines)
        quiet = await measure(lines)
        before = read_memory(served.process.pid)
        bound = max(2 * quiet, NEVER_MORE_THAN)
        found: list[float] = []
        while not found or (min(found) > bound and len(found) < ATTEMPTS):
            async with attack(kind, served.instance.url, attacker.token):
                found.append(await measure(lines))
        assert min(found) <= bound, f"{found} s, quiet {quiet} s"
        assert read_memory(served.process.pid) - before < 40_000


async def open_line(server: Instance) -> Line:
    """Two people, each with a device, who take turns."""
    psychologist, patient = await server.connect_pair()
    chat_id = await server.open_chat(psychologist, patient)
    return chat_id, [await server.connect(person) for person in (psychologist, patient)]


async def measure(lines: Sequence[Line]) -> float:
    """The 99th percentile of the seconds from sending a message to hearing it."""
    times = []
    for number in range(PROBES):
        chat_id, devices = lines[number % len(lines)]
        writer, reader = devices if number // len(lines) % 2 else reversed(devices)
        sent = message(chat_id, f"{number}")
        start = time.perf_counter()
        await writer.ask("message:send", sent)
        await reader.wait_for("message:created", where=partial(is_answer_to, sent))
        times.append(time.perf_counter() - start)
    return sorted(times)[int(len(times) * 0.99) - 1]


def is_answer_to(sent: Any, told: Any) -> bool:
    return bool(told["client_ref"] == sent["client_ref"])
