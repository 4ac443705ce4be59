"""What a workload's rounds come to: medians, and ratios to the peer that everybody knows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

BASELINE = "node"


@dataclass(frozen=True, slots=True)
class Round:
    """One peer under one workload, once: what its load found, and what that cost."""

    peer: str
    seconds: float
    found: dict[str, Any]
    costs: dict[str, float]
    """CPU seconds of `load`, `server`, `workers`, `postgres` and `redis`; KiB by which the servers'
    `memory` grew."""


@dataclass(frozen=True, slots=True)
class Column:
    """One number of a round; of several rounds the median."""

    title: str
    read: Callable[[Round], float]
    form: str = ",.1f"


Counts = Mapping[str, Callable[[Round], int]]
"""What must be zero; of several rounds the sum."""


def draw_table(
    title: str, columns: Sequence[Column], counts: Counts, rounds: Sequence[Round], baseline: str
) -> str:
    """Markdown: a row for each peer, and one for each other than the baseline divided by it."""
    peers = list(dict.fromkeys(one.peer for one in rounds))
    medians = {
        peer: [median(column.read(one) for one in rounds if one.peer == peer) for column in columns]
        for peer in peers
    }
    lines = [f"\n### {title}\n", draw_row(["", *(column.title for column in columns), *counts])]
    lines.append(draw_row(["---"] * (1 + len(columns) + len(counts))))
    for peer in peers:
        shown = [
            format(value, column.form) for value, column in zip(medians[peer], columns, strict=True)
        ]
        sums = [sum(read(one) for one in rounds if one.peer == peer) for read in counts.values()]
        lines.append(draw_row([peer, *shown, *map(str, sums)]))
    for peer in peers:
        if peer != baseline and baseline in peers:
            pairs = zip(medians[peer], medians[baseline], strict=True)
            ratios = [f"{mine / theirs:.2f}" if theirs else "" for mine, theirs in pairs]
            lines.append(draw_row([f"{peer} ÷ {baseline}", *ratios, *[""] * len(counts)]))
    return "\n".join(lines)


def draw_row(cells: Sequence[str]) -> str:
    """One row of a table."""
    return f"| {' | '.join(cells)} |"
