"""The figures of the dashboard, exported to a file: the renderer never asks the warehouse, and
shows the last figures when that is down.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from cdesk.artifacts.values import json_value
from cdesk.contract.catalog import Catalog
from cdesk.core.clock import IdSource, NowNs, format_ts
from cdesk.core.home import StateDirectory, write_private
from cdesk.core.identity import Caller
from cdesk.query.executor import TIMEOUT_SECONDS
from cdesk.query.internal import read_rows
from cdesk.warehouse.protocol import Warehouse

logger = logging.getLogger(__name__)

DAYS: Final = 366
QUESTIONS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "levels": ("service_levels", {"days_back": DAYS}),
    "metrics": ("daily_metrics", {"days_back": DAYS}),
    "insights": ("insights", {"limit": 12}),
}
"""Section of the file → the template that fills it, and its parameters."""


INSIGHTS: Final = "insights.insight_count"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: rows, and how many insights were verified and were not."""

    rows: int
    verified: int
    unverified: int


def export_dashboard(
    warehouse: Warehouse,
    catalog: Catalog,
    home: StateDirectory,
    caller: Caller,
    *,
    now_ns: NowNs,
    timezone: str = "UTC",
    cancel: threading.Event | None = None,
) -> Exported:
    """Write `dashboard.json`.

    One object: `as_of`, and each section as {columns, rows}.

    Raises:
        CdeskError: the warehouse could not be asked; the file stays as it is. OSError: it cannot
        be written.
    """
    document: dict[str, Any] = {"as_of": format_ts(now_ns()), "customer": caller.customer}
    count = 0
    wanted = [  # a project of before has not all of them
        (section, catalog.templates[name], given)
        for section, (name, given) in QUESTIONS.items()
        if name in catalog.templates
    ]
    with warehouse.reading([template for _, template, _ in wanted]):
        for section, template, given in wanted:
            answer = read_rows(
                warehouse,
                template,
                given,
                caller,
                query_tag=IdSource(now_ns).query_tag(),
                timeout_seconds=TIMEOUT_SECONDS,
                timezone=timezone,
                cancel=cancel,
            )
            rows = [[json_value(value) for value in row.values()] for row in answer.rows]
            document[section] = {"columns": answer.columns, "rows": rows}
            count += len(rows)
    write_private(home.dashboard, orjson.dumps(document))
    return Exported(count, *_insights(document))


def _insights(document: dict[str, Any]) -> tuple[int, int]:
    """How many insights stand in the metrics, verified and unverified."""
    metrics = document.get("metrics", {"columns": [], "rows": []})
    found = {"verified": 0.0, "unverified": 0.0}
    for row in metrics["rows"]:
        one = dict(zip(metrics["columns"], row, strict=True))
        if one.get("metric") == INSIGHTS:
            found[str(one["of_what"])] += float(one["metric_value"])
    return int(found["verified"]), int(found["unverified"])
