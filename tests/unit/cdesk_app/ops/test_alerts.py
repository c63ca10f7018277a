"""Each alert fires where it should and stays silent where it should not, by promtool itself."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from needs import need_program

from cdesk.core.metrics import METRICS
from cdesk_app.cli.main import main
from cdesk_app.ops.alerts import ALERTS, RUNBOOKS, rules

BY_NAME = {alert.name: alert for alert in ALERTS}
Series = dict[str, str]

ROOT = Path(__file__).resolve().parents[4]


@dataclass(frozen=True)
class Case:
    """Series that make an alert fire at minute `at`, and such that do not. In Prometheus' notation:
    `0+1x60` is 0, 1, 2 … for 60 minutes.
    """

    fires: Series
    silent: Series
    at: int = 60
    labels: dict[str, str] = field(default_factory=dict)


def path_series(name: str, *, slow: bool, labels: str = "") -> Series:
    """A histogram of which nearly all calls take about 2 ms, or 400 ms."""
    fast = "0+0x120" if slow else "0+60x120"
    inner = f",{labels}" if labels else ""
    return {
        f'{name}_bucket{{le="0.001"{inner}}}': "0+0x120",
        f'{name}_bucket{{le="0.025"{inner}}}': fast,
        f'{name}_bucket{{le="0.3"{inner}}}': fast,
        f'{name}_bucket{{le="0.5"{inner}}}': "0+60x120",
        f'{name}_bucket{{le="+Inf"{inner}}}': "0+60x120",
    }


def gauge(name: str, fires: str, silent: str, *, at: int = 60, **labels: str) -> Case:
    inner = ",".join(f'{key}="{value}"' for key, value in labels.items())
    series = f"{name}{{{inner}}}" if inner else name
    return Case({series: f"{fires}x120"}, {series: f"{silent}x120"}, at, labels)


FIRST = "cdesk_first_token_path_seconds"
CALLS = "cdesk_tool_call_duration_seconds"
OK = 'cdesk_tool_calls_total{tool="log_event",transport="http",outcome="ok"}'
ERROR = 'cdesk_tool_calls_total{tool="log_event",transport="http",outcome="error"}'
INFO = 'cdesk_build_info{version="1"}'
QUEUED = 'cdesk_records_queued_total{component="stdio"}'
UNKNOWN = 'cdesk_auth_refusals_total{reason="unknown_token"}'
EXPIRY = "cdesk_credential_expiry_timestamp_seconds"
HOUR, DAY = 3_600, 86_400

CASES = {
    "CdeskFirstTokenPathSlow": Case(path_series(FIRST, slow=True), path_series(FIRST, slow=False)),
    "CdeskGetContextSlow": Case(
        path_series(CALLS, slow=True, labels='tool="get_context"'),
        path_series(CALLS, slow=True, labels='tool="get_result"'),
        at=20,
    ),
    "CdeskGetContextSlowForLong": Case(
        path_series(CALLS, slow=True, labels='tool="get_context"'),
        path_series(CALLS, slow=False, labels='tool="get_context"'),
    ),
    "CdeskQueueOverflow": gauge("cdesk_queue_records", "100001", "100000"),
    "CdeskQueueHeld": gauge("cdesk_queue_held_entries", "1", "0"),
    "CdeskIngestionLag": gauge("cdesk_queue_lag_seconds", "5.1", "5"),
    "CdeskLandingRetries": Case(
        {'cdesk_retries_total{component="landing"}': "0+2x120"},
        {'cdesk_retries_total{component="landing"}': "0+1x120"},
        labels={"component": "landing"},
    ),
    "CdeskBreakerOpen": gauge("cdesk_breaker_state", "1", "0", state="open"),
    "CdeskCreditBurn": gauge("cdesk_cost_usd_per_hour", "100.5", "100"),
    "CdeskCostCapNear": gauge("cdesk_cost_cap_used_ratio", "0.81", "0.8", measure="credits"),
    "CdeskCostGuardBlind": gauge("cdesk_cost_guard_blind_seconds", "3601", "3600"),
    "CdeskKillSwitchOn": gauge("cdesk_kill_switch_on", "1", "0"),
    "CdeskErrorRate": Case(
        {OK: "0+980x120", ERROR: "0+20x120"}, {OK: "0+1000x120", ERROR: "0+10x120"}
    ),
    "CdeskQuarantineGrowing": Case(
        {
            'cdesk_quarantine_records{reason="none"}': "0x50 _x70",
            'cdesk_quarantine_records{reason="no_json"}': "_x50 1x70",
        },
        {'cdesk_quarantine_records{reason="no_json"}': "7x120"},
    ),
    "CdeskSnapshotStale": gauge("cdesk_snapshot_lag_seconds", "901", "900"),
    "CdeskBuildsFailing": gauge("cdesk_build_failed", "1", "0"),
    "CdeskDataTestsFailed": gauge("cdesk_data_tests_failed", "1", "0"),
    "CdeskWorkerDown": Case(
        {"cdesk_worker_up": "0x120", "cdesk_queue_records": "1x120"},
        {"cdesk_worker_up": "0x120", "cdesk_queue_records": "0x120"},
    ),
    "CdeskWorkerProblem": gauge("cdesk_worker_problem", "1", "0"),
    "CdeskNoEvents": Case(
        {INFO: "1x2000", QUEUED: "5x2000"}, {INFO: "1x2000", QUEUED: "0+0.1x2000"}, at=1_600
    ),
    "CdeskNoMetrics": Case({}, {INFO: "1x120"}),
    "CdeskCredentialExpires": gauge(
        EXPIRY, str(14 * DAY + HOUR - 1), str(14 * DAY + HOUR), credential="token"
    ),
    "CdeskCredentialExpiresNow": gauge(
        EXPIRY, str(2 * DAY + HOUR - 1), str(2 * DAY + HOUR), credential="certificate"
    ),
    "CdeskTokensTried": Case({UNKNOWN: "0+20x120"}, {UNKNOWN: "0+5x120"}),
    "CdeskEverybodyRefused": Case({UNKNOWN: "0+1x120"}, {UNKNOWN: "0+1x120", OK: "0+1x120"}),
    "CdeskDiskLow": gauge("cdesk_disk_free_bytes", "1073741823", "1073741824"),
    "CdeskDiskFull": gauge("cdesk_disk_free_bytes", "104857599", "104857600"),
    "CdeskFileSetAside": Case(
        {'cdesk_state_files_set_aside{file="state.db"}': "0x50 1x70"},
        {'cdesk_state_files_set_aside{file="state.db"}': "2x120"},
        at=90,
        labels={"file": "state.db"},
    ),
    "CdeskScrapeProblem": gauge("cdesk_scrape_problems", "1", "0", part="state"),
    "CdeskDegraded": gauge("cdesk_degradation_step", "2", "0"),
}


def expected(name: str, case: Case) -> dict[str, object]:
    alert = BY_NAME[name]
    labels = {"severity": alert.severity} | case.labels
    summary = re.sub(
        r"\{\{ \$labels\.(\w+) \}\}", lambda match: case.labels[match[1]], alert.summary
    ).replace("{{ $value }}", "2")
    return {
        "exp_labels": labels,
        "exp_annotations": {
            "summary": summary,
            "runbook_url": f"{RUNBOOKS}/{alert.runbook}.md",
        },
    }


def promtool_tests(cases: dict[str, Case]) -> dict[str, object]:
    tests = [
        {
            "name": f"{name} {'fires' if fires else 'stays silent'}",
            "interval": "1m",
            "input_series": [
                {"series": series, "values": values}
                for series, values in (case.fires if fires else case.silent).items()
            ],
            "alert_rule_test": [
                {
                    "eval_time": f"{case.at}m",
                    "alertname": name,
                    "exp_alerts": [expected(name, case)] if fires else [],
                }
            ],
        }
        for name, case in cases.items()
        for fires in (True, False)
    ]
    return {"rule_files": ["rules.yml"], "evaluation_interval": "5m", "tests": tests}


def run_promtool(
    folder: Path, text: str, cases: dict[str, Case]
) -> subprocess.CompletedProcess[str]:
    (folder / "rules.yml").write_text(text, encoding="utf-8")
    (folder / "tests.yml").write_text(json.dumps(promtool_tests(cases)), encoding="utf-8")
    return subprocess.run(
        [need_program("promtool", "prometheus"), "test", "rules", "tests.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_promtool_reads_the_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "--rules"]) == 0
    (tmp_path / "rules.yml").write_text(capsys.readouterr().out, encoding="utf-8")
    run = subprocess.run(
        [need_program("promtool", "prometheus"), "check", "rules", "rules.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert f"{len(ALERTS)} rules found" in run.stdout


def test_every_alert_fires_and_stays_silent(tmp_path: Path) -> None:
    assert set(CASES) == set(BY_NAME)
    run = run_promtool(tmp_path, rules(), CASES)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_threshold_that_is_moved_is_seen(tmp_path: Path) -> None:
    """Each case lies beside its bound: one alert with another fails its test."""
    moved = rules().replace("> 100000", "> 100002").replace("> 0.8", "> 0.79")
    run = run_promtool(
        tmp_path, moved, {name: CASES[name] for name in ("CdeskQueueOverflow", "CdeskCostCapNear")}
    )
    assert run.returncode != 0
    assert run.stdout.count("FAILED") + run.stderr.count("FAILED") >= 1


def test_every_alert_names_a_metric_of_the_list_and_a_runbook_that_names_it() -> None:
    names = {metric.name for metric in METRICS}
    for alert in ALERTS:
        used = set(re.findall(r"cdesk_\w+", alert.expr))
        assert {re.sub("_bucket$", "", name) for name in used} <= names, alert.name
        assert alert.metric.name in {re.sub("_bucket$", "", name) for name in used}
        page = (ROOT / RUNBOOKS / f"{alert.runbook}.md").read_text(encoding="utf-8")
        assert f"`{alert.name}`" in page
    assert len(BY_NAME) == len(ALERTS)


def test_the_runbooks_may_be_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "--rules", "--runbooks", "https://wiki.example.com/cdesk/"]) == 0
    found = yaml.safe_load(capsys.readouterr().out)["groups"][0]["rules"]
    assert found[0]["annotations"]["runbook_url"].startswith("https://wiki.example.com/cdesk/perf")
    assert main(["metrics", "--runbooks", "x"]) == 2


def test_the_threshold_that_a_dashboard_draws_is_the_one_that_wakes_somebody() -> None:
    for alert in ALERTS:
        bound = re.search(r" [<>] ([\d.]+)$", alert.expr)
        if alert.threshold is not None:
            assert bound is not None, alert.name
            assert alert.threshold == float(bound[1]), alert.name


def test_the_rules_are_a_text_of_whole_lines_with_the_pages_below_one_address() -> None:
    text = rules(runbooks="/pages/")
    assert text.endswith('.md"\n')
    assert text.count('runbook_url: "/pages/') == len(ALERTS)
