"""What the servers are put to, and which numbers are read from it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.aged import PASTS
from benchmarks.crowd import WATCHERS
from benchmarks.table import BASELINE, Column, Counts, Round

PAIRS = 64
SOCKETS = 500
IDLE = 1000
STORM = 2000
CHAT, NOTIFICATIONS = "/chat", "/notifications"


# slice has no hash before Python 3.12, and so no field may default to one.
def _all() -> slice:
    return slice(None)


@dataclass(frozen=True, slots=True)
class Workload:
    """A load (a module of `loads`), how it is set, and how it is told."""

    name: str
    title: str
    load: str
    columns: Sequence[Column]
    counts: Counts = field(default_factory=dict)
    instances: int = 1
    couples: slice = field(default_factory=_all)
    """Which of the couples take part."""

    options: Mapping[str, Any] = field(default_factory=dict)
    peers: Sequence[str] = ()
    """Who can do it; empty: everybody."""

    baseline: str = BASELINE
    """By whom the others are divided."""


def _per_thousand(part: str) -> Callable[[Round], float]:
    def read(one: Round) -> float:
        # CPU seconds for a thousand messages are milliseconds for one.
        return 1000 * one.costs[part] / max(1, int(one.found["acknowledged"]))

    return read


def _per_delivery(part: str) -> Callable[[Round], float]:
    def read(one: Round) -> float:
        return 1e6 * one.costs[part] / max(1, int(one.found["deliveries"]))

    return read


def _per_connection(one: Round) -> float:
    return one.costs["memory"] / int(one.found["connections"])


def _cpu_per_connection(one: Round) -> float:
    return 1000 * one.costs["server"] / int(one.found["connections"])


ACKNOWLEDGED = Column("acknowledged/s", lambda one: one.found["acknowledged"] / one.seconds, ",.0f")
DELIVERED_P99 = Column("p99", lambda one: one.found["delivery_ms"]["p99"])
MESSAGE_CPU = Column("server CPU, ms a message", _per_thousand("server"), ".3f")
DELIVERY_CPU = Column("server CPU, µs a delivery", _per_delivery("server"))
MEMORY = Column("KiB a connection", _per_connection)
CONNECTS = Column("connects/s", lambda one: one.found["rate"], ",.0f")
LONG_TO_SHORT = Column(
    "long ÷ short", lambda one: one.found["long_ms"]["p50"] / one.found["short_ms"]["p50"], ".2f"
)

TALKING = (
    ACKNOWLEDGED,
    Column("delivered p50, ms", lambda one: one.found["delivery_ms"]["p50"]),
    Column("p95", lambda one: one.found["delivery_ms"]["p95"]),
    DELIVERED_P99,
    MESSAGE_CPU,
    Column("workers", _per_thousand("workers"), ".3f"),
    Column("PostgreSQL", _per_thousand("postgres"), ".3f"),
    Column("Redis", _per_thousand("redis"), ".3f"),
    Column("load", _per_thousand("load"), ".3f"),
)
DELIVERING = (
    Column("deliveries/s", lambda one: one.found["deliveries"] / one.seconds, ",.0f"),
    DELIVERY_CPU,
    Column("PostgreSQL", _per_delivery("postgres")),
    Column("Redis", _per_delivery("redis")),
    Column("load", _per_delivery("load")),
)
TOLD_HARM: Counts = {
    "lost": lambda one: one.found["lost"],
    "doubled": lambda one: one.found["duplicated"],
    "misordered": lambda one: one.found["misordered"],
}
HARM: Counts = {
    **TOLD_HARM,
    "errors": lambda one: one.found["errors"] + one.found["unanswered"],
}

WORKLOADS = (
    Workload("chat", "Durable chat, closed loop", "chat", TALKING, HARM, couples=slice(PAIRS)),
    Workload(
        "half",
        "Durable chat at half of Node's best rate",
        "chat",
        TALKING,
        HARM,
        couples=slice(PAIRS),
        peers=("emotrack", "node"),
    ),
    Workload(
        "two",
        "Durable chat on two instances, partners apart",
        "chat",
        TALKING,
        HARM,
        instances=2,
        couples=slice(PAIRS),
    ),
    Workload(
        "grown",
        "Durable chat, closed loop, after so many messages",
        "chat",
        TALKING,
        HARM,
        couples=slice(PAIRS),
        peers=tuple(PASTS),
        baseline=min(PASTS, key=PASTS.__getitem__),
    ),
    Workload(
        "polling",
        "Durable chat of clients that poll",
        "chat",
        TALKING,
        HARM,
        couples=slice(PAIRS),
        options={"transport": "polling"},
    ),
    Workload(
        "fanout",
        f"Fan-out: one person with {SOCKETS} sockets",
        "fanout",
        DELIVERING,
        TOLD_HARM,
        couples=slice(1),
        options={"sockets": SOCKETS},
    ),
    Workload(
        "told",
        f"Fan-out: one change told to {WATCHERS} people",
        "told",
        DELIVERING,
        TOLD_HARM,
        couples=slice(0),
    ),
    *(
        Workload(
            name,
            f"{IDLE:,} idle connections in two namespaces{how}",
            "idle",
            (MEMORY,),
            options={
                "connections": IDLE,
                "compression": bool(how),
                "namespaces": [CHAT, NOTIFICATIONS],
            },
        )
        for name, how in (("idle", ""), ("idle_compressed", ", compression offered"))
    ),
    Workload(
        "storm",
        f"{STORM:,} clients come at once",
        "storm",
        (
            CONNECTS,
            Column("p99, ms", lambda one: one.found["ms"]["p99"], ",.0f"),
            Column("server CPU, ms a connection", _cpu_per_connection, ".2f"),
            Column("events caught up on", lambda one: one.found["caught_up"], ",.0f"),
        ),
        {
            "broken off": lambda one: one.found["broken"],
            "gaps": lambda one: one.found["gaps"],
        },
        options={"connections": STORM},
    ),
    Workload(
        "history",
        "The last page of a chat: 1,000 and 1,000,000 messages",
        "history",
        (
            Column("short p50, ms", lambda one: one.found["short_ms"]["p50"], ".2f"),
            Column("long p50, ms", lambda one: one.found["long_ms"]["p50"], ".2f"),
            LONG_TO_SHORT,
        ),
        couples=slice(-2, None),
        peers=("emotrack",),
    ),
)
