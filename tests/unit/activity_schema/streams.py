"""Random streams and questions (hypothesis), and the two ways to ask them: as macro text, and of
the reference.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from hypothesis import strategies as st

from tests.unit.activity_schema.reference import (
    COMPARISONS,
    RELATIONSHIPS,
    Activity,
    Aggregate,
    Append,
    Calc,
    Condition,
    Derive,
    Filter,
    Group,
    Moved,
    Ratio,
    Row,
    Value,
    Within,
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
# draws. `it's` is both a customer and an anonymous customer, and has to be quoted. The last day of
# the calendar and no time at all stand for what no sentinel may be mistaken for.
LAST_DAY = datetime(9999, 12, 31)  # noqa: DTZ001
_instants = st.integers(0, 6).map(lambda seconds: START + timedelta(seconds=seconds))
_features = st.sampled_from(
    [
        *(None, 1, 2, 3, "x", "y", "it's"),
        # Each is nearly of some type: nothing is rounded, guessed, or torn from its offset.
        *(2.5, 2.0, "0.6", "3", 0, True, False, "true", "yes", "t"),
        *("2026-01-01T00:30:00+02:00", "2026-01-01 00:00:03", "2026-01-01", "infinity", "NaN"),
    ]
)
_rows = st.fixed_dictionaries(
    {
        "activity": st.sampled_from(["a", "b", "b", "c"]),
        "customer": st.sampled_from(["ada", "ada", "bob", None, "it's"]),
        "anonymous_customer_id": st.sampled_from(["x", None, "it's"]),
        "ts": st.one_of(_instants, _instants, _instants, st.sampled_from([LAST_DAY, None])),
        "revenue_impact": st.sampled_from([None, -1.5, 0.0, 0.25, 2.0, 7.75]),
        "link": st.sampled_from([None, "s3://x", "it's"]),
        "feature_json": st.dictionaries(
            st.sampled_from(["n", "s", "it's/a key"]), _features, max_size=3
        ),
    }
)


@st.composite
def streams(
    draw: st.DrawFn, max_size: int = 30, *, anonymous: bool = True, timeless: bool = True
) -> list[Row]:
    """Rows in no order, with ids that differ within an activity except where a row stands twice.

    `events` requires a customer, a time and ids that differ across activities, too: not
    `anonymous`, not `timeless`.
    """
    rows: list[Row] = draw(st.lists(_rows, max_size=max_size))
    if not anonymous:
        rows = [{**row, "customer": row["customer"] or "bob"} for row in rows]
    if not timeless:
        rows = [
            {**row, "ts": START if row["ts"] in (None, LAST_DAY) else row["ts"]} for row in rows
        ]
    shared = 2 if timeless else 1
    ids = draw(st.permutations([f"id{index // shared:02}" for index in range(len(rows))]))
    rows = [{**row, "activity_id": name} for row, name in zip(rows, ids, strict=True)]
    unique = {(row["activity"], row["activity_id"]): row for row in rows}
    rows = list(unique.values())
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
    *(Value("n", kind) for kind in ("number", "boolean", "timestamp")),
]
VALUES = [
    Value(name)
    for name in (
        *("activity_id", "ts", "customer", "anonymous_customer_id", "revenue_impact", "link"),
    )
] + FEATURES
NUMBERS = [Value("revenue_impact"), Value("n", "integer"), Value("n", "number")]
TEXTS = [Value("link"), Value("s", "string"), Value("customer")]
ENTITIES = [Value("link"), Value("s", "string"), Value("n", "integer")]
_COMPARED = ["equals", "not equals", "less than", "at most", "greater than", "at least"]


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    value = draw(
        st.sampled_from(
            [Value("revenue_impact"), Value("link"), Value("n", "integer"), Value("s", "string")]
        )
    )
    lists = ["in", "not in", "between", "not between"]
    words = [*_COMPARED, *lists, "is null", "is not null"]
    texts = ["like", "not like"] if value.name in ("link", "s") else []
    operator = draw(st.sampled_from([*words, *texts]))
    operand = {
        "revenue_impact": st.sampled_from([-1.5, 0.0, 0.25, 2]),
        "link": st.sampled_from(["s3://x", "it's"]),
        "n": st.integers(1, 3),
        "s": st.sampled_from(["x", "y", "it's"]),
    }[value.name]
    if operator.startswith("is "):
        return Filter(value, operator)
    if operator.endswith("like"):
        return Filter(value, operator, draw(st.sampled_from(["%x", "_", "it's%", "%"])))
    if operator in _COMPARED:
        others = {"revenue_impact": [Value("n", "number")], "link": [Value("s", "string")]}
        other = st.sampled_from(others.get(value.name, [value]))
        return Filter(value, operator, draw(st.one_of(operand, operand, other)))
    if operator.endswith("in"):
        return Filter(value, operator, tuple(draw(st.lists(operand, min_size=1, max_size=3))))
    return Filter(value, operator, tuple(sorted(draw(st.tuples(operand, operand)))))


def _groups(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Single items, and groups of them in groups."""
    words = st.sampled_from(["any_of", "all_of"])
    return st.recursive(
        items,
        lambda inner: st.builds(Group, words, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        max_leaves=3,
    )


def _filter_lists() -> st.SearchStrategy[tuple[Any, ...]]:
    some = st.lists(_groups(filters()), max_size=2).map(tuple)
    return st.one_of(st.just(()), st.just(()), some)


def _names(*single: str) -> st.SearchStrategy[Any]:
    return st.sampled_from([*single, *single, ("a", "b"), ("c", "b"), "*"])


@st.composite
def cohorts(draw: st.DrawFn) -> Activity:
    occurrence = draw(st.sampled_from(["all", "all", "first", "last", "nth"]))
    nth = draw(st.integers(1, 3)) if occurrence == "nth" else None
    at_most = draw(st.sampled_from([None, None, None, 2]))
    return Activity(draw(_names("a", "b")), occurrence, nth, draw(_filter_lists()), at_most)


def _same(value: Value) -> st.SearchStrategy[Condition]:
    return st.just(Condition(value, "equals", value))


_revenue = Value("revenue_impact")
_ordered = st.one_of(
    st.sampled_from(sorted(COMPARISONS)).map(lambda word: Condition(_revenue, word, _revenue)),
    st.sampled_from(_COMPARED).map(
        lambda word: Condition(_revenue, word, Moved(Value("n", "number"), 1.5))
    ),
    st.builds(
        lambda word, left, sign, right: Condition(
            Calc(_revenue, sign, left), word, Calc(Value("n", "integer"), sign, right)
        ),
        st.sampled_from(_COMPARED),
        st.sampled_from([Value("n", "number"), 0.5]),
        st.sampled_from(["+", "-", "*", "/"]),
        st.sampled_from([_revenue, 2.0]),
    ),
    st.sampled_from(_COMPARED).map(
        lambda word: Condition(Value("ts"), word, Moved(Value("ts"), timedelta(seconds=2)))
    ),
    st.sampled_from(_COMPARED).map(
        lambda word: Condition(Value("ts"), word, Value("n", "timestamp"))
    ),
)
_within = st.builds(Within, st.integers(0, 4))
_near_and_far = st.builds(Within, st.integers(0, 4), st.integers(0, 2))


def _conditions(span: str) -> st.SearchStrategy[list[Any]]:
    limits = _within if span == "ever" else st.one_of(_within, _near_and_far)
    grouped = _groups(st.one_of(_ordered, limits, filters()))
    leaf = st.one_of(_same(Value("link")), _same(Value("n", "integer")), _ordered, limits)
    return st.lists(st.one_of(leaf, leaf, limits, grouped.filter(_is_group)), max_size=2)


def _is_group(item: Any) -> bool:
    return isinstance(item, Group)


_aggregates: st.SearchStrategy[Any] = st.one_of(
    st.just(Aggregate("count")),
    st.builds(
        Aggregate,
        st.sampled_from(
            [
                *("count", "count_distinct", "min", "max", "list", "list_distinct"),
                *("first_value", "last_value"),
            ]
        ),
        st.sampled_from(VALUES),
    ),
    st.builds(Aggregate, st.sampled_from(["sum", "avg", "median"]), st.sampled_from(NUMBERS)),
    st.builds(
        Aggregate,
        st.just("percentile"),
        st.sampled_from(NUMBERS),
        st.sampled_from([0.0, 0.25, 0.9]),
    ),
    st.builds(
        Aggregate,
        st.just("text"),
        st.sampled_from(TEXTS),
        separator=st.sampled_from([", ", "", "it's\n"]),
    ),
    st.builds(
        Aggregate,
        st.sampled_from(["any", "all", "count_if"]),
        st.sampled_from([Value("n", "boolean"), Filter(_revenue, "greater than", 0)]),
    ),
)
_ratios = st.builds(
    Ratio,
    st.sampled_from([Aggregate("sum", _revenue), Aggregate("count", Value("link"))]),
    st.sampled_from([Aggregate("count"), Aggregate("sum", Value("n", "integer"))]),
)


_put_together = (
    *("count", "count_if", "sum", "avg", "min", "max", "any", "all", "first_value", "last_value"),
)


@st.composite
def rolling(draw: st.DrawFn) -> Append:
    """Aggregates of `b` in a window of fixed length, each put together from two parts of it."""
    spans = ["before", "at_or_before", "after", "at_or_after", "all_ever"]
    relationship = "aggregate_" + draw(st.sampled_from(spans))
    near = None if relationship.endswith("ever") else draw(st.sampled_from([None, None, 0, 1]))
    conditions: list[Any] = [Within(draw(st.integers(2, 9)), near)]
    if draw(st.booleans()):
        conditions.append(Condition(Value("link"), "equals", Value("link")))
    columns = _aggregates.filter(lambda column: column.function in _put_together)
    chosen = tuple(draw(st.lists(st.one_of(columns, _ratios), min_size=1, max_size=3)))
    return Append(relationship, Activity("b"), chosen, None, tuple(conditions))


def busy_stream(append: Append, seed: int) -> list[Row]:
    """Few rows of `a`; rows of `b`, of which one customer has many in any window of the append."""
    [within, *_] = append.conditions
    sides = 2 if append.span == "ever" else 1
    length = sides * within.seconds - (within.at_least or 0)
    chosen = random.Random(seed)
    # Slices of time are counted from 1970 on.
    start = chosen.choice([START, datetime(1969, 12, 31, 23, 59, 55)])  # noqa: DTZ001

    def row(number: int, activity: str, customer: str) -> Row:
        ts = start + timedelta(milliseconds=500 * chosen.randint(0, 4 * length))
        return {
            "activity": activity,
            "activity_id": f"id{number:03}",
            "customer": customer,
            "anonymous_customer_id": None,
            "ts": chosen.choice([ts] * 40 + [LAST_DAY, None]),
            "revenue_impact": chosen.choice([None, -1.5, 0.25, 7.75]),
            "link": chosen.choice(["s3://x", "it's"]),
            "feature_json": {"n": chosen.choice([None, 1, 3, True, False])},
        }

    rows = [row(number, "b", "ada") for number in range(110)]
    rows += [row(number, "b", "bob") for number in range(110, 115)]
    rows += [row(number, "a", chosen.choice(["ada", "bob", "it's"])) for number in range(6)]
    chosen.shuffle(rows)
    return [row for name in ("a", "b") for row in occurrences(rows, Activity(name))]


@st.composite
def appends(draw: st.DrawFn, relationship: str | None = None, conditions: bool = True) -> Append:
    relationship = relationship or draw(st.sampled_from(RELATIONSHIPS))
    span = Append(relationship, Activity("a"), ()).span
    chosen = (
        tuple(draw(st.one_of(st.just([]), st.just([]), _conditions(span)))) if conditions else ()
    )
    # Rows that stand twice differ in nothing but their numbering, which partitions by a condition
    # needn't order alike.
    numbering = [] if chosen else [Value("activity_occurrence"), Value("activity_repeated_at")]
    columns: st.SearchStrategy[Any] = st.sampled_from([*VALUES, *numbering])
    if relationship.startswith("aggregate_"):
        columns = st.one_of(_aggregates, _aggregates, _aggregates, _ratios)
    return Append(
        relationship,
        Activity(draw(_names("a", "b", "c", "never")), filters=draw(_filter_lists())),
        tuple(draw(st.lists(columns, min_size=1, max_size=3))),
        draw(st.integers(1, 3)) if relationship.startswith("nth_") else None,
        chosen,
    )


_COUNTING = ("count", "count_distinct", "count_if", "sum", "avg")


@st.composite
def derivations(
    draw: st.DrawFn, columns: Sequence[Value], asked: Sequence[Append]
) -> list[Append | Derive]:
    """The appends, and behind them columns computed from what all of them put out."""
    outputs = {f"cohort_{index}": column for index, column in enumerate(columns)}
    for index, append in enumerate(asked):
        outputs |= {f"out_{index}_{at}": column for at, column in enumerate(append.columns)}
    names: dict[str, list[str]] = {"number": [], "ts": []}
    for name, column in outputs.items():
        if column == Value("ts"):
            names["ts"].append(name)
        elif column in NUMBERS or getattr(column, "function", None) in _COUNTING:
            names["number"].append(name)
    derived: list[Append | Derive] = list(asked)
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from([kind for kind, found in names.items() if found]))
        sign = "-" if kind == "ts" else draw(st.sampled_from(["+", "-", "*", "/"]))
        left, right = (draw(st.sampled_from(names[kind])) for _ in range(2))
        names["number"].append(f"derived_{len(derived)}")
        derived.append(Derive(left, sign, right))
    return derived


