"""The Grafana dashboard: a panel for each metric, with what it asks and its alerts' thresholds."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from needs import need_program

from cdesk.core.metrics import METRICS
from cdesk_app.cli.main import main
from cdesk_app.ops.grafana import dashboard, queries


def panel_of(title: str) -> Any:
    return next(panel for panel in dashboard()["panels"] if panel["title"] == title)


def test_the_dashboard_shows_every_metric_once_and_none_over_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["metrics", "--dashboard"]) == 0
    told = json.loads(capsys.readouterr().out)
    panels = told["panels"]
    asked = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    assert [metric.name for metric in METRICS if metric.name not in asked] == []
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(panels) == len(METRICS)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_a_panel_draws_the_thresholds_of_its_alerts() -> None:
    panel = next(one for one in dashboard()["panels"] if one["title"] == "first token path seconds")
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps == [{"color": "green", "value": None}, {"color": "red", "value": 0.3}]
    assert "docs/runbooks/performance_degradation.md" in panel["description"]


def test_every_query_of_the_dashboard_is_one_that_prometheus_reads(tmp_path: Path) -> None:
    asked = [expr for metric in METRICS for expr, _ in queries(metric)]
    group = {
        "name": "panels",
        "rules": [
            {"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "5m")}
            for number, expr in enumerate(asked)
        ],
    }
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [group]}), encoding="utf-8")
    run = subprocess.run(
        [need_program("promtool", "prometheus"), "check", "rules", "panels.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f"{len(asked)} rules found" in run.stdout, run.stderr


def test_panels_stand_three_in_a_row_each_with_an_id_of_its_own() -> None:
    panels = dashboard()["panels"]
    assert [panel["gridPos"] for panel in panels[:4]] == [
        {"x": 0, "y": 0, "w": 8, "h": 7},
        {"x": 8, "y": 0, "w": 8, "h": 7},
        {"x": 16, "y": 0, "w": 8, "h": 7},
        {"x": 0, "y": 7, "w": 8, "h": 7},
    ]
    assert all(type(value) is int for panel in panels for value in panel["gridPos"].values())
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))


def test_it_can_be_edited_and_shows_the_alerts_that_fire() -> None:
    told = dashboard()
    assert told["editable"] is True
    assert [one["enable"] for one in told["annotations"]["list"]] == [True]


def test_a_histogram_is_drawn_by_three_quantiles_of_each_of_its_series() -> None:
    panel = panel_of("first token path seconds")
    rate = "sum by (le, transport) (rate(cdesk_first_token_path_seconds_bucket[$__rate_interval]))"
    assert panel["targets"] == [
        {
            "refId": letter,
            "expr": f"histogram_quantile({quantile}, {rate})",
            "legendFormat": f"p{percent} {{{{transport}}}}",
        }
        for letter, quantile, percent in (("A", 0.5, 50), ("B", 0.95, 95), ("C", 0.99, 99))
    ]
    plain = next(one for one in METRICS if one.kind == "histogram" and not one.labels)
    assert [legend for _, legend in queries(plain)] == ["p50", "p95", "p99"]


def test_a_counter_is_drawn_by_its_rate_and_a_gauge_as_it_is() -> None:
    assert panel_of("tool calls total")["targets"] == [
        {
            "refId": "A",
            "expr": "sum by (tool, transport, outcome) "
            "(rate(cdesk_tool_calls_total[$__rate_interval]))",
            "legendFormat": "{{tool}} {{transport}} {{outcome}}",
        }
    ]
    assert panel_of("queue records")["targets"] == [
        {"refId": "A", "expr": "cdesk_queue_records", "legendFormat": "cdesk_queue_records"}
    ]


@pytest.mark.parametrize(
    ("title", "unit"),
    [
        ("tool calls total", "ops"),
        ("first token path seconds", "s"),
        ("disk free bytes", "bytes"),
        ("cost cap used ratio", "percentunit"),
        ("queue records", "short"),
        ("credential expiry timestamp seconds", "dateTimeFromNow"),
    ],
)
def test_each_has_the_unit_that_its_name_ends_in(title: str, unit: str) -> None:
    defaults = panel_of(title)["fieldConfig"]["defaults"]
    assert (defaults["unit"], defaults["min"]) == (unit, 0)


def test_a_line_is_drawn_where_an_alert_has_a_bound() -> None:
    def drawn(title: str) -> tuple[str, list[tuple[str, float | None]]]:
        defaults = panel_of(title)["fieldConfig"]["defaults"]
        steps = [(one["color"], one["value"]) for one in defaults["thresholds"]["steps"]]
        return defaults["custom"]["thresholdsStyle"]["mode"], steps

    assert drawn("disk free bytes") == (
        "line",
        [("green", None), ("red", 104_857_600), ("orange", 1_073_741_824)],
    )
    assert drawn("queue held entries") == ("line", [("green", None), ("orange", 0)])
    assert drawn("worker up") == ("off", [("green", None)]), "its alert has no bound"
    assert "CdeskWorkerDown: docs/runbooks/" in panel_of("worker up")["description"]
    assert "CdeskDisk" not in panel_of("worker up")["description"]
