"""An account as the governance macros see it: dbt renders them with the real adapter, and what they
run is kept in place of being sent. What they ask is answered from a table of patterns, or by DuckDB
where a test gives a connection. How an account takes the statements, tests/integration/snowflake
says on the stand-in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import duckdb

from tests.unit.activity_schema.rendering import Renderer

Rows = list[dict[str, Any]]


class Line(dict[str, Any]):
    """A row, whose values go by name or by place."""

    def __getitem__(self, key: str | int) -> Any:
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)


class Named(str):
    """A relation by its name."""

    __slots__ = ()

    @property
    def identifier(self) -> str:
        return self.rpartition(".")[2]


@dataclass
class Table:
    """What `run_query` answers."""

    rows: list[Line]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return (tuple(row.values()) for row in self.rows)

    @property
    def columns(self) -> list[Any]:
        names = list(self.rows[0]) if self.rows else ["?"]
        return [
            SimpleNamespace(values=lambda name=name: [row[name] for row in self.rows])
            for name in names
        ]


@dataclass
class Account:
    renderer: Renderer
    answers: dict[str, Rows] = field(default_factory=dict)
    """Pattern of a question → rows; the first that matches."""
    nodes: list[dict[str, Any]] = field(default_factory=list)
    """What the project holds."""
    relations: set[str] = field(default_factory=set)
    """Which tables are there, of another schema with its name; of a connection those that it
    has.
    """
    connection: duckdb.DuckDBPyConnection | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    target: dict[str, Any] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    """Of each relation."""
    is_full_refresh: bool = False
    names: dict[str, Any] = field(default_factory=dict)
    """What else stands for something of dbt's."""
    schema: str = "PUBLIC"
    ran: list[str] = field(default_factory=list, init=False)
    """The statements that were run, each in one line."""
    begun: list[bool] = field(default_factory=list, init=False)
    """Of each whether dbt begins a transaction before it."""
    bound: list[list[Any]] = field(default_factory=list, init=False)
    printed: list[str] = field(default_factory=list, init=False)
    told: list[str] = field(default_factory=list, init=False)
    """What a person reads meanwhile."""

    def __call__(self, macro: str, *arguments: Any, **named: Any) -> Any:
        """What a macro returns or renders."""
        found = self.renderer.macro(macro)
        with replaced(found.context, self._names(found.context)):
            return found(*arguments, **named)

    def statements(self, macro: str, **arguments: Any) -> list[str]:
        """What an operation runs, without what it asks."""
        self.ran.clear()
        self(macro, **arguments)
        asked = re.compile(r"(select|show) ", re.IGNORECASE)
        return [one for one in self.ran if not asked.match(one)]

    def dry(self, macro: str, **arguments: Any) -> list[str]:
        """What its dry run prints, each statement in one line."""
        self.printed.clear()
        before = len(self.ran)
        self(macro, dry_run=True, **arguments)
        assert len(self.ran) == before, "a dry run asks nobody"
        return [one_line(text.removesuffix(";\n")) for text in self.printed]

    def _names(self, context: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "run_query": self._run_query,
            "load_relation": lambda relation: self._relation(relation.identifier),
            "adapter": _Adapter(context["adapter"], self),
            "graph": SimpleNamespace(nodes={str(at): one for at, one in enumerate(self.nodes)}),
            "target": {**context["target"], **self.target},
            "var": lambda name, default=None: self.variables.get(name, default),
            "flags": SimpleNamespace(FULL_REFRESH=self.is_full_refresh),
            "ref": lambda *names: Named(names[-1]),
            "source": lambda _, name: Named(name),
            "print": lambda text: self.printed.append(text) or "",
            "log": lambda text, info=False: (self.told.append(text) if info else None) or "",
            **self.names,
        }

    def _run_query(self, sql: str) -> Table:
        self.ran.append(one_line(sql))
        self.begun.append(False)
        self.bound.append([])
        for pattern, rows in self.answers.items():
            if re.search(pattern, self.ran[-1]):
                return Table([Line(row) for row in rows])
        if self.connection is None:
            return Table([])
        found = self.connection.execute(sql.replace("DB.information_schema", "information_schema"))
        names = [name for name, *_ in found.description or ()]
        return Table([Line(zip(names, row, strict=True)) for row in found.fetchall()])

    def add_query(
        self,
        sql: str,
        auto_begin: bool = True,
        bindings: list[Any] | None = None,
        abridge_sql_log: bool = False,  # noqa: ARG002 -- as the adapter is called
    ) -> tuple[None, Any]:
        self.ran.append(one_line(sql))
        self.begun.append(auto_begin)
        self.bound.append(bindings or [])
        if self.connection is not None:
            return None, self.connection.execute(sql, bindings or [])
        for pattern, rows in self.answers.items():
            if re.search(pattern, self.ran[-1]):
                answer = [tuple(row.values()) for row in rows]
                return None, SimpleNamespace(fetchall=lambda answer=answer: answer)
        return None, SimpleNamespace(fetchall=lambda: [(0,)])

    def _relation(self, name: str) -> str | None:
        if self.connection is None:
            return name if name in self.relations else None
        found = self.connection.execute("select table_name from information_schema.tables")
        return name if (name,) in found.fetchall() else None


class _Adapter:
    """dbt's adapter, whose statements the account takes."""

    def __init__(self, real: Any, account: Account) -> None:
        self._real = real
        self.add_query = account.add_query
        self._account = account

    def get_binding_char(self) -> str:
        return "?"

    def get_relation(self, database: str, schema: str, name: str) -> str | None:
        own = name if schema == self._account.schema else f"{schema}.{name}"
        return f"{database}.{schema}.{name}" if own in self._account.relations else None

    def get_columns_in_relation(self, _: object) -> list[Any]:
        """A column is a name, or a name and a type."""
        split = [column.partition(" ") for column in self._account.columns]
        return [
            SimpleNamespace(
                name=name, data_type=kind, is_string=lambda kind=kind: kind.startswith("VARCHAR")
            )
            for name, _, kind in split
        ]

    def build_catalog_relation(self, _: object) -> Any:
        return self._account.names["catalog_relation"]

    def drop_relation(self, relation: object) -> None:
        self._account.ran.append(f"drop {relation}")

    def commit(self) -> None:
        self._account.ran.append("commit")

    def create_schema(self, relation: object) -> None:
        """It is there."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@contextmanager
def replaced(context: dict[str, Any], names: Mapping[str, Any]) -> Iterator[None]:
    kept = {name: context[name] for name in names if name in context}
    context.update(names)
    try:
        yield
    finally:
        for name in names:
            del context[name]
        context.update(kept)


def one_line(sql: str) -> str:
    return " ".join(sql.split())


def model(name: str, *columns: Any, **given: Any) -> dict[str, Any]:
    """A model as the project describes it; a column is a name, or all that its YAML says."""
    described = [{"name": one} if isinstance(one, str) else one for one in columns]
    return {
        "resource_type": "model",
        "name": name,
        "alias": name,
        "columns": {
            one["name"]: {"data_type": None, "description": "", "meta": {}, **one}
            for one in described
        },
        "config": {"materialized": "table", "meta": {}, **given.pop("config", {})},
        **given,
    }
