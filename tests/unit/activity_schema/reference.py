"""The relationships in plain Python, straight from their definitions in docs/relationships.md.

Every row is compared with every row.
"""

from __future__ import annotations

import operator
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

Row = dict[str, Any]
"""A row of the stream under the specification's names; `feature_json` is a dict."""

PICKS: Final = ("first", "last", "nth", "aggregate")
SPANS: Final = (
    *("ever", "before", "at_or_before", "after", "at_or_after"),
    *("in_between", "between_before"),
)
RELATIONSHIPS: Final = tuple(
    f"{pick}_{'all_' if (pick, span) == ('aggregate', 'ever') else ''}{span}"
    for span in SPANS
    for pick in PICKS
)
TEMPLATES: Final = (
    *("first_ever", "last_ever", "nth_ever", "aggregate_all_ever"),
    *("first_before", "last_before", "nth_before", "aggregate_before"),
    *("first_after", "last_after", "nth_after", "aggregate_after"),
    *("first_in_between", "last_in_between", "nth_in_between", "aggregate_in_between"),
    *("first_between_before", "last_between_before", "nth_between_before"),
    "aggregate_between_before",
)
"""The relationships that are SafeSQL templates, too."""

COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "equals": operator.eq,
    "not equals": operator.ne,
    "less than": operator.lt,
    "at most": operator.le,
    "greater than": operator.gt,
    "at least": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
LATEST: Final = datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001 -- UTC without zone


def typed(value: Any, kind: str) -> Any:
    """A JSON value as a declared type: null where it isn't of it, whether as JSON or spelt out."""
    if value is None:
        return None
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    if kind == "string":
        return text
    if kind == "integer":
        return int(text.split(".")[0]) if re.fullmatch(r"-?\d+(\.0+)?", text) else None
    if kind == "number":
        return float(text) if re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", text) else None
    if kind == "boolean":
        return {"true": True, "false": False}.get(text)
    if kind == "date" and not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return None
    if kind == "timestamp" and not re.match(r"\d{4}-\d\d-\d\d([T ]|\Z)", text):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    if kind == "date":
        return instant.date()
    return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


@dataclass(frozen=True)
class Value:
    """A column of the stream, or with `type` a key of feature_json."""

    name: str
    type: str | None = None

    def of(self, row: Row) -> Any:
        if self.type is None:
            return row[self.name]
        return typed((row["feature_json"] or {}).get(self.name), self.type)


@dataclass(frozen=True)
class Moved:
    """A value plus an amount: a number, or for timestamps seconds."""

    value: Value
    amount: float | timedelta

    def of(self, row: Row) -> Any:
        found = self.value.of(row)
        if found is None:
            return None
        try:
            return found + self.amount
        except OverflowError:
            return LATEST  # the amounts of the tests are positive


def calculated(left: Any, sign: str, right: Any) -> Any:
    """Arithmetic of two values; the difference of two instants in seconds."""
    if left is None or right is None or (sign == "/" and right == 0):
        return None
    if isinstance(left, datetime):
        return (left - right).total_seconds()
    functions: dict[str, Callable[[Any, Any], Any]] = {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "/": operator.truediv,
    }
    return functions[sign](left, right)


@dataclass(frozen=True)
class Calc:
    """Two values of one row, or a value and a number."""

    left: Value
    operator: str
    right: Value | float

    def of(self, row: Row) -> Any:
        right = self.right.of(row) if isinstance(self.right, Value) else self.right
        return calculated(self.left.of(row), self.operator, right)


@dataclass(frozen=True)
class Derive:
    """A column computed from two output columns, by their names."""

    left: str
    operator: str
    right: str


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
        operand = self.operand.of(row) if isinstance(self.operand, Value) else self.operand
        if value is None or operand is None:
            return False
        if self.operator in COMPARISONS:
            return COMPARISONS[self.operator](value, operand)
        if self.operator.endswith("like"):
            pattern = re.escape(operand).replace("%", ".*").replace("_", ".")
            found = re.fullmatch(pattern, value, re.DOTALL) is not None
        elif self.operator.endswith("in"):
            found = value in operand
        else:
            found = operand[0] <= value <= operand[1]
        return found != self.operator.startswith("not ")


