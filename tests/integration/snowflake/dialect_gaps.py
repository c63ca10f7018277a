"""Snowflake functions that fakesnow 0.12 renders wrongly or not at all, rendered into what DuckDB
has with the same meaning.

Each rewrite stands for what Snowflake documents of the function; the SQL under test is never
changed for fakesnow's sake.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import duckdb
import fakesnow.arrow
import fakesnow.cursor
import pyarrow as pa
from sqlglot import exp

from cdesk.contract.redaction import redact_text
from tests.integration.snowflake.passes import Passes

TEXT = (exp.DataType.Type.VARCHAR, exp.DataType.Type.TEXT)


def call(name: str, *arguments: Any) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(arguments))


def text(value: str) -> exp.Literal:
    return exp.Literal.string(value)


def as_json(value: exp.Expression) -> exp.Anonymous:
    return call("to_json", value)


def get(node: exp.GetExtract) -> exp.Expression:
    """https://docs.snowflake.com/en/sql-reference/functions/get: a key is matched to the letter,
    whatever characters it has; an index counts from 0."""
    key = node.expression
    if isinstance(key, exp.Literal):
        path = f'$."{key.this}"' if key.is_string else f"$[{key.name}]"
        return call("json_extract", node.this, text(path))
    position = call("list_position", call("json_keys", node.this.copy()), key)
    return call("list_extract", call("json_extract", node.this, text("$.*")), position)


def typeof(node: exp.Typeof) -> exp.Expression:
    """https://docs.snowflake.com/en/sql-reference/functions/typeof, of a VARIANT."""
    names = {
        "VARCHAR": "VARCHAR",
        "BIGINT": "INTEGER",
        "UBIGINT": "INTEGER",
        "HUGEINT": "INTEGER",
        "DOUBLE": "DOUBLE",
        "BOOLEAN": "BOOLEAN",
    }
    names |= {"NULL": "NULL_VALUE", "OBJECT": "OBJECT", "ARRAY": "ARRAY"}
    kind = call("json_type", as_json(node.this))
    return exp.Case(
        this=kind,
        ifs=[exp.If(this=text(ours), true=text(theirs)) for ours, theirs in names.items()],
    )


def cast(node: exp.Cast) -> exp.Expression:
    """A VARIANT cast to text loses its quotes, and JSON null becomes null; DuckDB would keep both
    as JSON writes them.
    """
    if node.to.this not in TEXT or isinstance(node.this, exp.Literal | exp.Null | exp.Placeholder):
        return node
    value = node.this
    unquoted = call("json_extract_string", as_json(value.copy()), text("$"))
    if isinstance(value, exp.Anonymous) and value.name in ("json_extract", "list_extract"):
        return unquoted
    # A copy of a bound value would ask for a value of its own.
    if value.find(exp.Placeholder):
        return node
    is_json = exp.EQ(this=call("typeof", value.copy()), expression=text("JSON"))
    return exp.Case(ifs=[exp.If(this=is_json, true=unquoted)], default=node.copy())


def array_size(node: exp.ArraySize) -> exp.Expression:
    """Of a DuckDB list too, which some functions yield where Snowflake has an ARRAY."""
    array = as_json(node.this)
    is_array = exp.EQ(this=call("json_type", array), expression=text("ARRAY"))
    return exp.Case(ifs=[exp.If(this=is_array, true=call("json_array_length", array.copy()))])


def array_slice(node: exp.ArraySlice) -> exp.Expression:
    """https://docs.snowflake.com/en/sql-reference/functions/array_slice: from position 0, the end
    left out. Of a JSON array DuckDB would slice the text."""
    items = call("from_json", as_json(node.this), text('["JSON"]'))
    start = exp.Add(this=exp.paren(node.args["start"]), expression=exp.Literal.number(1))
    return as_json(call("list_slice", items, start, node.args["end"]))


def array_to_string(node: exp.ArrayToString) -> exp.Expression:
    """https://docs.snowflake.com/en/sql-reference/functions/array_to_string, of texts."""
    items = call("from_json", as_json(node.this), text('["VARCHAR"]'))
    return call("array_to_string", items, node.expression)


