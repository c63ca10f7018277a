"""Where one value comes from over time: the same question once more, by a finer period.

A template with a parameter `period` (day, week, month) that answers with one row has a series
behind it: the same rows, counted by hour, day or week. It is asked like any other question, with
its own hash, proof and stored result; the answer names it, and the card draws it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cdesk.query.request import QueryRequest

PERIOD: Final = "period"
_FINER: Final = {
    "year": ("month", "week", "day"),
    "quarter": ("month", "week", "day"),
    "month": ("day", "week"),
    "week": ("day",),
    "day": ("hour",),
}


def finer_params(request: QueryRequest, answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """The parameters that ask for the series behind an answer of one row; None where its template
    has none.
    """
    if answer.get("row_count") != 1 or answer.get("dry_run"):
        return None
    known = next((one.values for one in request.template.parameters if one.name == PERIOD), ())
    finer = next(
        (one for one in _FINER.get(str(request.params.get(PERIOD)), ()) if one in known), None
    )
    return None if finer is None else {**request.params, PERIOD: finer}


def trend_reference(answer: Mapping[str, Any], period: str) -> dict[str, Any] | None:
    """What an answer of one row says of the series behind it; None where that has no two points."""
    if answer["row_count"] < 2:
        return None
    return {
        "period": period,
        "query_hash": answer["query_hash"],
        "query_tag": answer["query_tag"],
        "artifact_id": answer["artifact"]["artifact_id"],
        "uri": answer["artifact"]["uri"],
    }
