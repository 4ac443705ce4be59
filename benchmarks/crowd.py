"""Many people who all watch the same few."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg

from storage.accounts import Role
from tests.faults.cluster import Cluster
from tests.faults.people import open_instance

WATCHED = 2
"""Enough that the server always has something to tell."""

WATCHERS = 500
_SQL = Path(__file__).with_name("crowd.sql")


@dataclass(frozen=True, slots=True)
class One:
    """Somebody who can sign in."""

    id: int
    token: str


def describe(people: Sequence[One]) -> dict[str, Any]:
    """As the load is told: the first ones are watched by all others."""
    return {
        "watched": [asdict(one) for one in people[:WATCHED]],
        "watchers": [one.token for one in people[WATCHED:]],
    }


async def make_crowd(cluster: Cluster) -> dict[str, Any]:
    """Two psychologists and their 500 patients, while a server runs."""
    people = []
    async with open_instance(cluster) as instance:
        for number in range(WATCHED + WATCHERS):
            role = Role.PSYCHOLOGIST if number < WATCHED else Role.PATIENT
            person = await instance.add_person(role)
            people.append(One(person.id, person.token))
    ids = [one.id for one in people]
    database = await asyncpg.connect(cluster.postgres.url)
    await database.execute(_SQL.read_text().format(watched=ids[:WATCHED], watchers=ids[WATCHED:]))
    await database.close()
    return describe(people)
