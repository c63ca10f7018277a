"""Random streams and questions (hypothesis), and the two ways to ask them: as macro text, and of
the reference.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from hypothesis import strategies as st

from tests.unit.activity_schema.reference import (
    COMPARISONS,
    RELATIONSHIPS,
    Activity,
    Append,
    Condition,
    Filter,
    Row,
    Value,
    occurrences,
    who,
)  # fmt: skip

START = datetime(2026, 1, 1)  # noqa: DTZ001 -- `ts` is a timestamp without zone, in UTC
COLUMNS = {
    "activity": "varchar", "customer": "varchar", "ts": "timestamp", "activity_id": "varchar", "anonymous_customer_id": "varchar",
    "revenue_impact": "double", "link": "varchar", "feature_json": "{json}", "activity_occurrence": "bigint",
    "activity_repeated_at": "timestamp",
}  # fmt: skip
STORED = ", {'activity_occurrence': 'activity_occurrence', 'activity_repeated_at': 'activity_repeated_at'}"


class Connection(Protocol):
    def execute(self, query: str, parameters: Any = ..., /) -> Any: ...


# Few customers, few instants and short ids on purpose: ties, repeats and shared identities on most
# draws. `it's` is both a customer and an anonymous customer, and has to be quoted.
_rows = st.fixed_dictionaries(
    {
        "activity": st.sampled_from(["a", "b", "b", "c"]),
        "customer": st.sampled_from(["ada", "ada", "bob", None, "it's"]),
        "anonymous_customer_id": st.sampled_from(["x", None, "it's"]),
        "ts": st.integers(0, 6).map(lambda seconds: START + timedelta(seconds=seconds)),
        "revenue_impact": st.sampled_from([None, -1.5, 0.0, 0.25, 2.0, 7.75]),
        "link": st.sampled_from([None, "s3://x", "it's"]),
        "feature_json": st.dictionaries(
            st.sampled_from(["n", "s", "it's/a key"]),
            st.sampled_from([None, 1, 2, 3, "x", "y", "it's"]),
            max_size=3,
        ),
    }
)


@st.composite
def streams(draw: st.DrawFn, max_size: int = 30, *, anonymous: bool = True) -> list[Row]:
    """Rows in no order, with distinct ids except where a whole row stands twice. `events` requires
    a customer: not `anonymous`.
    """
    rows: list[Row] = draw(st.lists(_rows, max_size=max_size))
    if not anonymous:
        rows = [{**row, "customer": row["customer"] or "bob"} for row in rows]
    ids = draw(st.permutations([f"id{index:02}" for index in range(len(rows))]))
    rows = [{**row, "activity_id": name} for row, name in zip(rows, ids, strict=True)]
    again = draw(st.lists(st.sampled_from(rows), max_size=3)) if rows else []
    rows = draw(st.permutations(rows + again))
    numbered: list[Row] = []
    for name in {row["activity"] for row in rows}:
        numbered += occurrences(rows, Activity(name))
    return numbered


FEATURES = [
    Value("n", "integer"),
    Value("s", "string"),
    Value("it's/a key", "string"),
    Value("n", "number"),
]
VALUES = [
    Value(name)
    for name in ("activity_id", "ts", "customer", "anonymous_customer_id", "revenue_impact", "link")
] + FEATURES
NUMBERS = [Value("revenue_impact"), Value("n", "integer"), Value("n", "number")]


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    value = draw(
        st.sampled_from(
            [Value("revenue_impact"), Value("link"), Value("n", "integer"), Value("s", "string")]
        )
    )
    operator = draw(st.sampled_from(["equals", "in", "between", "is null", "is not null"]))
    operand = {
        "revenue_impact": st.sampled_from([-1.5, 0.0, 0.25, 2]),
        "link": st.sampled_from(["s3://x", "it's"]),
        "n": st.integers(1, 3),
        "s": st.sampled_from(["x", "y", "it's"]),
    }[value.name]
    if operator.startswith("is "):
        return Filter(value, operator)
    if operator == "equals":
        return Filter(value, operator, draw(operand))
    if operator == "in":
        return Filter(value, operator, tuple(draw(st.lists(operand, min_size=1, max_size=3))))
    return Filter(value, operator, tuple(sorted(draw(st.tuples(operand, operand)))))


def _filter_lists() -> st.SearchStrategy[tuple[Filter, ...]]:
    return st.one_of(st.just(()), st.just(()), st.lists(filters(), max_size=2).map(tuple))


@st.composite
def cohorts(draw: st.DrawFn) -> Activity:
    occurrence = draw(st.sampled_from(["all", "all", "first", "last", "nth"]))
    nth = draw(st.integers(1, 3)) if occurrence == "nth" else None
    return Activity(draw(st.sampled_from(["a", "b"])), occurrence, nth, draw(_filter_lists()))


def _same(value: Value) -> st.SearchStrategy[Condition]:
    return st.just(Condition(value, "equals", value))


_revenue = Value("revenue_impact")
_conditions = st.lists(
    st.one_of(
        _same(Value("link")),
        _same(Value("n", "integer")),
        st.sampled_from(sorted(COMPARISONS)).map(
            lambda operator: Condition(_revenue, operator, _revenue)
        ),
    ),
    max_size=2,
)


@st.composite
def appends(draw: st.DrawFn, relationship: str | None = None, conditions: bool = True) -> Append:
    relationship = relationship or draw(st.sampled_from(RELATIONSHIPS))
    chosen = tuple(draw(st.one_of(st.just([]), st.just([]), _conditions))) if conditions else ()
    # Rows that stand twice differ in nothing but their numbering, which partitions by a condition
    # needn't order alike.
    numbering = [] if chosen else [Value("activity_occurrence"), Value("activity_repeated_at")]
    columns: st.SearchStrategy[Any] = st.sampled_from([*VALUES, *numbering])
    if relationship.startswith("aggregate_"):
        functions = ["count", "count_distinct", "min", "max", "list"]
        columns = st.one_of(
            st.just(("count", None)),
            st.tuples(st.sampled_from(functions), st.sampled_from(VALUES)),
            st.tuples(st.sampled_from(["sum", "avg"]), st.sampled_from(NUMBERS)),
        )
    return Append(
        relationship,
        Activity(draw(st.sampled_from(["a", "b", "c", "never"])), filters=draw(_filter_lists())),
        tuple(draw(st.lists(columns, min_size=1, max_size=3))),
        draw(st.integers(1, 3)) if relationship.startswith("nth_") else None,
        chosen,
    )


def _jinja(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return "[" + ", ".join(_jinja(item) for item in value) + "]"
    return json.dumps(value)


def _value(value: Value, name: str | None = None) -> str:
    if value.type is None:
        return f"cdesk.column({_jinja(value.name)}, as={_jinja(name)})"
    return f"cdesk.feature({_jinja(value.name)}, {_jinja(value.type)}, as={_jinja(name)})"


def _activity(activity: Activity, columns: str = "none") -> str:
    given = ", ".join(
        f"cdesk.filter({_value(f.value)}, {_jinja(f.operator)}, {_jinja(f.operand)})"
        for f in activity.filters
    )
    return (
        f"cdesk.activity({_jinja(activity.name)}, occurrence={_jinja(activity.occurrence)}, nth={_jinja(activity.nth)}, "
        f"filters=[{given}], columns={columns})"
    )


def append_text(append: Append, index: int) -> str:
    """An append as a model would hold it, its columns named out_<index>_<position>."""
    columns = []
    for position, column in enumerate(append.columns):
        name = f"out_{index}_{position}"
        if isinstance(column, Value):
            columns.append(_value(column, name))
        else:
            function, of = column
            columns.append(
                f"cdesk.agg({_jinja(function)}, {_value(of) if of else 'none'}, as={_jinja(name)})"
            )
    conditions = ", ".join(
        f"cdesk.condition({_value(c.append)}, {_jinja(c.operator)}, {_value(c.cohort)})"
        for c in append.conditions
    )
    nth = f", nth={append.nth}" if append.nth else ""
    return (
        f"cdesk.{append.relationship}({_activity(append.activity)}, columns=[{', '.join(columns)}], "
        f"conditions=[{conditions}]{nth})"
    )


def macro_text(
    cohort: Activity,
    columns: Sequence[Value],
    asked: Sequence[Append],
    *,
    stored: bool,
    relation: str = "stream",
) -> str:
    """The question as a model would hold it."""
    named = (
        "["
        + ", ".join(_value(column, f"cohort_{index}") for index, column in enumerate(columns))
        + "]"
    )
    parts = ", ".join(append_text(append, index) for index, append in enumerate(asked))
    mapping = STORED if stored else ""
    return f"{{{{ cdesk.dataset({_activity(cohort, named)}, [{parts}], stream=cdesk.stream('{relation}'{mapping})) }}}}"


def create_stream(connection: Connection, rows: Sequence[Row], json_type: str = "json") -> None:
    """The table `stream`, with the rows in the order given."""
    columns = ", ".join(f"{name} {kind.format(json=json_type)}" for name, kind in COLUMNS.items())
    connection.execute(f"create or replace table stream ({columns})")
    if rows:
        places = ", ".join("(" + ", ".join("?" for _ in COLUMNS) + ")" for _ in rows)
        values = [
            json.dumps(row[name]) if name == "feature_json" else row[name]
            for row in rows
            for name in COLUMNS
        ]
        connection.execute(f"insert into stream values {places}", values)


def create_values(rows: Sequence[Row]) -> str:
    """The rows as a Snowflake `select … from values …`, for a connection that binds no JSON."""

    def literal(name: str, value: Any) -> str:
        if value is None:
            return "null"
        if name == "feature_json":
            return literal("", json.dumps(value))
        if isinstance(value, str | datetime):
            return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"
        return repr(value)

    names = list(COLUMNS)
    read = [
        f"parse_json(column{i})" if name == "feature_json" else f"column{i}"
        for i, name in enumerate(names, 1)
    ]
    values = ", ".join(
        "(" + ", ".join(literal(name, row[name]) for name in names) + ")" for row in rows
    )
    return f"select {', '.join(read)} from values {values}"


EVENTS = {
    "activity_id": "_activity_id",
    "anonymous_customer_id": "_anonymous_customer_id",
    "feature_json": "_feature_json",
}


def create_events(connection: Connection, rows: Sequence[Row], json_type: str = "json") -> None:
    """The table `events`: the stream as this project's own model names its columns."""
    create_stream(connection, rows, json_type)
    columns = ", ".join(f"{name} as {EVENTS.get(name, name)}" for name in COLUMNS)
    connection.execute(f"create or replace table events as select {columns} from stream")


def comparable(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Rows as a sorted list of texts, in which a whole number is the same as integer, decimal or
    float.
    """

    def text(value: Any) -> Any:
        if isinstance(value, list):
            return [text(item) for item in value]
        if value is None or isinstance(value, str | datetime):
            return repr(value)
        return repr(round(float(value), 9) + 0.0)

    return sorted(repr([text(value) for value in row]) for row in rows)


__all__ = [
    "append_text",
    "appends",
    "cohorts",
    "comparable",
    "create_stream",
    "filters",
    "macro_text",
    "streams",
    "who",
]
