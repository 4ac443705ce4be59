"""The command line, and the only place where the parts are wired together."""

import argparse
import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from handlers import NAMESPACES, admin, demo
from handlers.admin import shell
from handlers.admin.shell import CannotDo
from jobs.broker import build_brokers
from jobs.providers.ai import build_writer
from jobs.providers.mail import build_mailer
from jobs.providers.push import build_pusher
from jobs.scheduler import Scheduler
from jobs.wakes import Wakes
from jobs.worker import Worker
from server import processes
from server.app import DRAIN, build_app
from server.catalog import write_documents
from server.catalog.variables import write_settings
from server.checks import Mark, check_parts
from server.context import Context
from server.errors import Error
from server.health import build_metrics_app
from server.log import configure_logging
from server.oidc import build_google
from server.reports import build_report
from server.runtime import Runtime, build_runtime
from server.settings import Settings
from server.tasks import first_of
from storage import events
from storage.accounts import Role, Status
from storage.exclusive import AlreadyRunning, sole_instance
from storage.upgrade import upgrade

new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
with contextlib.suppress(ImportError):
    # Not to be had everywhere; a quarter less CPU where it is.
    import uvloop

    new_loop = uvloop.new_event_loop

ROOT = Path(__file__).parent
BACKLOG = 1024
"""Connections that the system keeps until they are accepted: all come back after a restart."""

SHUTDOWN_TIMEOUT = 5.0
END_WITHIN = 20.0
"""Seconds that a process has to end besides those in which it sends its clients away."""

