"""The release before, as its users have it: its code from the tag, run in processes of its own.

A clone without tags (shallow, as CI may make it) has no such code. There `aged` takes the tables
and columns that v0.1.0 did not have (v0_1_0.json lists those that it had) out of a new directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb

from cdesk.core.home import StateDirectory

ROOT = Path(__file__).resolve().parents[3]
TAG = "v0.1.0"
_LAYOUT: dict[str, Any] = json.loads(
    (Path(__file__).parent / "v0_1_0.json").read_text(encoding="utf-8")
)


@dataclass(frozen=True, slots=True)
class OldCode:
    """A checkout of the tag."""

    folder: Path

    def cdesk(self, home: StateDirectory, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _RUN, *words],
            cwd=self.folder,
            env={
                **os.environ,
                "CDESK_HOME": str(home.root),
                "CDESK_CUSTOMER": "ada@example.com",
                "CDESK_WORKER": "off",
                "CDESK_RENDER": "off",
                "PYTHONPATH": str(self.folder),
            },
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=240,
            check=False,
        )


# The editable installation puts this checkout's packages before any on the path.
_RUN = (
    "import os, sys; sys.path.insert(0, os.getcwd()); "
    "from cdesk_app.cli.main import main; sys.exit(main(sys.argv[1:]))"
)


def old_code(folder: Path) -> OldCode | None:
    """The code of the tag in `folder`; None where this clone has no such tag."""
    found = subprocess.run(["git", "archive", TAG], cwd=ROOT, capture_output=True, check=False)
    if found.returncode:
        return None
    with tarfile.open(fileobj=BytesIO(found.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return OldCode(folder)


def aged(home: StateDirectory) -> None:
    """Take out of a new directory what v0.1.0 did not have."""
    with contextlib.closing(duckdb.connect(home.warehouse)) as engine:
        engine.execute("use activities")
        for (view,) in engine.execute(
            "select view_name from duckdb_views() where schema_name = 'activities'"
        ).fetchall():
            engine.execute(f'drop view if exists "{view}"')
        for table, columns in _columns(engine).items():
            kept = _LAYOUT["warehouse"].get(table)
            if kept is None:
                engine.execute(f'drop table "{table}"')
                continue
            for column in columns:
                if column not in kept:
                    engine.execute(f'alter table "{table}" drop column "{column}"')
    with contextlib.closing(sqlite3.connect(home.state_db, isolation_level=None)) as state:
        tables = state.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (table,) in tables:
            if table not in _LAYOUT["state"]:
                state.execute(f"drop table {table}")
                continue
            for column in [row[1] for row in state.execute(f"pragma table_info({table})")]:
                if column not in _LAYOUT["state"][table]:
                    state.execute(f"alter table {table} drop column {column}")
        state.execute(
            "update worker_status set value = json_set(value, '$.built', 'v0.1.0', '$.exported', "
            "'v0.1.0') where key = 'project'"
        )
        state.execute(f"pragma user_version = {_LAYOUT['state_version']}")


def is_old(home: StateDirectory) -> bool:
    """Whether a directory has the layout of v0.1.0, table by table."""
    with contextlib.closing(duckdb.connect(home.warehouse, read_only=True)) as engine:
        found = _columns(engine)
    with contextlib.closing(sqlite3.connect(home.state_db)) as state:
        version = state.execute("pragma user_version").fetchone()[0]
    return bool(version == _LAYOUT["state_version"] and found == _LAYOUT["warehouse"])


def _columns(engine: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    rows = engine.execute(
        "select table_name, column_name from duckdb_columns() inner join duckdb_tables() "
        "using (database_name, schema_name, table_name) where schema_name = 'activities' "
        "order by table_name, column_index"
    ).fetchall()
    found: dict[str, list[str]] = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)
    return found
