"""The fault run: `python -m tests.faults --help`."""

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from tests.faults.campaign import SETTLE_WITHIN, Plan, carry_out
from tests.faults.strikes import STRIKES
from tests.faults.table import describe, describe_findings, list_in_short

ABOUT = """# Reliability

Every acknowledged change reaches every device of everyone concerned, in order, once. `make faults` plays faults on
a deployment of its own (PostgreSQL, Redis, two servers, a worker, a scheduler) while pairs of people talk through
official clients over WebSocket, polling and both, and then compares what every device saw with the database.
Written by the run below; `acknowledged` counts what was acknowledged while a fault lasted and until every pair
talked again, which is what recovery means.

"""


def main() -> None:
    arguments = _build_parser().parse_args()
    seed = arguments.seed or secrets.token_hex(4)
    plan = Plan(
        seed=seed,
        minutes=arguments.minutes,
        pairs=arguments.pairs,
        only=() if arguments.quiet else tuple(arguments.only or STRIKES),
        servers=arguments.servers,
        pace=arguments.pace,
        settle=arguments.settle,
        once=arguments.once,
        broken=arguments.broken,
        command=_how_to_repeat(seed),
    )
    folder = Path(tempfile.mkdtemp(prefix="emotrack-faults-"))
    folder.chmod(0o755)
    _say(f"seed {seed}, logs in {folder}")
    try:
        outcome = asyncio.run(carry_out(plan, folder))
    except BaseException:
        _say(f"seed {seed}, logs kept in {folder}")
        raise
    table = describe(outcome)
    _say(f"\n{table}")
    if arguments.write:
        arguments.write.write_text(ABOUT + table + list_in_short(outcome.findings))
    if outcome.findings:
        _say(describe_findings(outcome.findings))
        _say(f"\n{len(outcome.findings)} findings; seed {seed}, logs and journals in {folder}")
        sys.exit(1)
    if not arguments.keep:
        shutil.rmtree(folder)
    _say(f"nothing lost; seed {seed}")


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.faults", description="The fault run.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", help="else one is made up and printed")
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=list(STRIKES), metavar="FAULT")
    parser.add_argument(
        "--once", action="store_true", help="each fault once, however long it takes"
    )
    parser.add_argument("--quiet", action="store_true", help="no faults at all")
    parser.add_argument("--pace", type=float, default=1.0, help="stretches how long faults last")
    parser.add_argument(
        "--settle", type=float, default=SETTLE_WITHIN, help="seconds to catch up at the end"
    )
    parser.add_argument("--broken", default="", help="plant a bug of tests/faults/broken.py")
    parser.add_argument("--write", type=Path, help="write the table to this file")
    parser.add_argument("--keep", action="store_true", help="keep logs and journals anyway")
    return parser


def _how_to_repeat(seed: str) -> str:
    """The command, as it would be given again."""
    given = iter(sys.argv[1:])
    kept = []
    for word in given:
        if word in ("--seed", "--write"):
            next(given)
        else:
            kept.append(word)
    return f"make faults FAULTS='{' '.join(['--seed', seed, *kept])}'"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    main()
