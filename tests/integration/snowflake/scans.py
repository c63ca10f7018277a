"""What a query would read of a table on Snowflake: all of it, unless a literal bounds it. A subquery
skips no partition, a literal does, at any depth of views:
https://docs.snowflake.com/en/user-guide/tables-clustering-micropartitions#query-pruning
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlglot
from sqlglot import exp


def unbounded(sql: str, table: str, column: str, views: Mapping[str, str]) -> list[str]:
    """The paths (view > view > table) by which `sql` reads `table` with no literal lower bound on
    `column`. `views`: name in lower case → its query.
    """
    tree = sqlglot.parse_one(sql, read="snowflake")
    named = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    found: list[str] = []
    for scan in tree.find_all(exp.Table):
        name = scan.name.lower()
        if name in named or _is_bounded(scan, column):
            continue
        if name == table:
            found.append(table)
        elif name in views:
            inner = unbounded(views[name], table, column, views)
            found += [f"{name} > {path}" for path in inner]
    return found


def relations(sql: str) -> set[str]:
    """The relations that a query names itself, in lower case."""
    tree = sqlglot.parse_one(sql, read="snowflake")
    named = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    return {scan.name.lower() for scan in tree.find_all(exp.Table)} - named


def _is_bounded(scan: exp.Expression, column: str) -> bool:
    """Whether a select around the scan keeps `column >= literal` of what the scan stands in."""
    source: exp.Expression = scan
    node: exp.Expression | None = scan.parent
    while node is not None:
        if isinstance(node, exp.Subquery | exp.CTE):
            source = node
        if isinstance(node, exp.Select):
            where = node.args.get("where")
            for bound in where.find_all(exp.GTE) if where else ():
                if (
                    bound.find_ancestor(exp.Select) is node
                    and isinstance(bound.this, exp.Column)
                    and bound.this.name.lower() == column
                    and bound.this.table.lower() in ("", source.alias_or_name.lower())
                    and not bound.find_ancestor(exp.Or, exp.Not)
                    and _is_literal(bound.expression)
                ):
                    return True
        node = node.parent
    return False


def _is_literal(value: exp.Expression) -> bool:
    return value.find(exp.Literal) is not None and not value.find(exp.Select, exp.Column)
