"""What wakes somebody up: each threshold as a Prometheus alert, over the metrics of
cdesk/core/metrics.py, with the page of `docs/runbooks/` that says what to do.

`cdesk metrics --rules` prints them as Prometheus reads them.
https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from cdesk.core.metrics import (
    AUTH_REFUSALS,
    BREAKER,
    BUILD_FAILED,
    BUILD_INFO,
    COST_GUARD_BLIND_SECONDS,
    COST_PER_HOUR,
    COST_USED,
    DEGRADATION,
    DISK_FREE_BYTES,
    EXPIRY,
    FIRST_TOKEN_SECONDS,
    KILL_SWITCH,
    QUARANTINE_RECORDS,
    QUEUE_HELD,
    QUEUE_LAG_SECONDS,
    QUEUE_RECORDS,
    RECORDS_QUEUED,
    RETRIES,
    SCRAPE_PROBLEMS,
    SNAPSHOT_LAG_SECONDS,
    STATE_REPAIRS,
    TESTS_FAILED,
    TOOL_CALL_SECONDS,
    TOOL_CALLS,
    WORKER_PROBLEM,
    WORKER_UP,
    Metric,
)

Severity = Literal["page", "critical", "warning"]
RUNBOOKS: Final = "docs/runbooks"
GROUP: Final = "cdesk"
_SHIMS: Final = 'component=~"stdio|http"'


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `metric` is what it watches, `threshold` the bound that a dashboard draws;
    `lasting` is how long it must hold, `runbook` the page's name.
    """

    name: str
    severity: Severity
    expr: str
    lasting: str
    summary: str
    runbook: str
    metric: Metric
    threshold: float | None = None


def _quantile(metric: Metric, matching: str = "") -> str:
    rate = f"rate({metric.name}_bucket{{{matching}}}[10m])"
    return f"histogram_quantile(0.95, sum by (le) ({rate}))"


_GET_CONTEXT: Final = _quantile(TOOL_CALL_SECONDS, 'tool="get_context"') + " > 0.025"
_ERRORS: Final = (
    f'sum(rate({TOOL_CALLS.name}{{outcome="error"}}[10m])) / sum(rate({TOOL_CALLS.name}[10m]))'
)

