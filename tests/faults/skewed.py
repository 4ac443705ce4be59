"""run.py in a process whose clock is so many seconds off: `-m tests.faults.skewed SECONDS …`."""

import sys
import time
from datetime import datetime, timedelta, tzinfo

import jwt.api_jwt

import run
import server.auth
import server.oidc
import server.runtime

_true_time = time.time


def shift_clock(seconds: float) -> None:
    """Let every reading of the time of day be off; intervals are measured as before."""
    offset = timedelta(seconds=seconds)

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + offset

    for module in (jwt.api_jwt, server.auth, server.oidc, server.runtime):
        vars(module)["datetime"] = Shifted
    time.time = lambda: _true_time() + seconds


if __name__ == "__main__":
    shift_clock(float(sys.argv.pop(1)))
    run.main()
