"""What the worker keeps of the dashboard's figures."""

from __future__ import annotations

from cdesk_app.worker.dashboard import _insights


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