def _jinja(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return "[" + ", ".join(_jinja(item) for item in value) + "]"
    return json.dumps(value)


def value_text(value: Any, name: str | None = None) -> str:
    if isinstance(value, Calc):
        right = value_text(value.right) if isinstance(value.right, Value) else repr(value.right)
        return f"cdesk.calc({value_text(value.left)}, '{value.operator}', {right})"
    if isinstance(value, Moved):
        right = repr(value.amount)
        if isinstance(value.amount, timedelta):
            right = f"cdesk.interval({int(value.amount.total_seconds())}, 'second')"
        return f"cdesk.calc({value_text(value.value)}, '+', {right})"
    if value.type is None:
        if name is None:
            return _jinja(value.name)
        return f"cdesk.column({_jinja(value.name)}, as={_jinja(name)})"
    return f"cdesk.feature({_jinja(value.name)}, {_jinja(value.type)}, as={_jinja(name)})"


def item_text(item: Any) -> str:
    """A filter, a condition, or a group of them."""
    if isinstance(item, Group):
        return f"cdesk.{item.word}([{', '.join(item_text(inner) for inner in item.items)}])"
    if isinstance(item, Within):
        nearest = f", at_least=cdesk.interval({item.at_least}, 'second')"
        return (
            f"cdesk.within({item.seconds}, 'second'{nearest if item.at_least is not None else ''})"
        )
    if isinstance(item, Condition):
        sides = (value_text(item.append), _jinja(item.operator), value_text(item.cohort))
        return f"cdesk.condition({', '.join(sides)})"
    operand = value_text(item.operand) if isinstance(item.operand, Value) else _jinja(item.operand)
    if isinstance(item.operand, Value) and item.operand.type is None:
        operand = f"cdesk.column({operand})"
    return f"cdesk.filter({value_text(item.value)}, {_jinja(item.operator)}, {operand})"


def _activity(activity: Activity, columns: str = "none") -> str:
    given = ", ".join(item_text(f) for f in activity.filters)
    at_most = activity.at_most
    where = f"cdesk.filter('activity_occurrence', 'at most', {at_most})" if at_most else ""
    return (
        f"cdesk.activity({_jinja(activity.name)}, occurrence={_jinja(activity.occurrence)}, "
        f"nth={_jinja(activity.nth)}, filters=[{given}], columns={columns}, where=[{where}])"
    )


def _aggregate(asked: Any, name: str | None) -> str:
    if isinstance(asked, Ratio):
        parts = f"{_aggregate(asked.numerator, None)}, {_aggregate(asked.denominator, None)}"
        return f"cdesk.ratio({parts}, as={_jinja(name)})"
    of = "none"
    if asked.of is not None:
        of = value_text(asked.of) if isinstance(asked.of, Value) else item_text(asked.of)
    share = f", share={asked.share}" if asked.share is not None else ""
    if asked.function == "text":
        share += f", separator={_jinja(asked.separator)}"
    return f"cdesk.agg({_jinja(asked.function)}, {of}, as={_jinja(name)}{share})"


def append_text(append: Append | Derive, index: int) -> str:
    """An append as a model would hold it, its columns named out_<index>_<position>."""
    if isinstance(append, Derive):
        value = (
            f"cdesk.output('{append.left}'), '{append.operator}', cdesk.output('{append.right}')"
        )
        return f"cdesk.derive('derived_{index}', cdesk.calc({value}))"
    columns = []
    for position, column in enumerate(append.columns):
        name = f"out_{index}_{position}"
        write = value_text if isinstance(column, Value) else _aggregate
        columns.append(write(column, name))
    conditions = ", ".join(item_text(condition) for condition in append.conditions)
    nth = f", nth={append.nth}" if append.nth else ""
    return (
        f"cdesk.{append.relationship}({_activity(append.activity)}, "
        f"columns=[{', '.join(columns)}], conditions=[{conditions}]{nth})"
    )


def macro_text(
    cohort: Activity,
    columns: Sequence[Value],
    asked: Sequence[Append | Derive],
    *,
    stored: bool,
    relation: str = "stream",
    entity: Value | None = None,
) -> str:
    """The question as a model would hold it."""
    named = (
        "["
        + ", ".join(value_text(column, f"cohort_{index}") for index, column in enumerate(columns))
        + "]"
    )
    parts = ", ".join(append_text(append, index) for index, append in enumerate(asked))
    mapping = STORED if stored else ""
    by = f", entity={value_text(entity)}" if entity else ""
    stream = f"stream=cdesk.stream('{relation}'{mapping})"
    return f"{{{{ cdesk.dataset({_activity(cohort, named)}, [{parts}], {stream}{by}) }}}}"


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
    columns += ", link as _session_id, 'claude_desktop' as _source_system"
    connection.execute(f"create or replace table events as select {columns} from stream")


def comparable(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Rows as a sorted list of texts, in which a whole number is the same as integer, decimal or
    float.
    """

    def text(value: Any) -> Any:
        if isinstance(value, list):
            return [text(item) for item in value]
        if value is None or isinstance(value, str | date):
            return repr(value)
        return repr(round(float(value), 9) + 0.0)

    return sorted(repr([text(value) for value in row]) for row in rows)


__all__ = [
    "append_text",
    "appends",
    "busy_stream",
    "cohorts",
    "comparable",
    "create_stream",
    "filters",
    "macro_text",
    "rolling",
    "streams",
    "value_text",
    "who",
]
