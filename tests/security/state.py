"""Everything that is kept of some people: equal before and after means untouched."""

import json
from typing import Any

from sqlalchemy import RowMapping, select

from storage.tables import metadata
from tests.security.scene import Scene

PERSON = (
    "user_id",
    "owner_id",
    "sender_id",
    "patient_id",
    "psychologist_id",
    "actor_id",
    "subject_id",
)


async def read_state(scene: Scene) -> dict[str, list[dict[str, Any]]]:
    """Every row, of whatever table, that has to do with Anna, Boris or their chat."""
    state = {}
    async with scene.server.runtime.database.session(write=False) as db:
        for table in metadata.sorted_tables:
            rows = (await db.execute(select(table))).mappings()
            state[table.name] = sorted(
                (dict(row) for row in rows if _is_theirs(table.name, row, scene)), key=repr
            )
    return state


def _is_theirs(table: str, row: RowMapping, scene: Scene) -> bool:
    ids = {victim.id for victim in scene.victims}
    values = dict(row)
    if table == "users":
        return values["id"] in ids
    if table == "dead_jobs":
        return values["id"] in scene.things.dead_job_ids
    if table == "outbox":
        values = json.loads(values["payload"])
    sessions = {scene.things.session_id, *(victim.session_id for victim in scene.victims)}
    return (
        any(values.get(column) in ids for column in PERSON)
        or values.get("chat_id") == scene.things.talk.chat_id
        or values.get("session_id") in sessions
        or values.get("goal_id") == scene.things.goal.id
        or values.get("reminder_id") == scene.things.goal.reminder_id
    )
