"""The folder where files come in, and where jobs put those they work on."""

import contextlib
import shutil
from pathlib import Path
from time import time

IN_USE = 3600.0
"""Seconds. Nobody works on anything there for longer."""


def clear(folder: Path) -> None:
    """Remove what processes left behind that died; what is young may be another's. Blocking."""
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime > time() - IN_USE:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
