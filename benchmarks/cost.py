"""What processes cost, from /proc (Linux)."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def read_cpu(process_ids: Iterable[int]) -> float:
    """CPU seconds of these processes, their children, and those of both that have ended."""
    fields = {int(path.name): _read_fields(path) for path in Path("/proc").glob("[0-9]*")}
    wanted = set(process_ids)
    while True:
        more = {pid for pid, stat in fields.items() if stat and int(stat[1]) in wanted} - wanted
        if not more:
            break
        wanted |= more
    return sum(sum(map(int, fields[pid][11:15])) for pid in wanted if fields.get(pid)) / _TICKS


def read_memory(process_ids: Iterable[int]) -> float:
    """KiB of these processes that are in memory."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in process_ids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def _read_fields(path: Path) -> list[str]:
    """/proc/PID/stat from the state on; empty when the process has just ended."""
    try:
        return (path / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
