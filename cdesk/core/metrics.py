"""The metrics of the system: one table, from which code, documentation, alert rules and the Grafana
dashboard follow. Names and units by Prometheus' conventions: base units, `_total` for counters.

Counters and histograms are counted by the process in which something happens
(cdesk/state/counts.py), gauges are looked up when somebody asks (cdesk/queue/scrape.py). No label
holds what a caller chose: customers, sessions and parameters never stand in one.

https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]

LATENCY: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 30.0)
"""Seconds of a call; each target of the design is a bound, so that its share is exact."""
DURATION: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 8.0, 15.0, 30.0, 60.0, 300.0, 900.0)
"""Seconds of a landing, a query, a build."""
ROWS: Final = (1.0, 10.0, 100.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 25_000.0)
MOST_SERIES: Final = 200
"""Series of one metric that a process keeps; what comes beyond is counted under OTHER."""
OTHER: Final = "other"


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric, itself the key of what is counted of it. `name` is as Prometheus shows it,
    `buckets` are a histogram's upper bounds, the infinite one left out.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()

    @property
    def unit(self) -> str:
        """The unit that the name ends in; empty for a plain number."""
        stem = self.name.removesuffix("_total")
        return next((unit for unit in UNITS if stem.endswith(f"_{unit}")), "")


UNITS: Final = ("seconds", "bytes", "ratio")

# -- the turn path

TOOL_CALL_SECONDS: Final = Metric(
    "cdesk_tool_call_duration_seconds",
    "histogram",
    ("tool", "transport"),
    "Time of a tool call, from its arrival to its answer.",
    LATENCY,
)
TOOL_CALLS: Final = Metric(
    "cdesk_tool_calls_total",
    "counter",
    ("tool", "transport", "outcome"),
    "Tool calls; outcome is ok, error, or cancelled by the caller.",
)
FIRST_TOKEN_SECONDS: Final = Metric(
    "cdesk_first_token_path_seconds",
    "histogram",
    ("transport",),
    "Time that the calls of a turn add before its first token: get_context, what is logged after "
    "it, and submit_query together.",
    LATENCY,
)
HTTP_REQUESTS: Final = Metric(
    "cdesk_http_requests_total",
    "counter",
    ("status",),
    "Requests to the HTTP service by the status of their answer.",
)
AUTH_REFUSALS: Final = Metric(
    "cdesk_auth_refusals_total",
    "counter",
    ("reason",),
    "Requests to the HTTP service that were refused for their token.",
)
RATE_LIMITED: Final = Metric(
    "cdesk_rate_limited_requests_total",
    "counter",
    (),
    "Requests to the HTTP service that were refused for a limit of their customer.",
)

# -- the queue

RECORDS_QUEUED: Final = Metric(
    "cdesk_records_queued_total",
    "counter",
    ("component",),
    "Records that were put into the queue.",
)
RECORDS_SHED: Final = Metric(
    "cdesk_records_shed_total",
    "counter",
    ("priority",),
    "Activities that were shed by declared policy, by their priority in the vocabulary.",
)
REDACTIONS: Final = Metric(
    "cdesk_redactions_total",
    "counter",
    ("component",),
    "Marks that stand in queued records where a credential was taken out.",
)
QUEUE_RECORDS: Final = Metric(
    "cdesk_queue_records", "gauge", (), "Records that stand in the queue and have not landed."
)
QUEUE_BYTES: Final = Metric(
    "cdesk_queue_bytes", "gauge", (), "Bytes that stand in the queue and have not landed."
)
QUEUE_LAG_SECONDS: Final = Metric(
    "cdesk_queue_lag_seconds",
    "gauge",
    (),
    "Age of the oldest record in the queue; 0 where it is empty.",
)
QUEUE_HELD: Final = Metric(
    "cdesk_queue_held_entries", "gauge", (), "Entries of the queue that cannot be read."
)

# -- landing

RECORDS_LANDED: Final = Metric(
    "cdesk_records_landed_total", "counter", (), "Records that landed, quarantined ones included."
)
RECORDS_QUARANTINED: Final = Metric(
    "cdesk_records_quarantined_total",
    "counter",
    ("reason",),
    "Records that landed in quarantine.",
)
LANDING_SECONDS: Final = Metric(
    "cdesk_landing_duration_seconds", "histogram", (), "Time of landing one batch.", DURATION
)
LANDING_ROWS: Final = Metric(
    "cdesk_landing_batch_records", "histogram", (), "Records of one landed batch.", ROWS
)
LANDING_LAG_SECONDS: Final = Metric(
    "cdesk_landing_lag_seconds",
    "histogram",
    (),
    "Time from the birth of a batch's first record to its landing; imported history left out.",
    DURATION,
)
RETRIES: Final = Metric(
    "cdesk_retries_total", "counter", ("component",), "Attempts that were made again."
)
BREAKER: Final = Metric(
    "cdesk_breaker_state",
    "gauge",
    ("state",),
    "1 for the state of the circuit breaker before the warehouse, 0 for the others.",
)
QUARANTINE_RECORDS: Final = Metric(
    "cdesk_quarantine_records",
    "gauge",
    ("reason",),
    "Records in quarantine about which nobody has decided.",
)

# -- queries

TICKETS: Final = Metric("cdesk_tickets", "gauge", ("status",), "Tickets by their status.")
QUERIES: Final = Metric(
    "cdesk_queries_total", "counter", ("outcome",), "Tickets that ended, by how."
)
QUERY_SECONDS: Final = Metric(
    "cdesk_query_duration_seconds",
    "histogram",
    (),
    "Time of a ticket from its start to its end.",
    DURATION,
)

# -- builds and what the turn path reads

BUILD_SECONDS: Final = Metric(
    "cdesk_build_duration_seconds", "histogram", (), "Time of a build that ended well.", DURATION
)
BUILDS: Final = Metric("cdesk_builds_total", "counter", ("outcome",), "Builds, by how they ended.")
BUILD_FAILED: Final = Metric(
    "cdesk_build_failed", "gauge", (), "1 where the last build failed, else 0."
)
TESTS_FAILED: Final = Metric(
    "cdesk_data_tests_failed", "gauge", (), "Data tests that failed when they last ran."
)
SNAPSHOT_AGE_SECONDS: Final = Metric(
    "cdesk_snapshot_age_seconds", "gauge", (), "Time since the snapshot was renewed."
)
SNAPSHOT_LAG_SECONDS: Final = Metric(
    "cdesk_snapshot_lag_seconds",
    "gauge",
    (),
    "Time for which something has landed that the snapshot does not show; 0 where it shows all.",
)
INSIGHTS: Final = Metric(
    "cdesk_insights",
    "gauge",
    ("outcome",),
    "Recorded insights by the outcome of their verification, as of the last build.",
)
CARD_SECONDS: Final = Metric(
    "cdesk_card_ready_seconds",
    "histogram",
    ("shown_in",),
    "Time from the end of a query, or a later first look at its card, to its chart, painted in the "
    "browser or brought into the chat.",
    DURATION,
)

# -- money, pressure and what is about to end

CREDITS: Final = Metric(
    "cdesk_credits_period",
    "gauge",
    ("basis",),
    "Credits used in the cost guard's period; basis is metered or estimated.",
)
COST_PER_HOUR: Final = Metric(
    "cdesk_cost_usd_per_hour", "gauge", (), "US dollars that the last hour has cost."
)
COST_USED: Final = Metric(
    "cdesk_cost_cap_used_ratio",
    "gauge",
    ("measure",),
    "Share of the cost guard's cap that is used up, by what is capped.",
)
COST_GUARD_BLIND_SECONDS: Final = Metric(
    "cdesk_cost_guard_blind_seconds",
    "gauge",
    (),
    "Time since the cost guard could last read what was used.",
)
KILL_SWITCH: Final = Metric(
    "cdesk_kill_switch_on", "gauge", (), "1 where queries are refused by decision, else 0."
)
DEGRADATION: Final = Metric(
    "cdesk_degradation_step",
    "gauge",
    (),
    "How many steps of the degradation plan are taken; 0 is none.",
)
DEGRADED: Final = Metric(
    "cdesk_degraded_total",
    "counter",
    ("step",),
    "What was given up under pressure, by the step of the degradation plan.",
)
EXPIRY: Final = Metric(
    "cdesk_credential_expiry_timestamp_seconds",
    "gauge",
    ("credential",),
    "When the next certificate, key or token of a kind expires.",
)
DISK_FREE_BYTES: Final = Metric(
    "cdesk_disk_free_bytes", "gauge", (), "Free space on the disk of the state directory."
)

# -- the processes

ERRORS: Final = Metric(
    "cdesk_errors_total",
    "counter",
    ("component", "code"),
    "Errors by the part in which they happened and their code.",
)
WORKER_UP: Final = Metric(
    "cdesk_worker_up", "gauge", (), "1 where a worker runs for the state directory, else 0."
)
WORKER_PROBLEM: Final = Metric(
    "cdesk_worker_problem",
    "gauge",
    (),
    "1 where the last worker ended for a reason that somebody has to do something about.",
)
STATE_REPAIRS: Final = Metric(
    "cdesk_state_files_set_aside",
    "gauge",
    ("file",),
    "Damaged files of the state directory that were set aside and made anew.",
)
SCRAPE_PROBLEMS: Final = Metric(
    "cdesk_scrape_problems",
    "gauge",
    ("part",),
    "1 for a part of the state directory that could not be looked at for this scrape.",
)
BUILD_INFO: Final = Metric(
    "cdesk_build_info", "gauge", ("version", "target"), "1; which version of cdesk answers."
)

METRICS: Final[tuple[Metric, ...]] = tuple(
    value for value in tuple(globals().values()) if isinstance(value, Metric)
)
"""All of them, in the order above."""
