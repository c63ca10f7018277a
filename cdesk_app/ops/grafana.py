"""A Grafana dashboard over the list of metrics: a panel for each, with its alerts' thresholds.

`cdesk metrics --dashboard` prints it; import it in Grafana (Dashboards → New → Import).
https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

from typing import Any, Final

from cdesk.core.metrics import METRICS, Metric
from cdesk_app.ops.alerts import ALERTS

Json = dict[str, Any]
COLUMNS: Final = 3
WIDTH: Final = 24 // COLUMNS
HEIGHT: Final = 7
_UNITS: Final = {"seconds": "s", "bytes": "bytes", "ratio": "percentunit", "": "short"}
_COLOURS: Final = {"warning": "orange", "critical": "red", "page": "red"}
_SOURCE: Final[Json] = {"type": "prometheus", "uid": "${source}"}
_QUANTILES: Final = (0.5, 0.95, 0.99)


def dashboard() -> Json:
    """The dashboard as Grafana's JSON model."""
    return {
        "uid": "cdesk",
        "title": "cdesk",
        "tags": ["cdesk"],
        "editable": True,
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"}
            ]
        },
        "annotations": {
            "list": [
                {
                    "name": "Alerts",
                    "enable": True,
                    "iconColor": "red",
                    "datasource": _SOURCE,
                    "expr": 'ALERTS{alertname=~"Cdesk.*", alertstate="firing"}',
                    "titleFormat": "{{alertname}}",
                }
            ]
        },
        "panels": [_panel(number, metric) for number, metric in enumerate(METRICS)],
    }


def _panel(number: int, metric: Metric) -> Json:
    steps = _steps(metric)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": metric.name.removeprefix("cdesk_").replace("_", " "),
        "description": _description(metric),
        "datasource": _SOURCE,
        "gridPos": {
            "x": number % COLUMNS * WIDTH,
            "y": number // COLUMNS * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        },
        "fieldConfig": {
            "defaults": {
                "unit": _unit(metric),
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {"thresholdsStyle": {"mode": "line" if len(steps) > 1 else "off"}},
            },
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + place), "expr": expr, "legendFormat": legend}
            for place, (expr, legend) in enumerate(queries(metric))
        ],
    }


def _unit(metric: Metric) -> str:
    if metric.name.endswith("_timestamp_seconds"):
        return "dateTimeFromNow"
    return "ops" if metric.kind == "counter" else _UNITS[metric.unit]


def _description(metric: Metric) -> str:
    told = [f"{one.name}: docs/runbooks/{one.runbook}.md" for one in ALERTS if one.metric == metric]
    return "\n\n".join([metric.help, *told])


def _steps(metric: Metric) -> list[Json]:
    """Thresholds in Grafana's form: the first colour holds from below everything."""
    found = {
        alert.threshold: _COLOURS[alert.severity]
        for alert in ALERTS
        if alert.metric == metric and alert.threshold is not None
    }
    steps = [{"color": colour, "value": bound} for bound, colour in sorted(found.items())]
    return [{"color": "green", "value": None}, *steps]


def queries(metric: Metric) -> list[tuple[str, str]]:
    """What a panel asks, and the legend of each."""
    legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels) or metric.name
    if metric.kind == "gauge":
        return [(metric.name, legend)]
    by = ", ".join(metric.labels)
    if metric.kind == "counter":
        return [(f"sum by ({by}) (rate({metric.name}[$__rate_interval]))", legend)]
    inner = ", ".join(("le", *metric.labels))
    rate = f"sum by ({inner}) (rate({metric.name}_bucket[$__rate_interval]))"
    return [
        (
            f"histogram_quantile({quantile}, {rate})",
            f"p{quantile * 100:.0f} {legend if metric.labels else ''}".strip(),
        )
        for quantile in _QUANTILES
    ]
