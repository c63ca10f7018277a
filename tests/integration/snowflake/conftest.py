"""A fake account, one dbt process, and a project set up, governed and built twice on it: made once
for all tests of this folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from cdesk.contract.catalog import Template
from cdesk.warehouse.protocol import LandedLine
from tests.conftest import place_of_first_round
from tests.integration.snowflake.account import FakeAccount, running_account
from tests.integration.snowflake.dbt_process import ROLES, Dbt, DbtResult, running_dbt
from tests.integration.snowflake.records import NOW, SQL, first, lines, second

FIRST_LANDING = datetime(2026, 1, 31, 13, 0, 0, 1)  # noqa: DTZ001  # as the column has it
SECOND_LANDING = datetime(2026, 1, 31, 13, 0, 0, 2)  # noqa: DTZ001


@pytest.fixture(scope="session")
def account() -> Iterator[FakeAccount]:
    with running_account() as running:
        yield running


@pytest.fixture(scope="session")
def dbt(account: FakeAccount, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dbt]:
    work = tmp_path_factory.mktemp("dbt")
    for role in sorted(set(ROLES.values())):
        account.profile(work / f"profiles-{role}", role=role)
    profiles = account.profile(work / "profiles")
    environ = {**os.environ, "CDESK_HOME": str(work)}
    with (profiles / "profiles.yml").open("a", encoding="utf-8") as file:
        file.write(
            f"    duckdb: {{type: duckdb, path: '{(work / 'warehouse.duckdb').as_posix()}', schema: activities, threads: 1}}\n"
        )
    # What the first round has kept, where another process of this run has made it already.
    kept = place_of_first_round(tmp_path_factory) / "dbt" / "target"
    with running_dbt(profiles, work, environ, {"cdesk__now": NOW}, kept=kept) as running:
        # parsed for this database, whichever test with a profile of its own comes first
        succeeded(running.operation("teardown", dry_run=True))
        yield running


def succeeded(result: DbtResult) -> DbtResult:
    assert result.ok, "\n".join(result.failures) + result.printed
    return result


@pytest.fixture(scope="session")
def refusals(dbt: Dbt) -> dict[str, str]:
    """Sets the account up, operation by operation; how a build was refused before each."""
    found: dict[str, str] = {}
    for operation in ("setup_snowflake", "apply_row_access", "apply_masking"):
        result = dbt("run", "--select", "vw_tool_events")
        found[operation] = "built" if result.ok else " ".join(result.failures)
        succeeded(dbt.operation(operation))
    return found


def land_on_snowflake(account: FakeAccount, landed: list[LandedLine], at: datetime) -> None:
    connection = account.connect()
    with connection.cursor() as cursor:
        for line in landed:
            cursor.execute(
                "insert into landing select ?, ?, parse_json(?), ?, ?, cast(? as timestamp_ntz), null",
                (
                    line.id,
                    line.kind,
                    line.payload,
                    line.source_file,
                    line.source_offset,
                    at.isoformat(sep=" "),
                ),
            )
    connection.close()


def land_on_duckdb(file: Path, landed: list[LandedLine], at: datetime) -> None:
    with duckdb.connect(file) as connection:
        connection.executemany(
            "insert into activities.landing values (?, ?, ?, ?, ?, ?, null)",
            [
                (line.id, line.kind, line.payload, line.source_file, line.source_offset, at)
                for line in landed
            ],
        )


@pytest.fixture(scope="session")
def built(account: FakeAccount, dbt: Dbt, refusals: dict[str, str]) -> Dbt:
    """Full, then incremental: `dbt build`, whose data tests `test_build.py` runs over the outcome."""
    assert set(refusals.values()) != {"built"}
    for records, name, at in (
        (first(), "a-000001.ndjson", FIRST_LANDING),
        (second(), "b-000001.ndjson", SECOND_LANDING),
    ):
        land_on_snowflake(account, lines(records, name), at)
        succeeded(dbt("build", "--exclude-resource-type", "test", "unit_test"))
        # Known to the second build alone, as the SQL of a template is that was upgraded elsewhere.
        if at == SECOND_LANDING:
            continue
        with account.connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                "insert into template_versions values ('activity_counts', sha2(?, 256), sysdate())",
                (SQL,),
            )
    return dbt


@pytest.fixture(scope="session")
def compiled(built: Dbt) -> Dbt:
    """The templates, in the manifest."""
    succeeded(built("compile", "--select", "resource_type:analysis"))
    return built


@pytest.fixture(scope="session")
def both_built(built: Dbt, first_round: Path) -> Dbt:
    """The same landings through DuckDB, in one full build by a process of its own: dbt holds the
    file for as long as it lives.
    """
    file = built.work / "warehouse.duckdb"
    with duckdb.connect(file) as connection:
        connection.execute("create schema activities")
        connection.execute(
            "create table activities.landing (id varchar not null, kind varchar not null, payload json not null, "
            "source_file varchar not null, source_offset bigint not null, landed_at timestamp not null, landed_by varchar)"
        )
        connection.execute(
            "create table activities.template_versions as select 'activity_counts' as template, "
            "sha256(?) as sql_hash, cast(now() as timestamp) as first_built_at",
            [SQL],
        )
    land_on_duckdb(file, lines(first(), "a-000001.ndjson"), FIRST_LANDING)
    land_on_duckdb(file, lines(second(), "b-000001.ndjson"), SECOND_LANDING)
    # The parsed project of a first round: its database has the same name, that of the file.
    target = first_round / "dbt" / "target"
    with running_dbt(
        *(built.profiles, built.work / "local", dict(os.environ), built.variables),
        parsed=target / "partial_parse.msgpack",
        kept=target,
    ) as running:
        local = replace(running, work=built.work)
        succeeded(local("build", "--exclude-resource-type", "test", "unit_test", target="duckdb"))
        succeeded(local("compile", "--select", "resource_type:analysis", target="duckdb"))
    return built


LIVE, ROWS_OF_LIVE = re.compile(r"\bevents_live\b"), "rows_of_events_live"


def of_rows(template: Template) -> Template:
    """The template, asked of a table with the rows of `events_live` (fixture `rows_of_live`)."""
    return replace(template, sql=LIVE.sub(ROWS_OF_LIVE, template.sql))


MAKE_ROWS_OF_LIVE = f"create or replace table {ROWS_OF_LIVE} as select * from events_live"


@pytest.fixture(scope="module")
def rows_of_live(account: FakeAccount, built: Dbt) -> Iterator[None]:
    """What `events_live` shows, as a table while nothing lands: to plan the view takes DuckDB, which
    is behind the account, ten times as long as an answer. Its rows are compared by themselves
    (test_parity.py).
    """
    assert built
    with account.connect() as connection, connection.cursor() as cursor:
        cursor.execute(MAKE_ROWS_OF_LIVE)
    yield
    with account.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"drop table {ROWS_OF_LIVE}")
