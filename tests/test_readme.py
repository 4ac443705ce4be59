"""What the README promises."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from handlers import demo
from tests.instance import Instance

# No database is in play: once is enough.
pytestmark = pytest.mark.embedded

README = Path(__file__).parent.parent / "README.md"


async def test_the_ten_line_client_works_as_pasted(server: Instance, tmp_path: Path) -> None:
    await demo.seed(server.runtime)
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    script = tmp_path / "client.py"
    script.write_text(code.replace("http://127.0.0.1:8000", server.url))

    client = await asyncio.create_subprocess_exec(
        sys.executable, "-u", str(script), stdout=asyncio.subprocess.PIPE
    )
    assert client.stdout is not None
    try:
        said = ""
        async with asyncio.timeout(20):
            while "Anna Orlova" not in said or "message:created" not in said:
                said += (await client.stdout.readline()).decode()
    finally:
        client.kill()
        await client.wait()

    assert "stream:ready" in said
    assert len(code.strip().splitlines()) <= 14


def test_the_map_of_folders_is_complete() -> None:
    text = README.read_text()
    folders = {"server", "handlers", "storage", "jobs", "migrations", "tests", "docs"}
    assert all(f"| `{folder}/` |" in text for folder in folders)
