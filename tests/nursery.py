"""run.py as processes that are up at once: run as a program, it forks them, which spares imports.

A line asks in JSON for processes: the `commands` of run.py, the `variables` of their environment,
the `folder` they work in, and how many seconds `ahead` they live. The answer, when all have said
that they are ready: their ids, or what the one said that is not. Or a line names processes to
`kill`, which is answered when they are dead. What they log goes to a file in their folder.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TextIO

import run
from tests.faults.process import die_with_parent
from tests.faults.skewed import shift_clock
from tests.forked import prepare

ROOT = Path(__file__).parents[1]
PATIENCE = 40.0
LOG = "processes.log"


class Nursery:
    """The program from the side of a test."""

    def __init__(self, process: asyncio.subprocess.Process, order: dict[str, Any]) -> None:
        self._process = process
        self._order = order

    async def start(self, *commands: Sequence[str], ahead: float = 0) -> list[int]:
        """Processes that are ready; their ids."""
        answer = await self._ask({**self._order, "commands": commands, "ahead": ahead})
        assert "ready" in answer, f"{answer}, see {self._order['folder']}/{LOG}"
        ids: list[int] = answer["ready"]
        return ids

    async def kill(self, ids: Sequence[int]) -> None:
        """As by `kill -9`."""
        await self._ask({"kill": ids})

    async def _ask(self, order: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return json.loads(await asyncio.wait_for(self._process.stdout.readline(), PATIENCE))


@asynccontextmanager
async def open_nursery(variables: Mapping[str, str], folder: Path) -> AsyncIterator[Nursery]:
    """All processes that were born here die with it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.nursery"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Nursery(process, {"variables": dict(variables), "folder": str(folder)})
    finally:
        process.kill()
        await process.communicate()


def main() -> None:
    prepare()
    living: dict[int, TextIO] = {}
    for line in sys.stdin:
        print(json.dumps(_obey(json.loads(line), living)), flush=True)  # noqa: T201 - the answer


def _obey(order: dict[str, Any], living: dict[int, TextIO]) -> dict[str, Any]:
    """`living` has what each process says; it has to be able to go on speaking."""
    if "kill" in order:
        for process_id in order["kill"]:
            os.kill(process_id, signal.SIGKILL)
            os.waitpid(process_id, 0)
            living.pop(process_id).close()
        return {}
    # All at once: each has its own imports behind it and a database to look at before it.
    born = [_fork(order, command) for command in order["commands"]]
    for process_id, pipe in born:
        living[process_id] = pipe
        line = pipe.readline()
        if "Emotrack" not in line:
            return {"died": process_id, "said": line}
    return {"ready": [process_id for process_id, _ in born]}


def _fork(order: dict[str, Any], command: Sequence[str]) -> tuple[int, TextIO]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        die_with_parent()
        os.close(reader)
        os.chdir(order["folder"])
        log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (writer, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(order["variables"])
        shift_clock(order["ahead"])
        sys.argv = ["run.py", *command]
        try:
            run.main()
        finally:
            # What is left of the program is its parent's.
            os._exit(1)
    os.close(writer)
    return child, os.fdopen(reader)


if __name__ == "__main__":
    main()
