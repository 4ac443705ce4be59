"""What operators do from a shell: each returns the lines to print."""

import sys
from argparse import Namespace

from handlers.accounts import people
from handlers.admin.jobs import DeadJob
from server.context import Context
from storage import dead_jobs
from storage.accounts import Role

MAX_LISTED = 100


class CannotDo(Exception):
    """What a command says in one line before it exits."""


async def create_user(ctx: Context, arguments: Namespace) -> list[str]:
    password = arguments.password
    if password is None and not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\n") or None
    name = arguments.name or arguments.email.partition("@")[0]
    user = await people.create_user(ctx, arguments.email, Role(arguments.role), name, password)
    return [user.model_dump_json()]


async def change_status(ctx: Context, arguments: Namespace) -> list[str]:
    user = await people.change_status(ctx, arguments.email, arguments.status)
    return [user.model_dump_json()]


async def sign_in(ctx: Context, arguments: Namespace) -> list[str]:
    session = await people.sign_in_as(ctx, arguments.email)
    return [session.model_dump_json()]


async def create_key(ctx: Context, arguments: Namespace) -> list[str]:
    key_id, secret = await people.create_api_key(ctx, arguments.email)
    return [f'{{"client_id":"{key_id}","client_secret":"{secret}"}}']


async def list_jobs(ctx: Context, arguments: Namespace) -> list[str]:
    lines: list[str] = []
    while len(lines) % MAX_LISTED == 0:
        rows, _ = await dead_jobs.list_latest(
            ctx.db, skip=len(lines), limit=MAX_LISTED, job=arguments.job
        )
        if not rows:
            break
        lines += [DeadJob.of(row).model_dump_json() for row in rows]
    return lines


async def settle_jobs(ctx: Context, arguments: Namespace) -> list[str]:
    if bool(arguments.ids) == arguments.all:
        raise CannotDo("say which ones: their ids, or --all")
    ids = None if arguments.all else arguments.ids
    count = await arguments.settle(ctx, ids)
    if ids is not None and count < len(set(ids)):
        raise CannotDo(f"only {count} of these are dead jobs: nothing was done")
    return [f"{count} jobs"]
