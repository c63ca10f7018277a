"""The relationships in plain Python, straight from their definitions in docs/relationships.md:
every row compared with every row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Row = dict[str, Any]
"""A row of the stream under the specification's names; `feature_json` is a dict, `ts` anything that
orders.
"""

RELATIONSHIPS: Final = (
    "first_ever", "last_ever", "nth_ever", "first_before", "last_before", "first_after", "last_after", "nth_before", "nth_after",
    "first_in_between", "last_in_between", "aggregate_before", "aggregate_after", "aggregate_in_between", "aggregate_all_ever",
)  # fmt: skip

COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "equals": lambda a, b: a == b,
    "not equals": lambda a, b: a != b,
    "less than": lambda a, b: a < b,
    "at most": lambda a, b: a <= b,
    "greater than": lambda a, b: a > b,
    "at least": lambda a, b: a >= b,
}


@dataclass(frozen=True)
class Value:
    """A column of the stream, or with `type` a key of feature_json."""

    name: str
    type: str | None = None

    def of(self, row: Row) -> Any:
        if self.type is None:
            return row[self.name]
        value = (row["feature_json"] or {}).get(self.name)
        if self.type == "integer":
            return value if isinstance(value, int) and not isinstance(value, bool) else None
        if self.type == "number":
            return (
                float(value)
                if isinstance(value, int | float) and not isinstance(value, bool)
                else None
            )
        if value is None or isinstance(value, str):
            return value
        return str(value)


@dataclass(frozen=True)
class Filter:
    value: Value
    operator: str
    operand: Any = None

    def passes(self, row: Row) -> bool:
        value = self.value.of(row)
        if self.operator == "is null":
            return value is None
        if self.operator == "is not null":
            return value is not None
        if value is None:
            return False
        if self.operator == "equals":
            return bool(value == self.operand)
        if self.operator == "in":
            return value in self.operand
        low, high = self.operand
        return bool(low <= value <= high)


@dataclass(frozen=True)
class Condition:
    append: Value
    operator: str
    cohort: Value

    def holds(self, appended: Row, cohort: Row) -> bool:
        a, c = self.append.of(appended), self.cohort.of(cohort)
        return a is not None and c is not None and COMPARISONS[self.operator](a, c)


@dataclass(frozen=True)
class Activity:
    name: str
    occurrence: str = "all"
    nth: int | None = None
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True)
class Append:
    relationship: str
    activity: Activity
    columns: tuple[Any, ...]
    """Values; for an aggregate, pairs of function and value (or None)."""
    nth: int | None = None
    conditions: tuple[Condition, ...] = field(default=())


def who(row: Row) -> Any:
    return row["customer"] if row["customer"] is not None else row["anonymous_customer_id"]


def in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["ts"], row["activity_id"]))


def occurrences(stream: Sequence[Row], activity: Activity) -> list[Row]:
    """The activity's rows in order, each with its occurrence, and with the instant of the next one.
    A row of nobody has neither.
    """
    rows = in_order(
        row
        for row in stream
        if row["activity"] == activity.name and all(f.passes(row) for f in activity.filters)
    )
    numbered = []
    for index, row in enumerate(rows):
        before = [other for other in rows[:index] if who(other) == who(row)]
        later = [other for other in rows[index + 1 :] if who(other) == who(row)]
        known = who(row) is not None
        numbered.append(
            {
                **row,
                "activity_occurrence": len(before) + 1 if known else None,
                "activity_repeated_at": later[0]["ts"] if known and later else None,
            }
        )
    return numbered


def cohort_rows(stream: Sequence[Row], cohort: Activity) -> list[Row]:
    rows = occurrences(stream, cohort)
    if cohort.occurrence == "first":
        return [row for row in rows if row["activity_occurrence"] == 1]
    if cohort.occurrence == "nth":
        return [row for row in rows if row["activity_occurrence"] == cohort.nth]
    if cohort.occurrence == "last":
        return [row for row in rows if who(row) is not None and row["activity_repeated_at"] is None]
    return rows


def related(stream: Sequence[Row], cohort: Row, append: Append) -> list[Row]:
    """The appended activity's rows that stand in the relation to one cohort row, in order."""
    found = []
    for row in occurrences(stream, append.activity):
        if who(row) is None or who(row) != who(cohort):
            continue
        if append.relationship.endswith("_before") and not row["ts"] < cohort["ts"]:
            continue
        if append.relationship.endswith("_after") and not row["ts"] > cohort["ts"]:
            continue
        if append.relationship.endswith("_in_between"):
            end = cohort["activity_repeated_at"]
            if not (row["ts"] > cohort["ts"] and (end is None or row["ts"] < end)):
                continue
        if all(condition.holds(row, cohort) for condition in append.conditions):
            found.append(row)
    return found


def aggregate(function: str, value: Value | None, rows: Sequence[Row]) -> Any:
    if value is None:
        return len(rows)
    values = [v for v in (value.of(row) for row in rows) if v is not None]
    if function == "count":
        return len(values)
    if function == "count_distinct":
        return len(set(values))
    if not values:
        return None
    if function == "list":
        return values
    if function == "avg":
        return sum(values) / len(values)
    return {"sum": sum, "min": min, "max": max}[function](values)


def appended(stream: Sequence[Row], cohort: Row, append: Append) -> list[Any]:
    rows = related(stream, cohort, append)
    if append.relationship.startswith("aggregate_"):
        return [aggregate(function, value, rows) for function, value in append.columns]
    position = {"first": 0, "last": len(rows) - 1}.get(
        append.relationship.split("_")[0], (append.nth or 1) - 1
    )
    row = rows[position] if 0 <= position < len(rows) else None
    return [None if row is None else value.of(row) for value in append.columns]


def dataset(
    stream: Sequence[Row], cohort: Activity, columns: Sequence[Value], appends: Sequence[Append]
) -> list[list[Any]]:
    """One list of values a cohort row."""
    return [
        [column.of(row) for column in columns]
        + [value for append in appends for value in appended(stream, row, append)]
        for row in cohort_rows(stream, cohort)
    ]
