"""What the worker keeps of the dashboard's figures."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import orjson
import pytest

from cdesk.core.errors import WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.core.identity import Caller
from cdesk_app.worker import dashboard
from cdesk_app.worker.dashboard import Exported, _insights, export_dashboard

NOW = 1_769_860_800_000_000_000


def test_insights_are_summed_over_the_days_by_their_verification() -> None:
    columns = ["day", "metric", "of_what", "metric_value"]
    rows = [
        ["2026-01-30", "insights.insight_count", "verified", 2.0],
        ["2026-01-31", "insights.insight_count", "verified", 3.0],
        ["2026-01-31", "insights.insight_count", "unverified", 1.0],
        ["2026-01-31", "errors.error_count", "get_result", 7.0],
    ]
    assert _insights({"metrics": {"columns": columns, "rows": rows}}) == (5, 1)
    assert _insights({}) == (0, 0), "a catalog of before"


def test_each_section_is_asked_for_and_kept_with_whose_it_is(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = Caller("ada")
    answers: dict[str, list[dict[str, Any]]] = {
        "service_levels": [{"metric": "m", "at": datetime(2026, 1, 31, tzinfo=UTC)}],
        "daily_metrics": [
            {"metric": "insights.insight_count", "of_what": kind, "metric_value": count}
            for kind, count in (("verified", 2.0), ("unverified", 1.0))
        ],
    }
    asked: list[Any] = []

    def read_rows(_: object, template: str, given: object, caller: Caller, **more: Any) -> Any:
        asked.append((template, given, caller, more["timezone"]))
        if (rows := answers[template]) is None:
            raise WarehouseUnavailable("away")
        return SimpleNamespace(columns=list(rows[0]), rows=rows)

    monkeypatch.setattr(dashboard, "read_rows", read_rows)
    catalog: Any = SimpleNamespace(templates={name: name for name in answers})

    warehouse = MagicMock()

    def export() -> Exported:
        return export_dashboard(
            warehouse, catalog, state_home, ada, now_ns=lambda: NOW, timezone="Asia/Tokyo"
        )  # type: ignore[arg-type]

    assert export() == Exported(rows=3, verified=2, unverified=1)
    assert asked == [
        ("service_levels", {"days_back": 366}, ada, "Asia/Tokyo"),
        ("daily_metrics", {"days_back": 366}, ada, "Asia/Tokyo"),
    ]
    kept = state_home.dashboard.read_bytes()
    assert orjson.loads(kept) == {
        "as_of": "2026-01-31T12:00:00.000000Z",
        "customer": "ada",
        "levels": {"columns": ["metric", "at"], "rows": [["m", "2026-01-31T00:00:00.000000Z"]]},
        "metrics": {
            "columns": ["metric", "of_what", "metric_value"],
            "rows": [
                ["insights.insight_count", "verified", 2.0],
                ["insights.insight_count", "unverified", 1.0],
            ],
        },
    }
    answers["daily_metrics"] = None  # type: ignore[assignment]
    with pytest.raises(WarehouseUnavailable):
        export()
    assert state_home.dashboard.read_bytes() == kept, "the last figures stay"
