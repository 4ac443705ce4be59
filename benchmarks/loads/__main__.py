"""One load, in a process of its own.

Reads what to do as JSON from standard input, prints `begin` and `end` around the part that counts,
and then what it found, as JSON.
"""

import gc
import resource
import sys
from importlib import import_module

import orjson
import uvloop


def main() -> None:
    # A load makes next to no cycles, and to look for some would be a pause that the server is blamed for.
    gc.disable()
    resource.setrlimit(resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE)[1:] * 2)
    load = import_module(f"benchmarks.loads.{sys.argv[1]}")
    found = uvloop.run(load.run(orjson.loads(sys.stdin.read())))
    print(orjson.dumps(found).decode())  # noqa: T201 - read by the bench


if __name__ == "__main__":
    main()
