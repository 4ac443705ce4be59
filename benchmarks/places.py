"""On which core each process runs, while there is one server and one load."""

import os
from collections.abc import Iterable
from pathlib import Path


def keep_apart(server_ids: Iterable[int], load_id: int) -> None:
    """Servers on the first core, the load on the second; what they start stays there, too.

    Clients are elsewhere in earnest. On the server's core the load takes it away from the server at
    every frame, and how often it gets there is chance.
    """
    first, *others = sorted(os.sched_getaffinity(0))
    if others:
        for process_id in server_ids:
            for thread in Path(f"/proc/{process_id}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {first})
        os.sched_setaffinity(load_id, {others[0]})
