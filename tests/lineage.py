"""Where the values of a query's columns come from, followed through its SQL: for the test that no
evidence column repeats what a caller wrote.

The value itself is followed, not what decides about it: a parameter in a condition is none of the
column's origins, one that a `case` hands out is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

Origin = Literal["data", "reported", "written", "parameter", "constant", "row_number", "label"]
"""data: computed from, or stamped by, the system. reported: a figure that the model or a source
gave.
written: anything else that a caller wrote. label: what rows are grouped by."""
Tables = Mapping[str, Mapping[str, str]]
"""Table → column → type."""

_STAMPED: Final[Mapping[str, frozenset[str]]] = {
    "events": frozenset({"ts", "_landed_at"}),
    "events_live": frozenset({"ts", "_landed_at"}),
    "insight_atoms": frozenset({"recorded_at", "verified", "is_current", "_landed_at"}),
    # Not row_count: whoever asks says how many rows at most.
    "provenance_chain": frozenset(
        {"executed_at", "elapsed_ms", "byte_count", "is_sampled", "_landed_at"}
    ),
    "quarantined_events": frozenset({"landed_at"}),
    "landing": frozenset({"landed_at"}),
    "model_prices": frozenset(
        f"{tier}{name}_usd"
        for tier in ("", "long_")
        for name in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
    ),
}
"""What the system itself writes. Every other column is a caller's."""
_FIGURES: Final = frozenset({"revenue_impact"})
_NUMBERED: Final = (exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile, exp.PercentRank)
_COUNTED: Final = (exp.Count, exp.CountIf, exp.ApproxDistinct)
_NUMBERS: Final = frozenset(
    {"BIGINT", "INT", "DOUBLE", "FLOAT", "DECIMAL", "INT128", "SMALLINT", "TINYINT"}
)


def origins(sql: str, column: str, tables: Tables, *, dialect: str = "duckdb") -> set[Origin]:
    """What the values of an output column of `sql` are made of.

    Raises:
        KeyError: the query has no such column.
    """
    return _Lineage(sql, tables, dialect).of(column)


