"""Idle connections: authenticated, in their namespaces, and saying nothing."""

import asyncio
from typing import Any

from benchmarks.link import Link
from benchmarks.loads.marks import BEGIN, END, mark

AT_ONCE = 50
SETTLE = 3.0
"""Seconds until what connecting needed is gone."""


async def run(given: dict[str, Any]) -> dict[str, Any]:
    (port,) = given["ports"]
    namespaces: list[str] = given["namespaces"]
    tokens = [token for couple in given["couples"] for token in couple["tokens"]]
    gate = asyncio.Semaphore(AT_ONCE)
    links: list[Link] = []

    async def open_one(token: str) -> None:
        left = len(namespaces)
        joined = asyncio.Event()

        def hear(packet: bytes) -> None:
            nonlocal left
            left -= packet.startswith(b"0/")
            if not left:
                joined.set()

        link = Link(port, hear, offers_compression=given["compression"])
        links.append(link)
        async with gate:
            await link.open({name: {"token": token} for name in namespaces})
            await joined.wait()

    # The first ones fill what all share.
    await asyncio.gather(*map(open_one, tokens[:AT_ONCE]))
    await asyncio.sleep(SETTLE)
    mark(BEGIN)
    wanted: int = given["connections"]
    await asyncio.gather(*(open_one(tokens[n % len(tokens)]) for n in range(wanted)))
    await asyncio.sleep(SETTLE)
    mark(END)
    return {"connections": wanted}