ALERTS: Final = (
    Alert(
        "CdeskFirstTokenPathSlow",
        "page",
        f"{_quantile(FIRST_TOKEN_SECONDS)} > 0.3",
        "5m",
        "The calls before a first token take more than 300 ms (95th percentile).",
        "performance_degradation",
        FIRST_TOKEN_SECONDS,
        0.3,
    ),
    Alert(
        "CdeskGetContextSlow",
        "warning",
        _GET_CONTEXT,
        "5m",
        "get_context takes more than 25 ms (95th percentile).",
        "performance_degradation",
        TOOL_CALL_SECONDS,
        0.025,
    ),
    Alert(
        "CdeskGetContextSlowForLong",
        "critical",
        _GET_CONTEXT,
        "30m",
        "get_context has taken more than 25 ms (95th percentile) for half an hour.",
        "performance_degradation",
        TOOL_CALL_SECONDS,
        0.025,
    ),
    Alert(
        "CdeskQueueOverflow",
        "critical",
        f"{QUEUE_RECORDS.name} > 100000",
        "1m",
        "More than 100,000 records wait in the queue: activities are shed.",
        "queue_overflow",
        QUEUE_RECORDS,
        100_000,
    ),
    Alert(
        "CdeskQueueHeld",
        "warning",
        f"{QUEUE_HELD.name} > 0",
        "10m",
        "Entries of the queue cannot be read.",
        "queue_overflow",
        QUEUE_HELD,
        0,
    ),
    Alert(
        "CdeskIngestionLag",
        "warning",
        f"{QUEUE_LAG_SECONDS.name} > 5",
        "2m",
        "Records wait more than 5 s for their landing.",
        "network_failure",
        QUEUE_LAG_SECONDS,
        5,
    ),
    Alert(
        "CdeskLandingRetries",
        "warning",
        f'rate({RETRIES.name}{{component="landing"}}[10m]) > 0.02',
        "10m",
        "Landing is tried again and again: something holds the warehouse, or it does not answer.",
        "locked_warehouse",
        RETRIES,
        0.02,
    ),
    Alert(
        "CdeskBreakerOpen",
        "critical",
        f'{BREAKER.name}{{state="open"}} == 1',
        "1m",
        "The circuit breaker before the warehouse is open.",
        "network_failure",
        BREAKER,
    ),
    Alert(
        "CdeskCreditBurn",
        "critical",
        f"{COST_PER_HOUR.name} > 100",
        "0m",
        "More than $100 an hour is spent: the cost guard turns the kill switch.",
        "credit_exhaustion",
        COST_PER_HOUR,
        100,
    ),
    Alert(
        "CdeskCostCapNear",
        "warning",
        f"{COST_USED.name} > 0.8",
        "0m",
        "More than 80 % of what may be used in this period is used.",
        "credit_exhaustion",
        COST_USED,
        0.8,
    ),
    Alert(
        "CdeskCostGuardBlind",
        "warning",
        f"{COST_GUARD_BLIND_SECONDS.name} > 3600",
        "5m",
        "The cost guard has been unable to read the meter for an hour; past its grace it turns "
        "the kill switch.",
        "credit_exhaustion",
        COST_GUARD_BLIND_SECONDS,
        3_600,
    ),
    Alert(
        "CdeskKillSwitchOn",
        "warning",
        f"{KILL_SWITCH.name} == 1",
        "0m",
        "Queries are refused by decision.",
        "credit_exhaustion",
        KILL_SWITCH,
    ),
    Alert(
        "CdeskErrorRate",
        "critical",
        f"{_ERRORS} > 0.01",
        "5m",
        "More than 1 % of the tool calls end in an error.",
        "performance_degradation",
        TOOL_CALLS,
        0.01,
    ),
    Alert(
        "CdeskQuarantineGrowing",
        "warning",
        f"sum({QUARANTINE_RECORDS.name}) - sum({QUARANTINE_RECORDS.name} offset 15m) > 0",
        "0m",
        "More records stand in quarantine than a quarter of an hour ago.",
        "schema_drift",
        QUARANTINE_RECORDS,
    ),
    Alert(
        "CdeskSnapshotStale",
        "critical",
        f"{SNAPSHOT_LAG_SECONDS.name} > 900",
        "5m",
        "What landed a quarter of an hour ago is not in the snapshot.",
        "uploader_crash",
        SNAPSHOT_LAG_SECONDS,
        900,
    ),
    Alert(
        "CdeskBuildsFailing",
        "critical",
        f"{BUILD_FAILED.name} == 1",
        "10m",
        "Builds fail.",
        "corrupt_warehouse",
        BUILD_FAILED,
    ),
    Alert(
        "CdeskDataTestsFailed",
        "warning",
        f"{TESTS_FAILED.name} > 0",
        "0m",
        "Data tests failed when they last ran.",
        "schema_drift",
        TESTS_FAILED,
        0,
    ),
    Alert(
        "CdeskWorkerDown",
        "critical",
        f"{WORKER_UP.name} == 0 and {QUEUE_RECORDS.name} > 0",
        "5m",
        "No worker runs, and records wait.",
        "uploader_crash",
        WORKER_UP,
    ),
    Alert(
        "CdeskWorkerProblem",
        "warning",
        f"{WORKER_PROBLEM.name} == 1",
        "1m",
        "The worker ended for a reason that somebody has to do something about.",
        "upgrade",
        WORKER_PROBLEM,
    ),
    Alert(
        "CdeskNoEvents",
        "warning",
        f"(sum(increase({RECORDS_QUEUED.name}{{{_SHIMS}}}[24h])) or vector(0)) == 0 "
        f"and on() count({BUILD_INFO.name} offset 24h) > 0",
        "1h",
        "No server has recorded anything for a day.",
        "uploader_crash",
        RECORDS_QUEUED,
    ),
    Alert(
        "CdeskNoMetrics",
        "critical",
        f"absent({BUILD_INFO.name})",
        "5m",
        "Nothing answers at /metrics.",
        "uploader_crash",
        BUILD_INFO,
    ),
    Alert(
        "CdeskCredentialExpires",
        "warning",
        f"{EXPIRY.name} - time() < 14 * 86400",
        "0m",
        "A {{ $labels.credential }} expires within 14 days.",
        "key_rotation",
        EXPIRY,
    ),
    Alert(
        "CdeskCredentialExpiresNow",
        "critical",
        f"{EXPIRY.name} - time() < 2 * 86400",
        "0m",
        "A {{ $labels.credential }} expires within 2 days, or has expired.",
        "key_rotation",
        EXPIRY,
    ),
    Alert(
        "CdeskTokensTried",
        "warning",
        f'sum(rate({AUTH_REFUSALS.name}{{reason="unknown_token"}}[5m])) > 0.2',
        "5m",
        "Somebody comes again and again with tokens that do not count.",
        "token_leak",
        AUTH_REFUSALS,
        0.2,
    ),
    Alert(
        "CdeskEverybodyRefused",
        "critical",
        f"sum(rate({AUTH_REFUSALS.name}[10m])) > 0 unless "
        f'sum(rate({TOOL_CALLS.name}{{transport="http"}}[10m])) > 0',
        "10m",
        "Requests are refused for their tokens, and none gets through.",
        "lockout",
        AUTH_REFUSALS,
    ),
    Alert(
        "CdeskDiskLow",
        "warning",
        f"{DISK_FREE_BYTES.name} < 1073741824",
        "5m",
        "Less than 1 GiB is free on the disk of the state directory.",
        "disk_full",
        DISK_FREE_BYTES,
        1_073_741_824,
    ),
    Alert(
        "CdeskDiskFull",
        "critical",
        f"{DISK_FREE_BYTES.name} < 104857600",
        "1m",
        "Less than 100 MiB is free on the disk of the state directory.",
        "disk_full",
        DISK_FREE_BYTES,
        104_857_600,
    ),
    Alert(
        "CdeskFileSetAside",
        "warning",
        f"{STATE_REPAIRS.name} > {STATE_REPAIRS.name} offset 1h",
        "0m",
        "A damaged {{ $labels.file }} was set aside and made anew.",
        "corrupt_state",
        STATE_REPAIRS,
    ),
    Alert(
        "CdeskScrapeProblem",
        "warning",
        f"{SCRAPE_PROBLEMS.name} == 1",
        "10m",
        "A part of the state directory cannot be looked at: {{ $labels.part }}.",
        "corrupt_state",
        SCRAPE_PROBLEMS,
    ),
    Alert(
        "CdeskDegraded",
        "warning",
        f"{DEGRADATION.name} > 0",
        "5m",
        "Something is given up under pressure: {{ $value }} steps of the degradation plan.",
        "performance_degradation",
        DEGRADATION,
        0,
    ),
)


def rules(*, runbooks: str = RUNBOOKS) -> str:
    """The rule file, as YAML. `runbooks` is where their pages are: a folder or an address."""
    return "\n".join(_lines(runbooks.rstrip("/"))) + "\n"


def _lines(runbooks: str) -> Iterator[str]:
    # Strings as JSON writes them are strings of YAML, too.
    yield "# Made by 'cdesk metrics --rules'; do not edit."
    yield "groups:"
    yield f"  - name: {GROUP}"
    yield "    rules:"
    for alert in ALERTS:
        yield f"      - alert: {alert.name}"
        yield f"        expr: {json.dumps(alert.expr)}"
        yield f"        for: {alert.lasting}"
        yield "        labels:"
        yield f"          severity: {alert.severity}"
        yield "        annotations:"
        yield f"          summary: {json.dumps(alert.summary)}"
        yield f"          runbook_url: {json.dumps(f'{runbooks}/{alert.runbook}.md')}"
