"""The command line, and the only place where the parts are wired together."""

import argparse
import asyncio
import contextlib
import gc
import itertools
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from handlers import NAMESPACES, admin, demo
from handlers.accounts import people
from jobs.broker import build_brokers
from jobs.providers.mail import build_mailer
from jobs.providers.push import build_pusher
from jobs.scheduler import Scheduler
from jobs.wakes import Wakes
from jobs.worker import Worker
from server.app import DRAIN, build_app
from server.catalog import write_documents
from server.catalog.variables import write_settings
from server.checks import check_parts
from server.context import Context
from server.errors import Error
from server.health import build_metrics_app
from server.log import configure_logging
from server.oidc import build_google
from server.reports import build_report
from server.runtime import Runtime, build_runtime
from server.settings import Settings
from server.tasks import first_of
from storage import events, outbox
from storage.accounts import Role, Status
from storage.exclusive import AlreadyRunning, sole_instance
from storage.upgrade import upgrade

new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
with contextlib.suppress(ImportError):
    # Not to be had everywhere; a quarter less CPU where it is.
    import uvloop

    new_loop = uvloop.new_event_loop

ROOT = Path(__file__).parent
SHUTDOWN_TIMEOUT = 5.0
MAX_LISTED = 100


class CannotDo(Exception):
    """What a command says in one line before it exits."""


def main() -> None:
    arguments = build_parser().parse_args()
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit(f"run.py: {explain_settings(error)}")
    try:
        configure_logging(
            settings.log_level,
            as_json=settings.environment == "production",
            report=build_report(settings),
        )
        run_async(arguments.run(settings, arguments))
    except CannotDo as problem:
        sys.exit(f"run.py: {problem}")
    except Error as error:
        fields = "; ".join(field.message for field in error.fields or [])
        sys.exit(f"run.py: {error.code}: {fields or error.body().message}")
    except Exception as error:
        sys.exit(f"run.py: {type(error).__name__}: {str(error).partition(chr(10))[0]}")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py", description="Emotrack's server and tools.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("serve", help="migrate, then serve")
    command.add_argument("--host")
    command.add_argument("--port", type=int)
    command.set_defaults(run=serve)
    for name, run, about in (
        ("worker", work, "do jobs; as many as you like (with REDIS_URL)"),
        ("scheduler", schedule, "wake workers when jobs are due; one or several (with REDIS_URL)"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("--metrics-port", type=int, help="where to answer Prometheus")
        command.set_defaults(run=run)
    for name, run, about in (
        ("migrate", migrate, "bring the database up to date"),
        ("seed", seed, "demo people and content (development only)"),
        ("check", check, "what works and what does not"),
        ("docs", write_docs, "write the contract documents"),
        ("epoch", renew_epoch, "a new stream epoch, after restoring a backup"),
    ):
        commands.add_parser(name, help=about).set_defaults(run=run)
    add_user_actions(commands.add_parser("user", help="accounts, for operators"))
    add_job_actions(commands.add_parser("jobs", help="jobs that were given up"))
    return parser


def add_user_actions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    create = actions.add_parser("create", help="a new account, active at once; prints the User")
    create.add_argument("email")
    create.add_argument("--role", required=True, choices=[role.value for role in Role])
    create.add_argument("--name")
    create.add_argument("--password", help="else the first line of standard input, if any")
    create.set_defaults(run=create_user)
    for name, status, about in (
        ("approve", Status.ACTIVE, "let a psychologist begin to work"),
        ("block", Status.BLOCKED, "end every session and refuse new ones"),
        ("unblock", Status.ACTIVE, "let a blocked person sign in again"),
    ):
        action = actions.add_parser(name, help=about)
        action.add_argument("email")
        action.set_defaults(run=change_status, status=status)
    for name, run, about in (
        ("token", print_session, "print a Session as one line of JSON"),
        ("key", create_key, "an API key for a partner's server, shown this once"),
    ):
        action = actions.add_parser(name, help=about)
        action.add_argument("email")
        action.set_defaults(run=run)


def add_job_actions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="as lines of JSON, the latest first")
    listing.add_argument("--job", help="only this kind")
    listing.set_defaults(run=list_jobs)
    for name, settle, about in (
        ("retry", admin.retry_jobs, "try them again, from their first attempt on"),
        ("drop", admin.drop_jobs, "forget them"),
    ):
        action = actions.add_parser(name, help=about)
        action.add_argument("ids", nargs="*", type=int, metavar="ID")
        action.add_argument("--all", action="store_true")
        action.set_defaults(run=settle_jobs, settle=settle)


# -- Serving --


async def serve(settings: Settings, arguments: argparse.Namespace) -> None:
    given = {name: getattr(arguments, name) for name in ("host", "port")}
    settings = settings.model_copy(update={k: v for k, v in given.items() if v is not None})
    if "public_url" not in settings.model_fields_set and settings.port:
        here = f"http://{settings.host}:{settings.port}"
        settings = settings.model_copy(update={"public_url": here})
    async with claim(settings):
        await upgrade(settings.database)
        runtime = make_runtime(settings)
        app = build_app(runtime, NAMESPACES, build_background(runtime))
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT, auto_decompress=False
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.port)
            await site.start()
            announce(settings, runner)
            settle_down()
            await wait_for_signal()
            # A second signal is for those who cannot wait.
            await first_of(app[DRAIN](), wait_for_signal())
        finally:
            await runner.cleanup()


