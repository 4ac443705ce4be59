"""The limit that PostgreSQL sets: Node's statement, with no server before it."""

import asyncio
import re
import tempfile

from tests.faults.services import DATABASE, find_program

CLIENTS = 32
SCRIPT = """
\\set chat random(1, 64)
WITH place AS (
    UPDATE chats SET last_seq = last_seq + 1 WHERE id = :chat RETURNING id, last_seq, members
)
INSERT INTO messages (chat_id, seq, sender_id, client_ref, text)
SELECT id, last_seq, members[1], gen_random_uuid(), repeat('x', 100) FROM place
RETURNING seq, created_at;
"""


async def run_pgbench(url: str, peer: str, seconds: float) -> str:
    """How many messages a second the database of a peer takes, as a line."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(SCRIPT)
        script.flush()
        options = [f"--client={CLIENTS}", f"--time={max(1, round(seconds))}", "--no-vacuum"]
        process = await asyncio.create_subprocess_exec(
            find_program("pgbench"),
            "--protocol=prepared",
            *options,
            f"--file={script.name}",
            url.removesuffix(DATABASE) + peer,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
    found = re.search(r"tps = ([\d.]+)", out.decode())
    if found is None:
        raise RuntimeError("pgbench said nothing")
    return f"pgbench, the same statement, {CLIENTS} connections: {float(found[1]):,.0f} a second"
