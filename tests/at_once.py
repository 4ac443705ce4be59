"""Processes that do the same thing at the same moment."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE = 30
START = "print('ready', flush=True)\n__import__('sys').stdin.readline()\n"


def run_at_once(prepare: str, work: str, *arguments: str, count: int) -> list[str]:
    """Run `work` in several processes once all have got through `prepare`; what each printed."""
    command = [sys.executable, "-c", f"{prepare}\n{START}{work}", *arguments]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        for _ in range(count)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        said = [process.communicate(timeout=PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert not any(process.returncode for process in processes), said
    return [out for out, _ in said]
