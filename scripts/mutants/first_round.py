"""The first round of a state directory (tests/conftest.py, `first_round`) for a mutant of SQL: one
that was made without a mutant, the parsed project with the mutant's text in place of the file's,
its views made anew. Parsing and building everything again would take a minute for each mutant.
What no build reads (a template, a view) is tried on the warehouse that was built without it.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt_common.clients.jinja import extract_toplevel_blocks

from scripts.mutants.plugin import BUILT

PROJECT = "cdesk"


class DoesNotBuild(Exception):
    """The views of the project can't be made with the mutant."""


def take_first_round(made: Path, target: Path, *, root: Path, file: str) -> None:
    """Copy `made` to `target`, as it is with the text that `file` has now. Raises DoesNotBuild."""
    shutil.copytree(made, target)
    parsed = target / "dbt" / "target" / "partial_parse.msgpack"
    manifest: Any = Manifest.from_msgpack(parsed.read_bytes())
    take_text(manifest, file, (root / file).read_text(encoding="utf-8"))
    parsed.write_bytes(manifest.to_msgpack())
    manifest.build_flat_graph()
    sorts = {_sort(node) for node in manifest.nodes.values() if node.original_file_path == file}
    if sorts and sorts <= {"template", "view"} and (made.parent / BUILT).exists():
        shutil.copy(made.parent / BUILT, target.parent / BUILT)
    if sorts != {"template"}:
        _make_views(manifest, target)


def _sort(node: Any) -> str:
    return "template" if node.resource_type == "analysis" else str(node.config.materialized)


def take_text(manifest: Any, file: str, text: str) -> None:
    """Put a text in place of the one that was parsed."""
    for node in manifest.nodes.values():
        if node.original_file_path == file and hasattr(node, "raw_code"):
            node.raw_code = text
    blocks = {
        found[1]: block.full_block
        for block in extract_toplevel_blocks(
            text,
            allowed_blocks={"macro", "materialization", "test", "data_test"},
            collect_raw_data=False,
        )
        if (found := re.match(r"\{%-?\s*macro\s+(\w+)", block.full_block or ""))
    }
    for macro in manifest.macros.values():
        path = f"/{Path(macro.original_file_path).as_posix()}"  # of another project's folder, too
        if macro.package_name == PROJECT and path.endswith(f"/{file}") and macro.name in blocks:
            macro.macro_sql = blocks[macro.name]


def _make_views(manifest: Manifest, home: Path) -> None:
    from tests.integration.dbt.conftest import places

    os.environ["CDESK_TEST_WAREHOUSE"] = str(home / "warehouse.duckdb")
    answer = dbtRunner(manifest=manifest).invoke(
        ["run", "--select", "config.materialized:view", *places(home)]
    )
    if not answer.success:
        raise DoesNotBuild(str(answer.exception))