@contextlib.asynccontextmanager
async def claim(settings: Settings) -> AsyncIterator[None]:
    """With embedded parts a second instance would miss half of what happens: it must not start."""
    if settings.redis:
        yield
        return
    try:
        async with sole_instance(settings.database):
            yield
    except AlreadyRunning:
        raise CannotDo(
            "another instance runs on this database; several need REDIS_URL and PostgreSQL"
        ) from None


def announce(settings: Settings, runner: web.AppRunner) -> None:
    host, port = runner.addresses[0][:2]
    database = "SQLite" if settings.is_embedded else "PostgreSQL"
    bus = "Redis" if settings.redis else "memory"
    print(f"Emotrack on http://{host}:{port} ({database}, {bus})")  # noqa: T201 - says where to look
    print(f"Documents:  http://{host}:{port}/docs", flush=True)  # noqa: T201 - the same


async def work(settings: Settings, arguments: argparse.Namespace) -> None:
    async with run_apart(settings, arguments) as runtime:
        brokers = build_brokers(runtime.settings)
        async with Wakes(runtime, brokers), Worker(runtime, brokers):
            say("Emotrack's worker is ready")
            await wait_for_signal()


async def schedule(settings: Settings, arguments: argparse.Namespace) -> None:
    async with (
        run_apart(settings, arguments) as runtime,
        Wakes(runtime, build_brokers(runtime.settings)),
        Scheduler(runtime),
    ):
        say("Emotrack's scheduler is ready")
        await wait_for_signal()


@contextlib.asynccontextmanager
async def run_apart(settings: Settings, arguments: argparse.Namespace) -> AsyncIterator[Runtime]:
    """The runtime of a process without sockets, which may tell people things all the same."""
    if settings.redis is None:
        raise CannotDo("without REDIS_URL jobs run inside the server")
    await upgrade(settings.database)
    async with runtime_of(settings) as runtime:
        runner = web.AppRunner(build_metrics_app(runtime), access_log=None)
        await runner.setup()
        await runtime.bus.start()
        try:
            if arguments.metrics_port is not None:
                await web.TCPSite(runner, settings.host, arguments.metrics_port).start()
            settle_down()
            yield runtime
        finally:
            await runtime.bus.stop()
            await runner.cleanup()


def settle_down() -> None:
    """What starting has made stays until the end; looking through it again would take 0.2 s."""
    gc.collect()
    gc.freeze()


async def wait_for_signal() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


# -- Tools; each may run beside a live server --


async def migrate(settings: Settings, arguments: argparse.Namespace) -> None:
    await upgrade(settings.database)


async def seed(settings: Settings, arguments: argparse.Namespace) -> None:
    if settings.environment == "production":
        raise CannotDo("demo people have well-known passwords: not in production")
    await upgrade(settings.database)
    async with runtime_of(settings) as runtime:
        for line in await demo.seed(runtime):
            say(line)


