"""A DuckDB file with the project's own `landing`, and what tests ask of it. The table's text comes
from the dbt macro that makes it.
"""

from __future__ import annotations

import functools
import re
import tempfile
from pathlib import Path
from typing import Any

import duckdb

from cdesk.contract.records import encode, make_record
from cdesk.core.clock import IdSource, format_ts

MACRO = Path(__file__).parents[1] / "macros" / "landing" / "create_landing_sql.sql"
_IDS = IdSource()


def landing_ddl() -> str:
    """The create statement of `landing` for DuckDB, as the macro has it."""
    text = MACRO.read_text(encoding="utf-8")
    found = re.search(r"macro default__create_landing_sql.*?%}(.*?){%-? endmacro", text, re.DOTALL)
    assert found is not None
    return re.sub(r"{{\s*relation\s*}}", "activities.landing", found[1])


def land_lines_ddl(landing: str = "landing", name: str = "land_lines") -> str:
    """The procedure by which Snowflake's connector lands, as the macro has it."""
    text = (MACRO.parent / "land_lines_sql.sql").read_text(encoding="utf-8")
    found = re.search(r"macro land_lines_sql.*?%}(.*?){%-? endmacro", text, re.DOTALL)
    assert found is not None
    named = re.sub(r"{{\s*name\s*}}", name, found[1])
    return re.sub(r"{{\s*landing\s*}}", landing, named).strip()


def make_landing(path: Path) -> Path:
    """A new warehouse in which only `landing` stands."""
    return made_by(path, "create schema activities", landing_ddl())


def made_by(path: Path, *statements: str) -> Path:
    """A new warehouse in which these statements ran, once for all tests of a process: to make one
    takes as long as many a test.
    """
    path.write_bytes(_made_by(path.name, statements))
    return path


@functools.cache
def _made_by(name: str, statements: tuple[str, ...]) -> bytes:
    """name: of the file, after which views call it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        with duckdb.connect(path) as connection:
            for statement in statements:
                connection.execute(statement).fetchall()
        return path.read_bytes()


def query(path: Path, sql: str, binds: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute(sql, binds or []).fetchall()


def landed(path: Path) -> list[tuple[Any, ...]]:
    """(id, kind, source_file, source_offset) in order of landing and place."""
    return query(
        path,
        "select id, kind, source_file, source_offset from activities.landing order by "
        "landed_at, source_file, source_offset",
    )


def event(
    activity: str = "cdesk.user_asked",
    feature_json: dict[str, Any] | None = None,
    *,
    id: str | None = None,
    ts_ns: int = 1_767_225_600_000_000_000,
    customer: str = "ada@example.com",
) -> tuple[str, bytes]:
    """An event's id and line."""
    id = id or _IDS.uuid7()
    record = make_record(
        "event",
        id=id,
        ts=format_ts(ts_ns),
        customer=customer,
        session_id="s-1",
        query_tag="cdesk_0a1b2c3d",
        fields={
            "anonymous_customer_id": None,
            "activity": activity,
            "feature_json": feature_json or {"n": 1},
            "link": None,
            "revenue_impact": None,
        },
    )
    return id, encode(record)
