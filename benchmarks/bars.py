"""What is to be reached, and what was: ratios of medians over all rounds of a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.table import BASELINE, Round, draw_row
from benchmarks.workloads import (
    ACKNOWLEDGED,
    CONNECTS,
    DELIVERED_P99,
    DELIVERY_CPU,
    LONG_TO_SHORT,
    MEMORY,
    MESSAGE_CPU,
    WORKLOADS,
)

OURS, PLAIN = "emotrack", "plain"

Played = Mapping[str, Sequence[Round]]
"""The rounds of each workload, by its name."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A limit, for ours or for ours divided by a peer."""

    what: str
    workload: str
    read: Callable[[Round], float]
    limit: float
    than: str | None = BASELINE
    at_least: bool = False

    @property
    def wanted(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


BARS = (
    Bar("durable chat, acknowledged/s", "chat", ACKNOWLEDGED.read, 1.7, at_least=True),
    Bar("durable chat, acknowledged/s", "chat", ACKNOWLEDGED.read, 6, PLAIN, at_least=True),
    Bar("server CPU a message", "chat", MESSAGE_CPU.read, 0.7),
    Bar("p99 delivered, at half of Node's best rate", "half", DELIVERED_P99.read, 1.0),
    Bar("two instances, acknowledged/s", "two", ACKNOWLEDGED.read, 1.7, at_least=True),
    Bar("500 sockets of one, server CPU a delivery", "fanout", DELIVERY_CPU.read, 0.8),
    Bar("500 sockets of one, server CPU a delivery", "fanout", DELIVERY_CPU.read, 0.2, PLAIN),
    Bar("500 people, server CPU a delivery", "told", DELIVERY_CPU.read, 0.8),
    Bar("500 people, server CPU a delivery", "told", DELIVERY_CPU.read, 0.2, PLAIN),
    Bar("KiB an idle connection, compression", "idle_compressed", MEMORY.read, 26, None),
    Bar("connects/s", "storm", CONNECTS.read, 1.5, at_least=True),
    Bar("last page, 1,000,000 ÷ 1,000", "history", LONG_TO_SHORT.read, 1.2, None),
)


def draw_bars(played: Played, rounds: int) -> str:
    """Markdown: every bar, what was measured, and whether that reaches it."""
    lines = [f"\n### What is to be reached, medians of rounds: {rounds}\n"]
    lines += [draw_row(["", "÷", "bar", "measured", "reached"]), draw_row(["---"] * 5)]
    for bar in BARS:
        value = _measure(bar, played)
        told = ["not measured", ""] if value is None else [f"{value:.2f}", _say(bar.holds(value))]
        lines.append(draw_row([bar.what, bar.than or "", bar.wanted, *told]))
    harm = _count_harm(played)
    name = "lost, doubled, misordered and errors of ours, in all rounds"
    lines.append(draw_row([name, "", "0", str(harm), _say(harm == 0)]))
    return "\n".join(lines)


def _measure(bar: Bar, played: Played) -> float | None:
    ours = _find_median(bar, played, OURS)
    if bar.than is None or ours is None:
        return ours
    theirs = _find_median(bar, played, bar.than)
    return ours / theirs if theirs else None


def _find_median(bar: Bar, played: Played, peer: str) -> float | None:
    values = [bar.read(one) for one in played.get(bar.workload, ()) if one.peer == peer]
    return median(values) if values else None


def _count_harm(played: Played) -> int:
    return sum(
        count(one)
        for workload in WORKLOADS
        for one in played.get(workload.name, ())
        for count in workload.counts.values()
        if one.peer.startswith(OURS)
    )


def _say(reached: bool) -> str:
    return "yes" if reached else "**no**"
