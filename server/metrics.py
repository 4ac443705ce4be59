"""What Prometheus sees."""

from prometheus_client import Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST

connections = Gauge("emotrack_connections", "Open Engine.IO connections")
calls = Counter("emotrack_calls_total", "Events and routes answered", ["name", "outcome"])
call_seconds = Histogram(
    "emotrack_call_seconds",
    "Seconds from a request's turn to its answer",
    ["name"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
delivered = Counter("emotrack_delivered_total", "Events sent to sockets", ["kind"])
delivery_lag = Histogram(
    "emotrack_delivery_lag_seconds",
    "Seconds from an event's transaction to its socket, live events only",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
catch_ups = Counter("emotrack_catch_ups_total", "Replays from the log", ["cause"])
resets = Counter("emotrack_resets_total", "Clients told to fetch their state anew")
refused = Counter("emotrack_refused_total", "Connections closed for what they sent", ["reason"])
bus_lost = Counter("emotrack_bus_lost_total", "Messages that could not be published")
jobs_done = Counter("emotrack_jobs_total", "Jobs run", ["job", "outcome"])


def expose() -> bytes:
    return generate_latest()