def array_sort(node: exp.SortArray) -> exp.Expression:
    """https://docs.snowflake.com/en/sql-reference/functions/array_sort. DuckDB sorts JSON as text:
    as Snowflake does where all items are texts, or numbers of one digit before the point.
    """
    return as_json(call("list_sort", call("from_json", as_json(node.this), text('["JSON"]'))))


def try_to_timestamp_tz(node: exp.Anonymous) -> exp.Expression:
    """https://docs.snowflake.com/en/sql-reference/functions/try_to_timestamp, of ISO 8601."""
    return exp.TryCast(
        this=node.expressions[0], to=exp.DataType.build("timestamptz", dialect="duckdb")
    )


def to_timestamp(node: exp.StrToTime) -> exp.Expression:
    """The one format in use, YYYY-MM-DD"T"HH24:MI:SS.FF6"Z", whose quoted letters are rendered with
    their quotes.
    """
    format_ = node.args["format"].name.replace('"', "")
    parse = "try_strptime" if node.args.get("safe") else "strptime"
    target = exp.DataType.build("timestamp", dialect="duckdb")
    return exp.Cast(this=call(parse, node.this, text(format_)), to=target)


FORMATS = {
    "YYYY": "%Y",
    "MM": "%m",
    "DD": "%d",
    "HH24": "%H",
    "MI": "%M",
    "SS": "%S",
    "FF6": "%f",
    '"': "",
}


def to_char(node: exp.ToChar) -> exp.Expression:
    if not node.args.get("format"):
        return node
    format_ = node.args["format"].name
    for theirs, ours in FORMATS.items():
        format_ = format_.replace(theirs, ours)
    return call("strftime", node.this, text(format_))


def regexp_instr(node: exp.RegexpInstr) -> exp.Expression:
    """Only ever compared with 0: 1 where the pattern matches somewhere."""
    return exp.Case(
        ifs=[
            exp.If(
                this=call("regexp_matches", node.this, node.expression), true=exp.Literal.number(1)
            )
        ],
        default=exp.Literal.number(0),
    )


def getvariable(node: exp.Anonymous, variables: dict[str, str]) -> exp.Expression:
    value = variables.get(node.expressions[0].name.upper())
    return exp.Null() if value is None else text(value.strip("'").replace("''", "'"))


def object_delete(node: exp.Anonymous) -> exp.Expression:
    """https://docs.snowflake.com/en/sql-reference/functions/object_delete"""
    value, *keys = node.expressions
    nulls = ",".join(f'"{key.name}":null' for key in keys)
    return call("json_merge_patch", as_json(value), text("{" + nulls + "}"))


def asof_join(node: exp.Join) -> exp.Expression:
    """https://docs.snowflake.com/en/sql-reference/constructs/asof-join: an outer join, whose match
    DuckDB writes as one more condition.
    """
    match = node.args.get("match_condition")
    if match is not None:
        node.set("match_condition", None)
        node.set("side", "LEFT")
        node.set("on", exp.and_(node.args["on"], match.copy(), copy=False))
    return node


def register_redaction(connection: Any) -> None:
    """`redact_text`, a function in Python: here the same module, run by DuckDB."""
    with contextlib.suppress(duckdb.Error):  # it is there
        connection.create_function(
            "cdesk_redact_text",
            lambda text: redact_text(text, personal=True),
            ["VARCHAR"],
            "VARCHAR",
        )


original_object_construct = fakesnow.cursor.transforms.object_construct


def object_construct(node: exp.Expression) -> exp.Expression:
    """https://docs.snowflake.com/en/sql-reference/functions/object_construct_keep_null, of literal
    keys: fakesnow makes a subquery of each, and DuckDB plans twenty of them for half a second.
    """
    made: Any = original_object_construct(node)
    if made is node or not isinstance(made, exp.Anonymous) or len(made.expressions) != 3:
        return made
    keys, values, keeps_nulls = made.expressions
    if keeps_nulls != exp.true() or not all(key.is_string for key in keys.expressions):
        return made
    pairs = zip(keys.expressions, values.expressions, strict=True)
    return call("json_object", *(part for pair in pairs for part in pair))