async def check(settings: Settings, arguments: argparse.Namespace) -> None:
    say(f"ok    settings: {settings.environment}")
    async with runtime_of(settings) as runtime:
        broken = 0
        async for part, works, about in check_parts(runtime):
            say(f"{'ok   ' if works else 'FAIL '} {part}: {about}")
            broken += not works
    if broken:
        raise CannotDo("something does not work")


async def write_docs(settings: Settings, arguments: argparse.Namespace) -> None:
    for path in [*write_documents(NAMESPACES, ROOT / "docs"), *write_settings(ROOT)]:
        say(str(path.relative_to(ROOT)))


async def renew_epoch(settings: Settings, arguments: argparse.Namespace) -> None:
    async with runtime_of(settings) as runtime, Context.open(runtime) as ctx:
        say(await events.renew_epoch(ctx.db))


async def create_user(settings: Settings, arguments: argparse.Namespace) -> None:
    password = arguments.password
    if password is None and not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\n") or None
    name = arguments.name or arguments.email.partition("@")[0]
    async with runtime_of(settings) as runtime, Context.open(runtime) as ctx:
        user = await people.create_user(ctx, arguments.email, Role(arguments.role), name, password)
    say(user.model_dump_json())


async def change_status(settings: Settings, arguments: argparse.Namespace) -> None:
    async with runtime_of(settings) as runtime, Context.open(runtime) as ctx:
        user = await people.change_status(ctx, arguments.email, arguments.status)
    say(user.model_dump_json())


async def print_session(settings: Settings, arguments: argparse.Namespace) -> None:
    async with runtime_of(settings) as runtime, Context.open(runtime) as ctx:
        session = await people.sign_in_as(ctx, arguments.email)
    say(session.model_dump_json())


async def create_key(settings: Settings, arguments: argparse.Namespace) -> None:
    async with runtime_of(settings) as runtime, Context.open(runtime) as ctx:
        key_id, secret = await people.create_api_key(ctx, arguments.email)
    say(f'{{"client_id":"{key_id}","client_secret":"{secret}"}}')


async def list_jobs(settings: Settings, arguments: argparse.Namespace) -> None:
    async with runtime_of(settings) as runtime, Context.open(runtime, write=False) as ctx:
        for skip in itertools.count(step=MAX_LISTED):
            rows, _ = await outbox.list_dead_jobs(
                ctx.db, skip=skip, limit=MAX_LISTED, job=arguments.job
            )
            for row in rows:
                say(admin.DeadJob.of(row).model_dump_json())
            if len(rows) < MAX_LISTED:
                break


async def settle_jobs(settings: Settings, arguments: argparse.Namespace) -> None:
    if bool(arguments.ids) == arguments.all:
        raise CannotDo("say which ones: their ids, or --all")
    ids = None if arguments.all else arguments.ids
    async with runtime_of(settings) as runtime, Context.open(runtime) as ctx:
        count = await arguments.settle(ctx, ids)
    if ids is not None and count < len(set(ids)):
        raise CannotDo(f"only {count} of these were among the dead jobs")
    say(f"{count} jobs")


# -- Wiring --


def make_runtime(settings: Settings) -> Runtime:
    return build_runtime(
        settings, build_mailer(settings), build_pusher(settings), build_google(settings)
    )


def build_background(runtime: Runtime) -> list[contextlib.AbstractAsyncContextManager[object]]:
    """What runs beside the server: all that jobs need, or with Redis the way to their workers."""
    brokers = build_brokers(runtime.settings)
    wakes = Wakes(runtime, brokers)
    if runtime.settings.redis:
        return [wakes]
    return [wakes, Worker(runtime, brokers), Scheduler(runtime)]


@contextlib.asynccontextmanager
async def runtime_of(settings: Settings) -> AsyncIterator[Runtime]:
    runtime = make_runtime(settings)
    try:
        yield runtime
    finally:
        await runtime.close()


def run_async(work: Awaitable[None]) -> None:
    async def run() -> None:
        await work

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run())


def explain_settings(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)
    return "; ".join(
        f"{'_'.join(map(str, one['loc'])).upper()} {one['msg']}".strip() for one in problems
    )


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the answer of a command


if __name__ == "__main__":
    main()
