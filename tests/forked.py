"""What processes that are forked have from their parent, so that none of them makes it anew."""

import gc

import alembic.command  # noqa: F401 - each of these is imported when it is first needed
import anyio._backends._asyncio  # noqa: F401
import asyncpg  # noqa: F401
import firebase_admin.messaging  # noqa: F401
import openai  # noqa: F401
import passlib.handlers.bcrypt  # noqa: F401
from sqlalchemy.orm import configure_mappers


def prepare() -> None:
    """Before the first fork, once everything else is imported."""
    configure_mappers()
    # What is there by now is looked through by nobody, in no process.
    gc.collect()
    gc.freeze()