class _Lineage:
    def __init__(self, sql: str, tables: Tables, dialect: str) -> None:
        tree = sqlglot.parse_one(sql, read=dialect)
        for table in tree.find_all(exp.Table):
            table.set("db", None)
            table.set("catalog", None)
        qualified = qualify(
            tree,
            schema={name: dict(columns) for name, columns in tables.items()},
            dialect=dialect,
            validate_qualify_columns=False,
            quote_identifiers=False,
        )
        scope = build_scope(qualified)
        assert scope is not None
        self._scope = scope
        self._seen: dict[tuple[int, str], set[Origin]] = {}

    def of(self, column: str) -> set[Origin]:
        return self._projection(self._scope, column)

    def _projection(self, scope: Scope, column: str) -> set[Origin]:
        key = (id(scope), column.lower())
        if key not in self._seen:
            self._seen[key] = set()  # a recursive query asks for itself
            found: set[Origin] = set()
            branches = list(_selects(scope))
            names = [item.alias_or_name.lower() for item in branches[0].expression.selects]
            if column.lower() not in names:
                raise KeyError(column)
            for select in branches:
                found |= self._selected(select, names.index(column.lower()))
            self._seen[key] = found
        return self._seen[key]

    def _selected(self, scope: Scope, position: int) -> set[Origin]:
        select = scope.expression
        assert isinstance(select, exp.Select)
        projection = select.selects[position]
        value = projection.unalias()
        found = self._value(scope, value)
        group = select.args.get("group")
        if (
            group is not None
            and not isinstance(value, exp.AggFunc)
            and value.find(exp.AggFunc) is None
        ):
            found = found | {"label"}
        return found

    def _value(self, scope: Scope, node: exp.Expression) -> set[Origin]:
        if isinstance(node, exp.Placeholder | exp.Parameter):
            return {"parameter"}
        if isinstance(node, exp.Null):
            return set()
        if isinstance(node, exp.Literal | exp.Boolean):
            return {"constant"}
        if isinstance(node, exp.Column):
            return self._column(scope, node)
        if isinstance(node, _NUMBERED):
            return {"row_number"}
        if isinstance(node, _COUNTED):
            return {"data"}
        if isinstance(node, exp.Sum) and _counts(node):
            return {"data"}
        if isinstance(node, exp.Window | exp.WithinGroup | exp.Filter | exp.IgnoreNulls):
            return self._value(scope, node.this) | self._ordered(scope, node)
        if isinstance(node, exp.PercentileCont | exp.PercentileDisc | exp.Quantile):
            return set()  # a share; the values are what it orders by
        if isinstance(node, exp.Case):
            branches = [branch.args["true"] for branch in node.args["ifs"]]
            return self._all(scope, [*branches, node.args.get("default")])
        if isinstance(node, exp.If):
            return self._all(scope, [node.args["true"], node.args.get("false")])
        if isinstance(node, exp.Subquery):
            inner = build_scope(node.this)
            assert inner is not None
            return self._all_of_scope(inner)
        if isinstance(node, exp.Nullif):
            return self._value(scope, node.this)
        if isinstance(node, exp.Coalesce):
            # A fallback is no value of its own: 0 where nothing was counted.
            given = self._value(scope, node.this)
            rest = self._all(scope, node.expressions)
            return given | (rest - {"constant"} if given - {"constant"} else rest)
        if isinstance(node, exp.Cast | exp.TryCast):
            inner_origins = self._value(scope, node.this)
            kind = node.to.this
            name = kind.value if hasattr(kind, "value") else str(kind)
            if name in _NUMBERS and "written" in inner_origins:
                return (inner_origins - {"written"}) | {"reported"}
            return inner_origins
        # An operator or a function: what its operands are made of. A constant among them is a unit
        # or a
        # format, as long as something else is there.
        operands = self._all(scope, list(_operands(node)))
        return operands - {"constant"} if operands - {"constant"} else operands

    def _ordered(self, scope: Scope, node: exp.Expression) -> set[Origin]:
        """What a percentile picks from: `within group (order by …)`."""
        if not isinstance(node, exp.WithinGroup):
            return set()
        order = node.args["expression"]
        return self._all(scope, [ordered.this for ordered in order.expressions])

    def _column(self, scope: Scope, column: exp.Column) -> set[Origin]:
        source = scope.sources.get(column.table)
        if isinstance(source, Scope):
            return self._projection(source, column.name)
        if isinstance(source, exp.Table):
            stamped = _STAMPED.get(source.name, frozenset())
            if column.name in stamped:
                return {"data"}
            return {"reported"} if column.name in _FIGURES else {"written"}
        return {"written"}  # what can't be followed is nobody's proof

    def _all(self, scope: Scope, nodes: object) -> set[Origin]:
        found: set[Origin] = set()
        for node in nodes if isinstance(nodes, list) else []:
            if isinstance(node, exp.Expression):
                found |= self._value(scope, node)
        return found

    def _all_of_scope(self, scope: Scope) -> set[Origin]:
        found: set[Origin] = set()
        for select in _selects(scope):
            for projection in select.expression.selects:
                found |= self._value(select, projection.unalias())
        return found


def _selects(scope: Scope) -> Iterator[Scope]:
    """The selects of a query: itself, or all branches of a union."""
    if scope.set_operation_scopes:
        for branch in scope.set_operation_scopes:
            yield from _selects(branch)
    else:
        yield scope


def _counts(node: exp.Sum) -> bool:
    """`sum(case when … then 1 else 0 end)`: a count, whatever the condition."""
    case = node.this
    if not isinstance(case, exp.Case):
        return False
    values = [branch.args["true"] for branch in case.args["ifs"]] + [case.args.get("default")]
    return all(value is None or isinstance(value, exp.Literal) for value in values)


def _operands(node: exp.Expression) -> Iterator[exp.Expression]:
    for argument in node.args.values():
        for item in argument if isinstance(argument, list) else [argument]:
            if isinstance(item, exp.Expression) and not isinstance(
                item, exp.Order | exp.WindowSpec | exp.DataType | exp.Var
            ):
                yield item
