"""A short fault run, and runs of a broken server that must not pass."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.command import ROOT
from tests.faults.services import find_program

pytestmark = pytest.mark.scaled

SEED = "emotrack"
QUICK = (
    "instance_killed",
    "network_dropped",
    "polls_aborted",
    "redis_killed",
    "postgres_connections_cut",
    "clients_vanish",
    "worker_killed",
)


def run_faults(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A run in a process of its own; without the programs it needs the test is skipped."""
    try:
        for program in ("initdb", "postgres", "redis-server"):
            find_program(program)
    except FileNotFoundError as missing:
        if os.environ.get("EMOTRACK_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(str(missing))
    return subprocess.run(
        [sys.executable, "-m", "tests.faults", "--seed", SEED, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(240)
def test_nothing_is_lost() -> None:
    ended = run_faults("--pairs", "7", "--once", "--pace", "0.4", "--only", *QUICK)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"seed {SEED}" in ended.stdout
    for fault in QUICK:
        assert re.search(rf"^\| {fault} +\| 1 +\| \d+ +(\| 0 +){{4}}\|", ended.stdout, re.MULTILINE)
    total = re.search(r"^\| total +\| 7 +\| (\d+)", ended.stdout, re.MULTILINE)
    assert total is not None
    assert int(total[1]) > 50, "people talked"


@pytest.mark.timeout(240)
def test_a_bug_in_the_server_is_found() -> None:
    """One of them; `--broken forget_refs` shows another by hand, `test_checker.py` all that there are."""
    talk = ("--pairs", "6", "--minutes", "0.2", "--only", "clients_vanish")
    ended = run_faults(*talk, "--settle", "5", "--broken", "drop_pushes")

    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert re.search(r"^lost: ", ended.stdout, re.MULTILINE), ended.stdout
    kept = re.search(rf"findings; seed {SEED}, logs and journals in (\S+)", ended.stdout)
    assert kept is not None
    shutil.rmtree(kept[1])