@dataclass(frozen=True)
class Condition:
    append: Value | Moved | Calc
    operator: str
    cohort: Value | Moved | Calc

    def holds(self, appended: Row, cohort: Row, span: str) -> bool:
        del span
        a, c = self.append.of(appended), self.cohort.of(cohort)
        return a is not None and c is not None and COMPARISONS[self.operator](a, c)


@dataclass(frozen=True)
class Within:
    """So far from the cohort row at most, and so far at least."""

    seconds: int
    at_least: int | None = None

    def holds(self, appended: Row, cohort: Row, span: str) -> bool:
        distance = (appended["ts"] - cohort["ts"]).total_seconds()
        if span == "ever":
            return abs(distance) <= self.seconds
        if span.endswith("before"):
            distance = -distance
        return distance <= self.seconds and (self.at_least is None or distance >= self.at_least)


@dataclass(frozen=True)
class Group:
    """`any_of` or `all_of` of filters, or of conditions."""

    word: str
    items: tuple[Any, ...]

    def passes(self, row: Row) -> bool:
        return (any if self.word == "any_of" else all)(item.passes(row) for item in self.items)

    def holds(self, appended: Row, cohort: Row, span: str) -> bool:
        found = (
            item.passes(appended)
            if isinstance(item, Filter)
            else item.holds(appended, cohort, span)
            for item in self.items
        )
        return (any if self.word == "any_of" else all)(found)


@dataclass(frozen=True)
class Activity:
    name: str | tuple[str, ...]
    """A name, several, or `*`."""
    occurrence: str = "all"
    nth: int | None = None
    filters: tuple[Any, ...] = ()
    at_most: int | None = None
    """Of the counted occurrences only those up to this one."""

    def has(self, row: Row) -> bool:
        names = (self.name,) if isinstance(self.name, str) else self.name
        named = self.name == "*" or row["activity"] in names
        return named and all(f.passes(row) for f in self.filters)


@dataclass(frozen=True)
class Aggregate:
    function: str
    of: Any = None
    """A value, or for `count_if`, `any`, `all` a filter."""
    share: float | None = None
    separator: str = ", "


@dataclass(frozen=True)
class Ratio:
    numerator: Aggregate
    denominator: Aggregate


@dataclass(frozen=True)
class Append:
    relationship: str
    activity: Activity
    columns: tuple[Any, ...]
    """Values, or aggregates and ratios."""
    nth: int | None = None
    conditions: tuple[Any, ...] = field(default=())

    @property
    def pick(self) -> str:
        return self.relationship.split("_")[0]

    @property
    def span(self) -> str:
        return self.relationship.partition("_")[2].removeprefix("all_")


def who(row: Row, entity: Value | None = None) -> Any:
    """By what the row relates; a row without a time relates to nothing."""
    if row["ts"] is None:
        return None
    if entity is not None:
        return entity.of(row)
    return row["customer"] if row["customer"] is not None else row["anonymous_customer_id"]


def in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(
        rows,
        key=lambda row: (
            row["ts"] is None,
            row["ts"] or LATEST,
            row["activity_id"],
            row["activity"],
        ),
    )


def occurrences(
    stream: Sequence[Row], activity: Activity, entity: Value | None = None
) -> list[Row]:
    """The activity's rows in order, each with its occurrence and the instants of its neighbours.

    A row of nobody has none of them.
    """
    rows = in_order(row for row in stream if activity.has(row))
    numbered = []
    for index, row in enumerate(rows):
        own = who(row, entity)
        before = [other for other in rows[:index] if who(other, entity) == own]
        later = [other for other in rows[index + 1 :] if who(other, entity) == own]
        known = own is not None
        numbered.append(
            {
                **row,
                "activity_occurrence": len(before) + 1 if known else None,
                "activity_repeated_at": later[0]["ts"] if known and later else None,
                "previous": before[-1]["ts"] if known and before else None,
            }
        )
    return numbered


def cohort_rows(stream: Sequence[Row], cohort: Activity, entity: Value | None = None) -> list[Row]:
    rows = occurrences(stream, cohort, entity)
    if cohort.at_most is not None:
        rows = [
            row
            for row in rows
            if row["activity_occurrence"] is not None
            and row["activity_occurrence"] <= cohort.at_most
        ]
    if cohort.occurrence == "first":
        return [row for row in rows if row["activity_occurrence"] == 1]
    if cohort.occurrence == "nth":
        return [row for row in rows if row["activity_occurrence"] == cohort.nth]
    if cohort.occurrence == "last":
        return [
            row
            for row in rows
            if who(row, entity) is not None and row["activity_repeated_at"] is None
        ]
    return rows