REWRITES: dict[type[exp.Expression], Callable[[Any], exp.Expression]] = {
    exp.GetExtract: get,
    exp.Join: asof_join,
    exp.Typeof: typeof,
    exp.Cast: cast,
    exp.ArraySize: array_size,
    exp.ArraySlice: array_slice,
    exp.ArrayToString: array_to_string,
    exp.SortArray: array_sort,
    exp.StrToTime: to_timestamp,
    exp.ToChar: to_char,
    exp.RegexpInstr: regexp_instr,
}


def as_it_is(node: exp.Expression) -> exp.Expression:
    return node


def upper_case(node: exp.Expression) -> exp.Expression:
    """fakesnow's own, which copies each identifier first."""
    if isinstance(node, exp.Identifier) and not node.quoted and isinstance(node.this, str):
        node.set("this", node.this.upper())
    return node


def merge(statement: exp.Expression) -> list[exp.Expression]:
    """DuckDB has MERGE itself since 1.4; fakesnow's own emulation fails on unqualified columns and
    on an unaliased target.
    """
    if isinstance(statement, exp.Merge):
        statement.set("merge_counts", True)  # fakesnow then reports the count as rows affected
    return [statement]


original_struct = fakesnow.arrow.timestamp_to_sf_struct


def timestamps(column: Any) -> Any:
    """fakesnow forgets which timestamps are null: they would arrive as 1970."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    struct = original_struct(column)
    return pa.StructArray.from_arrays(
        struct.flatten(), fields=list(struct.type), mask=column.is_null()
    )


def install() -> None:
    fakesnow.arrow.timestamp_to_sf_struct = timestamps
    # which makes the sum of integers a float, so that its text has a `.0` that Snowflake's
    # NUMBER(38, 0) hasn't
    fakesnow.cursor.transforms.numeric_agg_implicit_cast = as_it_is
    fakesnow.cursor.transforms.merge = merge  # type: ignore[assignment]
    fakesnow.cursor.transforms.object_construct = object_construct
    fakesnow.cursor.transforms.upper_case_unquoted_identifiers = upper_case
    original_describe: Any = fakesnow.cursor.FakeSnowflakeCursor._describe_last_sql

    def describe_last_sql(self: Any) -> Any:
        if str(self._last_sql).upper().startswith("MERGE"):  # which DuckDB doesn't describe
            self._last_sql, self._last_params = (
                "select cast(0 as bigint) as 'number of rows inserted'",
                None,
            )
        return original_describe(self)

    fakesnow.cursor.FakeSnowflakeCursor._describe_last_sql = describe_last_sql  # type: ignore[method-assign]
    original: Any = fakesnow.cursor.FakeSnowflakeCursor._transform

    def transform(self: Any, expression: exp.Expression, params: Any) -> Any:
        variables = {name.upper(): value for name, value in self._conn.variables._variables.items()}

        def rewrite(node: exp.Expression) -> exp.Expression:
            if isinstance(node, exp.Anonymous) and node.name.lower() == "getvariable":
                return getvariable(node, variables)
            if isinstance(node, exp.Anonymous) and node.name.lower() == "object_delete":
                return object_delete(node)
            if isinstance(node, exp.Anonymous) and node.name.lower() == "try_to_timestamp_tz":
                return try_to_timestamp_tz(node)
            if isinstance(node, exp.Dot) and node.expression.name.lower() == "redact_text":
                register_redaction(self._duck_conn)
                return call("cdesk_redact_text", *node.expression.expressions)
            change = REWRITES.get(type(node))
            return change(node) if change else node

        # bottom up, so that what a rewrite puts in place isn't rewritten again
        for node in list(expression.walk(bfs=False))[::-1]:
            changed = rewrite(node)
            if changed is not node:
                if node is expression:
                    expression = changed
                else:
                    node.replace(changed)
        return original(self, Passes(expression), params).tree

    fakesnow.cursor.FakeSnowflakeCursor._transform = transform  # type: ignore[method-assign]
