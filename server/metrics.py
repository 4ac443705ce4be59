"""What Prometheus sees. Dashboards and alerts rely on the names; no label tells who a person is.

No label is called `job` or `instance` either: these are Prometheus's own, for where it asked.
"""

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# One more series for each, of which nobody asks.
disable_created_metrics()  # type: ignore[no-untyped-call]  # of the library

# -- Sockets --

connections = Gauge("emotrack_connections", "Open Engine.IO connections", ["transport"])
sockets = Gauge("emotrack_sockets", "Clients that joined a namespace", ["namespace"])
refused = Counter(
    "emotrack_refused_total", "Connections closed by the server, too_slow among them", ["reason"]
)

# -- Requests --

calls = Counter("emotrack_calls_total", "Events and routes answered", ["name", "outcome"])
call_seconds = Histogram(
    "emotrack_call_seconds",
    "Seconds from a request's turn to its answer",
    ["name"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
rate_limited = Counter("emotrack_rate_limited_total", "Requests over a limit", ["limit"])

# -- Delivery --

delivered = Counter("emotrack_delivered_total", "Events sent to sockets", ["kind"])
delivery_lag = Histogram(
    "emotrack_delivery_lag_seconds",
    "Seconds from an event's transaction to the sockets that hear it live",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
catch_ups = Counter("emotrack_catch_ups_total", "Replays from the log", ["cause"])
catch_up_rows = Histogram(
    "emotrack_catch_up_rows",
    "Events replayed in one catch-up",
    buckets=(1, 10, 100, 1000, 10_000),
)
catch_up_seconds = Histogram(
    "emotrack_catch_up_seconds",
    "Seconds that one catch-up took",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
resets = Counter("emotrack_resets_total", "Clients told to fetch their state anew")

# -- The bus between instances --

bus_healthy = Gauge("emotrack_bus_healthy", "Whether other instances can be heard")
bus_waiting = Gauge("emotrack_bus_waiting", "Messages not yet handed to Redis")
bus_published = Counter("emotrack_bus_published_total", "Messages handed to Redis")
bus_received = Counter("emotrack_bus_received_total", "Messages from other instances")
bus_lost = Counter("emotrack_bus_lost_total", "Messages that could not be published")
bus_forged = Counter("emotrack_bus_forged_total", "Messages in Redis that nobody of ours sealed")
bus_unreadable = Counter(
    "emotrack_bus_unreadable_total", "Messages of another version that this one cannot read"
)
forwarded = Counter("emotrack_forwarded_total", "Requests forwarded to their owner", ["outcome"])

# -- Jobs --

jobs_done = Counter("emotrack_jobs_total", "Jobs run", ["name", "outcome"])
job_seconds = Histogram(
    "emotrack_job_seconds",
    "Seconds that one run of a job took",
    ["name"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
job_lag = Histogram(
    "emotrack_job_lag_seconds",
    "Seconds from a job's due time to its start",
    ["queue"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)
jobs_running = Gauge("emotrack_jobs_running", "Jobs that this process is doing", ["queue"])
jobs_due = Gauge("emotrack_jobs_due", "Jobs that are due and not done", ["queue"])
oldest_job = Gauge("emotrack_oldest_job_seconds", "Age of the longest due job", ["queue"])
dead_jobs = Gauge("emotrack_dead_jobs", "Jobs that were given up")

# -- What the process lives on --

database_up = Gauge("emotrack_database_up", "Whether the database answered this scrape")
pool_size = Gauge("emotrack_pool_size", "Database connections at most", ["pool"])
pool_taken = Gauge("emotrack_pool_taken", "Database connections in use", ["pool"])
pool_waiting = Gauge("emotrack_pool_waiting", "Tasks that wait for a connection", ["pool"])
loop_lag = Histogram(
    "emotrack_loop_lag_seconds",
    "Seconds that the event loop was late",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