def in_span(span: str, ts: datetime, cohort: Row) -> bool:
    """A spine's windows hold their own start; a window between activities doesn't."""
    at, spine = cohort["ts"], cohort.get("spine", False)
    if span == "in_between":
        end = cohort["activity_repeated_at"]
        return (ts >= at if spine else ts > at) and (end is None or ts < end)
    if span == "between_before":
        start = cohort["previous"]
        return ts < at and (start is None or (ts >= start if spine else ts > start))
    return {
        "ever": True,
        "before": ts < at,
        "at_or_before": ts <= at,
        "after": ts > at,
        "at_or_after": ts >= at,
    }[span]


def related(
    stream: Sequence[Row], cohort: Row, append: Append, entity: Value | None = None
) -> list[Row]:
    """The appended activity's rows that stand in the relation to one cohort row, in order."""
    own = cohort["who"] if "who" in cohort else who(cohort, entity)
    return [
        row
        for row in occurrences(stream, append.activity, entity)
        if own is not None
        and who(row, entity) == own
        and in_span(append.span, row["ts"], cohort)
        and all(condition.holds(row, cohort, append.span) for condition in append.conditions)
    ]


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low = int(position)
    high = ordered[min(low + 1, len(ordered) - 1)]
    return ordered[low] + (high - ordered[low]) * (position - low)


def _truth(of: Any, row: Row) -> Any:
    """A condition as SQL has it, null where its value is null."""
    if isinstance(of, Value):
        return of.of(row)
    return None if of.value.of(row) is None else of.passes(row)


def aggregate(asked: Aggregate | Ratio, rows: Sequence[Row]) -> Any:
    if isinstance(asked, Ratio):
        top, bottom = aggregate(asked.numerator, rows), aggregate(asked.denominator, rows)
        return top / bottom if top is not None and bottom else None
    if asked.of is None:
        return len(rows)
    values = [v for v in (_truth(asked.of, row) for row in rows) if v is not None]
    function = asked.function
    if function == "count":
        return len(values)
    if function == "count_distinct":
        return len(set(values))
    if function == "count_if":
        return sum(values)
    if not values:
        return None
    if function == "percentile":
        return percentile(values, asked.share or 0.0)
    functions: dict[str, Callable[[list[Any]], Any]] = {
        "list": list,
        "list_distinct": lambda items: sorted(set(items)),
        "text": asked.separator.join,
        "avg": lambda items: sum(items) / len(items),
        "median": statistics.median,
        "first_value": lambda items: items[0],
        "last_value": lambda items: items[-1],
        "sum": sum,
        "min": min,
        "max": max,
        "any": any,
        "all": all,
    }
    return functions[function](values)


def appended(
    stream: Sequence[Row], cohort: Row, append: Append, entity: Value | None = None
) -> list[Any]:
    rows = related(stream, cohort, append, entity)
    if append.pick == "aggregate":
        return [aggregate(column, rows) for column in append.columns]
    position = {"first": 0, "last": len(rows) - 1}.get(append.pick, (append.nth or 1) - 1)
    row = rows[position] if 0 <= position < len(rows) else None
    return [None if row is None else value.of(row) for value in append.columns]


def dataset(
    stream: Sequence[Row],
    cohort: Activity,
    columns: Sequence[Value],
    appends: Sequence[Append | Derive],
    entity: Value | None = None,
) -> list[list[Any]]:
    """One list of values a cohort row. Columns are called cohort_<position>, out_<index>_<position>
    and derived_<index>.
    """
    found = []
    for row in cohort_rows(stream, cohort, entity):
        outputs = {f"cohort_{index}": column.of(row) for index, column in enumerate(columns)}
        for index, asked in enumerate(appends):
            if isinstance(asked, Derive):
                left, right = outputs[asked.left], outputs[asked.right]
                outputs[f"derived_{index}"] = calculated(left, asked.operator, right)
            else:
                values = appended(stream, row, asked, entity)
                outputs |= {f"out_{index}_{at}": value for at, value in enumerate(values)}
        found.append(list(outputs.values()))
    return found