Operation = Callable[[Context, argparse.Namespace], Awaitable[list[str]]]
Command = Callable[[Settings, argparse.Namespace], Awaitable[None]]


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
    command.add_argument(
        "--workers", type=int, default=1, help="processes that serve the port together"
    )
    command.add_argument(
        "--private-port", type=int, default=0, help="the first of those by which each is reached"
    )
    command.add_argument("--shared", action="store_true", help=argparse.SUPPRESS)
    command.set_defaults(run=serve)
    for name, run, about in (
        ("worker", work, "do jobs; as many as you like (with REDIS_URL)"),
        ("scheduler", schedule, "wake workers when jobs are due; one or several (with REDIS_URL)"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("--metrics-port", type=int, help="where to answer Prometheus")
        command.set_defaults(run=run)
    for name, run, about in (
        ("seed", seed, "demo people and content (development only)"),
        ("check", check, "what works and what does not"),
        ("docs", write_docs, "write the contract documents"),
        ("epoch", renew_epoch, "a new stream epoch, after restoring a backup"),
    ):
        commands.add_parser(name, help=about).set_defaults(run=run)
    command = commands.add_parser("migrate", help="bring the database up to date")
    command.add_argument("--finish", action="store_true", help="when the version before is gone")
    command.set_defaults(run=migrate)
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
    create.set_defaults(run=operate(shell.create_user))
    for name, status, about in (
        ("approve", Status.ACTIVE, "let a psychologist begin to work"),
        ("block", Status.BLOCKED, "end every session and refuse new ones"),
        ("unblock", Status.ACTIVE, "let a blocked person sign in again"),
    ):
        action = actions.add_parser(name, help=about)
        action.add_argument("email")
        action.set_defaults(run=operate(shell.change_status), status=status)
    for name, do, about in (
        ("token", shell.sign_in, "print a Session as one line of JSON"),
        ("key", shell.create_key, "an API key for a partner's server, shown this once"),
    ):
        action = actions.add_parser(name, help=about)
        action.add_argument("email")
        action.set_defaults(run=operate(do))


def add_job_actions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="as lines of JSON, the latest first")
    listing.add_argument("--job", help="only this kind")
    listing.set_defaults(run=operate(shell.list_jobs, write=False))
    for name, settle, about in (
        ("retry", admin.retry_jobs, "try them again, from their first attempt on"),
        ("drop", admin.drop_jobs, "forget them"),
    ):
        action = actions.add_parser(name, help=about)
        action.add_argument("ids", nargs="*", type=int, metavar="ID")
        action.add_argument("--all", action="store_true")
        action.set_defaults(run=operate(shell.settle_jobs), settle=settle)


# -- Serving --


async def serve(settings: Settings, arguments: argparse.Namespace) -> None:
    given = {name: getattr(arguments, name) for name in ("host", "port")}
    settings = settings.model_copy(update={k: v for k, v in given.items() if v is not None})
    if "public_url" not in settings.model_fields_set and settings.port:
        here = f"http://{settings.host}:{settings.port}"
        settings = settings.model_copy(update={"public_url": here})
    if arguments.workers > 1:
        await serve_together(settings, arguments)
        return
    async with claim(settings), contextlib.AsyncExitStack() as stack:
        await upgrade(settings.database)
        if arguments.shared:
            own, address = processes.open_private_port(settings, arguments.private_port)
            stack.enter_context(own)
            settings = settings.model_copy(update={"internal_url": address})
        runtime = make_runtime(settings)
        app = build_app(runtime, NAMESPACES, build_background(runtime))
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT, auto_decompress=False
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        if arguments.shared:
            await web.SockSite(runner, own, backlog=BACKLOG).start()
        await web.TCPSite(
            runner,
            settings.host,
            settings.port,
            backlog=BACKLOG,
            reuse_port=arguments.shared or None,
        ).start()
        settle_down()
        if arguments.shared:
            await first_of(wait_for_signal(), processes.wait_for_end_of_input())
        else:
            announce(settings, *runner.addresses[0][:2])
            await wait_for_signal()
        # A second signal is for those who cannot wait.
        await first_of(app[DRAIN](), wait_for_signal())


async def serve_together(settings: Settings, arguments: argparse.Namespace) -> None:
    if settings.redis is None:
        raise CannotDo("without REDIS_URL one process serves all")
    await upgrade(settings.database)
    with processes.reserve_port(settings) as port:
        place = ("--host", settings.host, "--port", str(port))
        command = (sys.executable, str(ROOT / "run.py"), "serve", "--shared", *place)
        first = arguments.private_port
        commands = [
            (*command, "--private-port", str(first and first + number))
            for number in range(arguments.workers)
        ]
        async with processes.keep_running(commands, settings.drain_seconds + END_WITHIN):
            await processes.wait_ready(settings.host, port)
            announce(settings, settings.host, port)
            await wait_for_signal()


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


def announce(settings: Settings, host: str, port: int) -> None:
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
    # Whoever comes stays for long: a young generation of 700 objects would be looked through tens
    # of times for each hundred of them.
    gc.set_threshold(20_000, 20, 50)


async def wait_for_signal() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


# -- Tools; each may run beside a live server --


async def migrate(settings: Settings, arguments: argparse.Namespace) -> None:
    await upgrade(settings.database, finish=arguments.finish)


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
        async for mark, part, about in check_parts(runtime):
            say(f"{mark:<5} {part}: {about}")
            broken += mark == Mark.FAIL
    if broken:
        raise CannotDo("something does not work")


async def write_docs(settings: Settings, arguments: argparse.Namespace) -> None:
    for path in [*write_documents(NAMESPACES, ROOT / "docs"), *write_settings(ROOT)]:
        say(str(path.relative_to(ROOT)))


async def renew_epoch(settings: Settings, arguments: argparse.Namespace) -> None:
    async with runtime_of(settings) as runtime, Context.open(runtime) as ctx:
        say(await events.renew_epoch(ctx.db))


def operate(do: Operation, *, write: bool = True) -> Command:
    """A command that does something in one transaction and prints what comes of it."""

    async def run(settings: Settings, arguments: argparse.Namespace) -> None:
        async with runtime_of(settings) as runtime:
            async with Context.open(runtime, write=write) as ctx:
                lines = await do(ctx, arguments)
            for line in lines:
                say(line)

    return run


# -- Wiring --


def make_runtime(settings: Settings) -> Runtime:
    return build_runtime(
        settings,
        build_mailer(settings),
        build_pusher(settings),
        build_writer(settings),
        build_google(settings),
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
