"""Renders the relationship macros with dbt itself, in this process.

The project's macros are parsed once an engine, whatever variables a renderer has, then each text
takes milliseconds.
"""

from __future__ import annotations

import importlib
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from dbt.adapters.factory import get_adapter
from dbt.cli.main import dbtRunner
from dbt.clients.jinja import get_rendered
from dbt.config.runtime import RuntimeConfig
from dbt.context.providers import generate_runtime_model_context
from dbt.flags import get_flags

from cdesk_app.worker.dbt import economy

Engine = Literal["duckdb", "snowflake"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
parsed: dict[Engine, Any] = {}
"""engine → the manifest of a project as below; variables count when a text is rendered."""

ROOT = Path(__file__).resolve().parents[3]

PROJECT = """
name: cdesk
version: 0.1.0
profile: relationships
macro-paths: [{macros}]
flags: {{send_anonymous_usage_stats: false}}
vars: {vars}
"""
PROFILES = """
relationships:
  target: duckdb
  outputs:
    duckdb: {type: duckdb, path: ":memory:", schema: main}
    snowflake: {type: snowflake, account: none, user: none, password: none, database: DB, schema: PUBLIC}
"""


class Renderer:
    """A dbt project with a model `asking`, in whose place every text is rendered; nothing is run.

    `ref('events')` is `memory.main.events` on DuckDB.
    """

    def __init__(self, folder: Path, engine: Engine, variables: str = "{}") -> None:
        (folder / "models").mkdir(parents=True)
        # Relative, because dbt takes macro paths so; on another drive (Windows) there is no
        # relative path, and none is needed.
        macros = Path(os.path.relpath(ROOT / "macros", folder)).as_posix()
        (folder / "dbt_project.yml").write_text(
            PROJECT.format(macros=macros, vars=variables), encoding="utf-8"
        )
        (folder / "profiles.yml").write_text(PROFILES, encoding="utf-8")
        (folder / "models" / "events.sql").write_text("select 1 as one", encoding="utf-8")
        (folder / "models" / "asking.sql").write_text(
            "select 1 from {{ ref('events') }}", encoding="utf-8"
        )
        if engine == "snowflake":
            with warnings.catch_warnings():
                # The connector warns of the versions of what it ships with, on its first import.
                warnings.simplefilter("ignore")
                importlib.import_module("snowflake.connector")
        economy.save()
        result = dbtRunner(manifest=parsed.get(engine)).invoke(
            [
                *("parse", "--project-dir", str(folder), "--profiles-dir", str(folder)),
                *("--target", engine, "--no-partial-parse", "--no-write-json"),
                *("--quiet", "--log-level-file", "none"),
            ]
        )
        if not result.success or result.exception:
            raise RuntimeError(f"the macros do not parse: {result.exception}")
        manifest: Any = parsed.setdefault(engine, result.result)
        config = RuntimeConfig.from_args(get_flags())
        get_adapter(config).config.load_dependencies()  # as a parse does
        self._node = manifest.nodes["model.cdesk.asking"]
        self._context: Mapping[str, Any] = generate_runtime_model_context(
            self._node, config, manifest
        )
        self._seen: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """The text, rendered.

        Raises:
            CompilationError: as a model that held it would.
        """
        if text not in self._seen:
            self._seen[text] = str(get_rendered(text, dict(self._context), self._node)).strip()
        return self._seen[text]

    def macro(self, name: str) -> Any:
        """One of the project's macros, to be called; `context` is where its names are looked up."""
        return self._context["cdesk"][name]

    def template(self, name: str) -> tuple[str, list[str]]:
        """A SafeSQL template's SQL and the names of its binds, in order."""
        sql = self((ROOT / "analyses" / "safesql" / f"{name}.sql").read_text(encoding="utf-8"))
        return sql, re.findall(r"\?/\*(\w+)\*/", sql)
