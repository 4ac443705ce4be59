"""A large upload passes through the server without filling it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.command import Shell
from tests.files import PDF, fetch, list_traces, upload

# Bytes do not go into a database: once is enough.
pytestmark = pytest.mark.embedded

MB = 1024 * 1024
SIZE = 200 * MB
FLAT = 32 * MB
"""Less than a sixth of the file: it is nowhere held as a whole."""


def read_peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to look into")
async def test_the_servers_memory_stays_flat(shell: Shell) -> None:
    async with shell.serve() as served:
        server = served.instance
        person = await server.add_person()
        # What the first upload loads stays.
        await upload(server, person, PDF, type="application/pdf")
        before = read_peak(served.process.pid)

        answer = await upload(server, person, stream(), type="application/pdf")
        after_upload = read_peak(served.process.pid)
        start = await fetch(server, answer["url"], headers={"Range": f"bytes={SIZE - 100}-"})
        after_download = read_peak(served.process.pid)

        assert answer["size"] == SIZE
        assert start.body == bytes(100)
        assert after_upload - before < FLAT
        assert after_download - before < FLAT
        assert len(await list_traces(server)) == 4


async def stream() -> AsyncIterator[bytes]:
    yield PDF + bytes(MB - len(PDF))
    block = bytes(MB)
    for _ in range(SIZE // MB - 1):
        yield block
