"""A catalog.json that is not what this installation compiled is refused, whatever it says
of itself.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from bench.turn_path import fixtures
from cdesk.contract.catalog import catalog_digest
from cdesk.core.errors import CatalogError
from cdesk.core.home import StateDirectory
from cdesk.state.catalog import open_catalog, sealed_catalog
from cdesk.state.database import open_state
from mcp_shim.readers import Readers

ROOT = Path(__file__).resolve().parents[4]
Document = dict[str, Any]


def edit(home: StateDirectory, change: Callable[[Document], None]) -> None:
    """Change catalog.json as somebody would who knows its own hashes."""
    document = orjson.loads(home.catalog.read_bytes())
    change(document)
    digest = catalog_digest(document["dialect"], document["templates"])
    document["content_hash"] = digest[:16]
    for template in document["templates"].values():
        template["hash"] = digest[:16]
    digest = catalog_digest(document["dialect"], document["templates"])
    document["content_hash"] = digest[:16]
    home.catalog.write_bytes(orjson.dumps(document))


def other_sql(document: Document) -> None:
    document["templates"]["recent_activities"]["sql"] = "select * from activities.landing"


def another_template(document: Document) -> None:
    document["templates"]["mine"] = document["templates"]["recent_activities"] | {"name": "mine"}


def wider_scope(document: Document) -> None:
    document["templates"]["recent_activities"]["scope"] = "org"


def evidence(document: Document) -> None:
    document["templates"]["recent_activities"]["evidence_columns"] = {"activity": "system"}


def nothing_left(document: Document) -> None:
    document["templates"].clear()


@pytest.mark.parametrize(
    "change", [other_sql, another_template, wider_scope, evidence, nothing_left]
)
def test_an_edited_catalog_is_refused_by_every_reader(
    state_home: StateDirectory, change: Callable[[Document], None]
) -> None:
    fixtures.catalog(state_home)
    with closing(Readers.of(state_home)) as readers:
        reader = open_catalog(state_home)
        assert sealed_catalog(state_home) == reader.get() == readers.catalog.get()
        edit(state_home, change)
        for read in (lambda: sealed_catalog(state_home), reader.get, readers.catalog.get):
            with pytest.raises(CatalogError, match="not the catalog that this installation"):
                read()
        assert readers.catalog.look() is None
        fixtures.catalog(state_home)
        assert readers.catalog.get().templates.keys() == {"recent_activities"}


def test_a_catalog_without_a_seal_is_refused_until_it_has_one(state_home: StateDirectory) -> None:
    fixtures.catalog(state_home)
    with closing(open_state(state_home.state_db)) as state:
        sealed = state.execute("select * from worker_status where key = 'catalog_seal'").fetchall()
        state.execute("delete from worker_status")
        reader = open_catalog(state_home)
        assert reader.look() is None
        state.execute("insert into worker_status values (?, ?, ?)", sealed[0])
    assert reader.look() is not None, "the seal is looked up again"


def test_a_state_database_that_cannot_be_read_is_a_catalog_error(
    state_home: StateDirectory,
) -> None:
    fixtures.catalog(state_home)
    for path in state_home.root.glob("state.db*"):
        path.unlink()
    state_home.state_db.mkdir()
    with pytest.raises(CatalogError, match="cannot be checked"):
        sealed_catalog(state_home)
    with closing(Readers.of(state_home)) as readers:
        assert readers.catalog.look() is None


def test_only_what_makes_and_checks_the_catalog_reads_it_without_its_seal() -> None:
    found = []
    for package in ("cdesk", "mcp_shim", "uploader", "cdesk_app"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "load_catalog":
                    sealed = any(keyword.arg == "seal" for keyword in node.keywords)
                    found += [] if sealed else [path.relative_to(ROOT).as_posix()]
    assert found == ["cdesk_app/worker/dbt/catalog_export.py"]
