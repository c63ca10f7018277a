"""The dbt project on DuckDB, parsed and built by the first round that all tests of a run share: a
warehouse that each test empties, or that scenarios use in step.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from cdesk.contract.records import proof_hash
from cdesk_app.worker.dbt import economy
from tests.integration.dbt.in_step import run_in_step, scenarios_of

PROJECT = Path(__file__).resolve().parents[3]
FIRST_LANDING = datetime(2026, 3, 1)  # noqa: DTZ001  (the warehouse holds UTC without zone)

Row = tuple[Any, ...]


class DbtWarehouse:
    """One warehouse file and the project that builds it."""

    def __init__(self, home: Path, manifest: Manifest) -> None:
        self.home = home
        self._manifest = manifest
        self._landings = 0

    def dbt(self, *command: str, variables: Mapping[str, object] | None = None) -> list[Any]:
        """The node results of a dbt command that succeeds."""
        os.environ["CDESK_TEST_WAREHOUSE"] = str(self.home / "warehouse.duckdb")
        # SQL is rendered anew for each command, so one manifest serves for all variables that stand
        # in SQL alone.
        runner = dbtRunner(manifest=self._manifest)
        answer = runner.invoke(
            [
                *command,
                *places(self.home),
                *(["--vars", json.dumps(variables)] if variables else []),
            ]
        )
        assert answer.success, answer.exception or [
            f"{getattr(result, 'node', result).unique_id}: {result.message}"
            for result in answer.result.results
            if result.status in ("error", "fail")
        ]
        return list(answer.result.results)

    def build(
        self, *select: str, full: bool = False, variables: Mapping[str, object] | None = None
    ) -> None:
        """The selected models, or all tables; no tests."""
        chosen = ["--select", *select] if select else ["--selector", "refresh"]
        self.dbt("run", *chosen, *(["--full-refresh"] if full else []), variables=variables)

    def set_up(self, built: Path) -> None:
        """All objects, from the file of a warehouse. The SQL of `query_run` is one that its
        template has had.
        """
        shutil.copy(built, self.home / "warehouse.duckdb")
        with self.connect() as connection:
            connection.execute(
                "insert into template_versions values ('activity_counts', sha256(?), now())", [SQL]
            )

    def empty(self) -> None:
        """No rows in landing and in the tables built from it."""
        with self.connect() as connection:
            tables = connection.execute(
                "select table_name from information_schema.tables where table_type = 'BASE "
                "TABLE' and table_schema = 'activities' "
                "and table_name not in ('activity_vocabulary', 'activity_features', 'slo_targets', "
                "'model_prices', 'customer_access', 'template_versions')"
            ).fetchall()
            for (table,) in tables:
                connection.execute(f'delete from "{table}"')

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = duckdb.connect(str(self.home / "warehouse.duckdb"))
        try:
            connection.execute("use activities")
            yield connection
        finally:
            connection.close()

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        with self.connect() as connection:
            return connection.execute(sql, parameters).fetchall()

    def land(
        self,
        records: Iterable[Mapping[str, Any]],
        *,
        source_file: str | None = None,
        landed_at: datetime | None = None,
    ) -> datetime:
        """Land records as one transaction, in order of their place in one file; a record may be a
        whole landing row instead.
        """
        self._landings += 1
        source_file = source_file or f"{self._landings:032x}-000001.ndjson"
        instant = landed_at or FIRST_LANDING + timedelta(seconds=self._landings)
        rows = [
            (record["id"], record["kind"], json.dumps(record), source_file, offset * 500, instant)
            for offset, record in enumerate(records)
        ]
        with self.connect() as connection:
            connection.execute("begin")
            if rows:
                connection.executemany("insert into landing values (?, ?, ?, ?, ?, ?, null)", rows)
            connection.execute("commit")
        return instant


def places(home: Path) -> list[str]:
    """Where dbt reads and writes, and that it says nothing."""
    return [
        *(
            "--project-dir",
            str(PROJECT),
            "--profiles-dir",
            str(PROJECT / "tests" / "profiles"),
            "--quiet",
        ),
        *(
            "--target-path",
            str(home / "target"),
            "--log-path",
            str(home / "logs"),
            "--log-level-file",
            "none",
            "--no-write-json",  # of which no test reads anything
        ),
    ]


def envelope(kind: str, number: int, **fields: Any) -> dict[str, Any]:
    """A record of the contract with the id of a number; `fields` replace or extend the envelope."""
    return {
        "v": 1,
        "kind": kind,
        "id": str(UUID(int=number, version=4)),
        "ts": "2026-02-01T12:00:00.000000Z",
        "customer": "ada@example.com",
        "session_id": None,
        "query_tag": "cdesk_00000001",
        "source_system": "claude_desktop",
        "source_version": "2.0",
        **fields,
    }


def event(number: int, **fields: Any) -> dict[str, Any]:
    """A `cdesk.user_asked` record."""
    own = {
        "anonymous_customer_id": None,
        "activity": "cdesk.user_asked",
        "feature_json": {},
        "link": None,
        "revenue_impact": None,
    }
    return envelope("event", number, **{**own, **fields})


SQL = "select 42"


def params_of(asked: str) -> str:
    return json.dumps({"asked": asked, "customer": "ada@example.com"}, separators=(",", ":"))


def hash_of(asked: str = "all") -> str:
    """The query_hash of `query_run(…, asked=asked)`."""
    return proof_hash(SQL, params_of(asked))


def evidence(*values: object, basis: str = "system") -> list[dict[str, Any]]:
    """Evidence of `activity_counts` that holds these values: of each type in a column of
    its own.
    """
    columns = {"number": "activity_count", "text": "first_at", "boolean": "last_at"}
    found: dict[str, list[str]] = {}
    for value in values:
        text = value if isinstance(value, str) else json.dumps(value)
        kind = "boolean" if isinstance(value, bool) else "text" if value == text else "number"
        found.setdefault(kind, []).append(text)
    return [
        {"column": columns[kind], "basis": basis, "type": kind, "values": texts}
        for kind, texts in found.items()
    ]


def insight(number: int, **fields: Any) -> dict[str, Any]:
    """An insight of the value 42."""
    own = {
        "subject": "sales",
        "metric": "count",
        "value": 42,
        "provenance_query_hash": hash_of(),
    }
    return envelope("insight", number, **{**own, **fields})


def query_run(number: int, *, asked: str = "all", **fields: Any) -> dict[str, Any]:
    """A succeeded run that found 42. Of another question it has another hash."""
    own = {
        "ticket_id": str(UUID(int=number + 10**6, version=4)),
        "template": "activity_counts",
        "sql": SQL,
        "params": params_of(asked),
        "query_hash": hash_of(asked),
        "rows": 1,
        "bytes": 8,
        "sampled": False,
        "status": "succeeded",
        "error_code": None,
        "elapsed_ms": 1.5,
        "as_of": None,
        "artifact_id": None,
        "evidence": evidence(42),
        "evidence_complete": True,
    }
    return envelope("query_run", number, **{**own, **fields})


@pytest.fixture(scope="session")
def manifest(first_round: Path) -> Manifest:
    """The parsed project. Its database has the same name: that of the file, without its folder."""
    target = first_round / "dbt" / "target"
    economy.save(target)
    parsed = target / "partial_parse.msgpack"
    manifest = Manifest.from_msgpack(parsed.read_bytes())
    manifest.build_flat_graph()
    return manifest


@pytest.fixture(scope="session")
def shared_warehouse(
    manifest: Manifest, first_round: Path, tmp_path_factory: pytest.TempPathFactory
) -> DbtWarehouse:
    """One set-up warehouse for all tests that empty it themselves."""
    warehouse = DbtWarehouse(tmp_path_factory.mktemp("warehouse"), manifest)
    warehouse.set_up(first_round / "warehouse.duckdb")
    return warehouse


@pytest.fixture
def warehouse(shared_warehouse: DbtWarehouse) -> DbtWarehouse:
    """The shared warehouse, empty."""
    shared_warehouse.empty()
    return shared_warehouse


@pytest.fixture(scope="session")
def scenarios_in_step(
    shared_warehouse: DbtWarehouse, request: pytest.FixtureRequest
) -> dict[str, Exception | None]:
    """What each scenario of the tests that run here came to (tests/integration/dbt/in_step.py)."""
    return run_in_step(shared_warehouse, scenarios_of(request.session.items))
