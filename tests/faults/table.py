"""The table: what was done, what it broke, and how long it took to be well again."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.conductor import Played
from tests.faults.record import Finding, Run
from tests.faults.services import list_versions

KINDS = ("lost", "duplicated", "out of order")
HEADINGS = (
    "fault", "times", "acknowledged", "lost", "duplicated", "out of order", "other findings",
    "worst recovery, s",
)  # fmt: skip
NONE = "without a fault"
LINE = 150


class Outcome(NamedTuple):
    """One run, from the side of whoever reads about it. Times are of the run's clock."""

    run: Run
    played: Sequence[Played]
    findings: Sequence[Finding]
    began_at: float
    ended_at: float
    seed: str
    pairs: int
    command: str


def describe(outcome: Outcome) -> str:
    """The table and what it takes to repeat it, in Markdown."""
    rows = [*(_row(outcome, fault) for fault in sorted({p.fault for p in outcome.played}))]
    rows.append(_row(outcome, NONE))
    rows.append(_total(outcome))
    return "\n".join([*_lay_out([HEADINGS, *rows]), "", *_circumstances(outcome)]) + "\n"


def describe_findings(findings: Sequence[Finding], limit: int = 200) -> str:
    lines = [f"{finding.kind}: {finding.text}" for finding in findings[:limit]]
    if len(findings) > limit:
        lines.append(f"and {len(findings) - limit} more")
    return "\n".join(lines)


def list_in_short(findings: Sequence[Finding]) -> str:
    """What was found, for readers who will not see the logs; nothing where there is nothing."""
    lines = [f"- {finding.kind}: {finding.text[:LINE]}" for finding in findings[:20]]
    return "\n".join(["", f"{len(findings)} findings:", "", *lines, ""]) if lines else ""


def _row(outcome: Outcome, fault: str) -> tuple[str, ...]:
    played = [one for one in outcome.played if one.fault == fault]
    return (
        fault,
        str(len(played)) if played else "",
        str(_count_acknowledged(outcome, fault)),
        *_count_kinds([f for f in outcome.findings if _belongs(outcome, f.at, fault)]),
        _find_worst(played),
    )


def _find_worst(played: Sequence[Played]) -> str:
    times = [one.recovery for one in played]
    if None in times:
        return "never"
    return f"{max(time for time in times if time is not None):.1f}" if times else ""


def _total(outcome: Outcome) -> tuple[str, ...]:
    acknowledged = sum(operation.acknowledged for operation in outcome.run.operations)
    return (
        "total",
        str(len(outcome.played)),
        str(acknowledged),
        *_count_kinds(outcome.findings),
        _find_worst(outcome.played),
    )


def _count_acknowledged(outcome: Outcome, fault: str) -> int:
    return sum(
        operation.acknowledged and _belongs(outcome, operation.settled_at, fault)
        for operation in outcome.run.operations
    )


def _count_kinds(findings: Sequence[Finding]) -> tuple[str, ...]:
    counts = [sum(finding.kind == kind for finding in findings) for kind in KINDS]
    return (*map(str, counts), str(len(findings) - sum(counts)))


def _belongs(outcome: Outcome, at: float | None, fault: str) -> bool:
    """Whether this happened while a fault lasted or until all had recovered from it."""
    if fault == NONE:
        return not any(_covers(one, at) for one in outcome.played)
    return any(_covers(one, at) for one in outcome.played if one.fault == fault)


def _covers(one: Played, at: float | None) -> bool:
    return at is not None and one.began_at <= at <= one.over_at


def _circumstances(outcome: Outcome) -> list[str]:
    run = outcome.run
    events: dict[str, int] = {}
    for operation in run.operations:
        if operation.acknowledged:
            events[operation.event] = events.get(operation.event, 0) + 1
    repeats = sum(len(operation.attempts) - 1 for operation in run.operations)
    acknowledged = ", ".join(f"{count} {event}" for event, count in sorted(events.items()))
    pushes = sum(len(device.seen) for device in run.devices)
    return [
        f"- seed: `{outcome.seed}`",
        f"- duration: {outcome.ended_at - outcome.began_at:.0f} s",
        f"- {outcome.pairs} pairs, {len(run.devices)} devices",
        f"- {len(run.database.messages)} messages, {pushes} pushes seen",
        f"- acknowledged: {acknowledged}; {repeats} repeated",
        f"- machine: {_describe_machine()}",
        f"- command: `{outcome.command}`",
    ]


def _describe_machine() -> str:
    facts: dict[str, Any] = {"cores": os.cpu_count()}
    cpu = _find("/proc/cpuinfo", "model name")
    memory = _find("/proc/meminfo", "MemTotal").split()
    facts["RAM"] = f"{int(memory[0]) / 2**20:.0f} GiB" if memory else "?"
    facts["CPU"] = cpu or platform.processor()
    facts["Python"] = platform.python_version()
    facts["Linux"] = platform.release()
    return ", ".join([*(f"{name} {value}" for name, value in facts.items()), *list_versions()])


def _find(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _lay_out(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]
