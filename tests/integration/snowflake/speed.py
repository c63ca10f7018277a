"""What fakesnow does more often than it has to, done once. No answer changes by it: the same text in
the same session means the same, and DuckDB itself tells the types of what it has just answered.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import fakesnow.cursor
import fakesnow.dialect
import fakesnow.server
from fakesnow.transforms import SUCCESS_NOP
from sqlglot import exp

from tests.integration.snowflake.dialect_gaps import register_redaction

_TEXT = "cdesk_text"
_QUERIES = (exp.Select, exp.Union, exp.Insert, exp.Delete, exp.Update, exp.Merge)
"""Statements whose rewriting depends on nothing but the text and the session's names."""

_parse = fakesnow.dialect.parse_one


@lru_cache(maxsize=1024)
def _parsed(sql: str) -> exp.Expression:
    return _parse(sql)


def parse_for_its_type(sql: str) -> exp.Expression:
    """The server parses a statement before it is executed, to tell its type. What can't be parsed,
    `fake_account.execute` deals with.
    """
    try:
        return _parsed(sql)
    except Exception:  # noqa: BLE001
        return SUCCESS_NOP


def parse_to_execute(sql: str) -> exp.Expression:
    tree = _parsed(sql).copy()
    tree.meta[_TEXT] = sql
    return tree


def install() -> None:
    """To be called last: what it wraps is all that has been put in place before."""
    fakesnow.server.parse_one = parse_for_its_type
    fakesnow.cursor.parse_one = parse_to_execute
    cursor: Any = fakesnow.cursor.FakeSnowflakeCursor
    transform, execute, describe = cursor._transform, cursor._execute, cursor._describe_last_sql
    transformed: dict[tuple[object, ...], exp.Expression] = {}

    def transform_once(self: Any, tree: exp.Expression, params: Any) -> exp.Expression:
        text = tree.meta.get(_TEXT)
        if text is not None and "redact_text" in text.lower():
            register_redaction(self._duck_conn)
        if text is None or not isinstance(tree, _QUERIES) or "identifier(" in text.lower():
            return transform(self, tree, params)
        conn = self._conn
        variables = tuple(sorted(conn.variables._variables.items()))
        key = (text, conn.database, conn.schema, variables)
        if key not in transformed:
            transformed[key] = transform(self, tree, params)
        return transformed[key]

    def execute_and_describe(self: Any, tree: exp.Expression, params: Any = None) -> None:
        execute(self, tree, params)
        self.cdesk_described = None
        # of an earlier result nothing was executed, and a MERGE tells only a count
        if not tree.args.get("result_scan_sfqid") and not isinstance(tree, exp.Merge):
            self.cdesk_described = self._conn.__dict__.setdefault("cdesk_described", {})[
                self._sfqid
            ] = [
                (name, str(type_), None, None, None, None)
                for name, type_, *_ in self._duck_conn.description or ()
            ]

    def described(self: Any) -> list[Any]:
        """As DESCRIBE would answer, without planning the statement a second time."""
        found: list[Any] | None = self.__dict__.get("cdesk_described")
        return describe(self) if found is None else found

    cursor._transform = transform_once
    cursor._execute = execute_and_describe
    cursor._describe_last_sql = described
