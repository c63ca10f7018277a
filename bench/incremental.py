"""What an incremental build costs as history grows: 10,000 new rows on 1 M and on 10 M rows, in one
run.

History is landed by SQL, and so is what dbt would build of it in `_ingest_ids` and `events` (or,
with --full-refresh, dbt builds it, which is timed too). Then batches of 1,000 customers are landed,
1 in 20 rows late by up to 30 days and 1 in 100 a repetition of an old row, and dbt's `refresh`
selector is timed with a warm manifest, as the worker runs it.

    python -m bench.incremental [--sizes 1000000,10000000] [--batch 10000] [--rounds 5]
    [--random-ids] [--full-refresh]

Prints seconds per build (wall clock, and of processor time, which a busy machine distorts less) and
per model, and their ratio to the smallest history; writes the figures to
bench/results/incremental.json.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from cdesk_app.worker.dbt.builder import release_warehouse

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

PROJECT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
ROWS_PER_CUSTOMER = 1_000
BATCH_CUSTOMERS = 1_000  # the same batch at any size of history
YEAR = 365 * 86_400_000_000  # microseconds
NOW = datetime.combine(datetime.now(UTC).date() - timedelta(days=1), datetime.min.time())
"""When the first batch lands: contexts count the days before today."""
LANDING_ROWS = 50_000  # history lands in transactions of so many rows


@dataclass
class Figures:
    """One history size: seconds of each timed build, wall clock, and per model the seconds that dbt
    reports for it.
    """

    rows: int
    history_seconds: float | None = None
    builds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    models: dict[str, list[float]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return statistics.median(self.builds)


class Project:
    """The dbt project against one warehouse file, with the manifest parsed once."""

    def __init__(self, home: Path, manifest: Manifest | None = None) -> None:
        self.home = home
        self.manifest = manifest
        profiles = home / "profiles"
        profiles.mkdir(parents=True)
        (profiles / "profiles.yml").write_text(
            (PROJECT / "profiles.example.yml").read_text(encoding="utf-8"), encoding="utf-8"
        )
        self._places = [
            *("--project-dir", str(PROJECT), "--profiles-dir", str(profiles), "--quiet"),
            *("--target-path", str(home / "target"), "--log-path", str(home / "logs")),
        ]
        os.environ["CDESK_HOME"] = str(home)

    def run(self, *command: str) -> list[Any]:
        """The node results of one dbt command.

        Raises:
            RuntimeError: dbt failed.
        """
        from dbt.cli.main import dbtRunner

        answer = dbtRunner(manifest=self.manifest).invoke([*command, *self._places])
        release_warehouse()  # as the worker's builder gives the file free after each command
        if not answer.success:
            raise RuntimeError(
                f"dbt {' '.join(command)} failed: {answer.exception or answer.result}"
            )
        if command[0] == "parse":
            self.manifest = answer.result  # type: ignore[assignment]
            return []
        return list(answer.result.results)  # type: ignore[union-attr]

    def compiled(self, sql: str) -> str:
        """A statement of the project's macros."""
        with contextlib.redirect_stdout(io.StringIO()):
            (result,) = self.run("compile", "--inline", sql, "--no-write-json")
        return str(result.node.compiled_code)

    def refresh(self) -> list[Any]:
        return self.run("run", "--selector", "refresh", "--no-write-json")

    @contextmanager
    def warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = duckdb.connect(str(self.home / "warehouse.duckdb"))
        try:
            connection.execute("use activities")
            yield connection
        finally:
            connection.close()


FEATURES = """
        case activity
            when 'cdesk.user_asked' then '{"question":"What happened on ' || strftime(ts, '%d %B') || '?","length":240}'
            else '{"tool":"read","latency_ms":12.5,"outcome":"ok","length":240}'
        end
"""
TIMED_ID = """
        printf('%08x', epoch_ms(ts) >> 16) || printf('-%04x-7', epoch_ms(ts) & 65535)
        || substr(cast(uuid() as varchar), 16)
"""
"""A UUIDv7 of the row's time: the milliseconds, and chance."""
RANDOM_ID = "cast(uuid() as varchar)"
_ROWS = """
    select
        {ts} as ts,
        {id} as id,
        'c' || (hash(i, {salt}) % {customers}) as customer,
        'cdesk.' || (['tool_called', 'user_asked', 'claude_responded', 'file_read', 'sql_completed'])[1 + (hash(i, {salt} + 1) % 5)::int]
            as activity
    from range({first}, {first} + {rows}) as numbers (i)
"""
_LAND = """
    insert into landing (id, kind, payload, source_file, source_offset, landed_at)
    with born as ({born})
    select
        id,
        'event',
        '{{"v":1,"kind":"event","id":"' || id || '","ts":"' || strftime(ts, '%Y-%m-%dT%H:%M:%S.%fZ') || '","customer":"' || customer
        || '","anonymous_customer_id":null,"session_id":null,"activity":"' || activity
        || '","feature_json":' || {features} || ',"link":null,"revenue_impact":null,'
        || '"query_tag":"cdesk_00000000","source_system":"claude_desktop","source_version":"2.0"}}',
        '{file}',
        row_number() over () * 400,
        {landed_at}
    from born
"""


_CONTENT_KEY = """
    {%- set names = cdesk.record_fields() | list -%}
    {%- set text = cdesk.hash_text(cdesk.record_content('fields', names)) -%}
    select *, {{ cdesk.compact_key('left(' ~ text ~ ', 32)') }} as content_key
    from (select *, {{ cdesk.json_fields('payload', names) }} as fields from landing) as lines
"""
_INGEST = """
    insert into _ingest_ids (kind, id, id_key, landing_id, content_key, source_file, source_offset, landed_at, copies)
    select kind, id, cast(id as uuid), id, content_key, source_file, source_offset, landed_at, 1
    from ({lines})
"""
_EVENTS = """
    insert into events by name
    select
        activity,
        customer,
        ts,
        lead(ts) over (partition by customer, activity order by ts, id) as activity_repeated_at,
        row_number() over (partition by customer, activity order by ts, id) as activity_occurrence,
        {features} as _feature_json,
        'claude_desktop' as _source_system,
        '2.0' as _source_version,
        'cdesk_00000000' as _query_tag,
        id as _activity_id,
        landed_at as _landed_at
    from history
    order by ts, id
"""


def land_history(
    warehouse: duckdb.DuckDBPyConnection, rows: int, id_sql: str, *, ingest: str | None
) -> None:
    """A year of activities, evenly spread, in order of time, landed as it happened; with `ingest`,
    the statement that fills `_ingest_ids`, in the tables too.
    """
    warehouse.execute(
        "create temp table history (id varchar, customer varchar, activity varchar, ts "
        "timestamp, landed_at timestamp)"
    )
    begin = f"timestamp '{NOW - timedelta(days=366)}'"
    for first in range(0, rows, LANDING_ROWS):
        landed_at = f"{begin} + to_microseconds({(first + LANDING_ROWS) * (YEAR // rows)})"
        born = _ROWS.format(
            id=id_sql,
            salt=1,
            customers=rows // ROWS_PER_CUSTOMER,
            ts=f"{begin} + to_microseconds(i * {YEAR // rows})",
            first=first,
            rows=min(LANDING_ROWS, rows - first),
        )
        warehouse.execute(f"create or replace temp table born as {born}")
        warehouse.execute(
            _LAND.format(born="from born", features=FEATURES, file="history", landed_at=landed_at)
        )
        if ingest is not None:
            warehouse.execute(
                f"insert into history select id, customer, activity, ts, {landed_at} from born"
            )
    if ingest is not None:
        warehouse.execute(ingest)
        warehouse.execute(_EVENTS.format(features=FEATURES))
    warehouse.execute("drop table history")
    warehouse.execute("checkpoint")


def _land_history(path: str, rows: int, id_sql: str, ingest: str | None) -> None:
    with duckdb.connect(path) as warehouse:
        warehouse.execute("use activities")
        land_history(warehouse, rows, id_sql, ingest=ingest)


def land_history_elsewhere(project: Project, rows: int, id_sql: str, ingest: str | None) -> None:
    """In a process of its own: what builds afterwards has not worked through all of history, as the
    worker's process has not.
    """
    child = multiprocessing.get_context("spawn").Process(
        target=_land_history,
        args=(str(project.home / "warehouse.duckdb"), rows, id_sql, ingest),
    )
    child.start()
    child.join()
    if child.exitcode:
        raise RuntimeError(f"history could not be landed ({child.exitcode})")


def land_batch(warehouse: duckdb.DuckDBPyConnection, rows: int, round_: int, id_sql: str) -> None:
    """The next minutes: mostly new, 1 in 20 late by up to 30 days, and 1 in 100 an old line
    again.
    """
    now = f"timestamp '{NOW}' + to_hours({round_})"
    late = (
        "case when i % 20 = 0 then to_seconds((hash(i) % 2592000)::bigint) else "
        "to_milliseconds(i) end"
    )
    born = _ROWS.format(
        id=id_sql, salt=7, customers=BATCH_CUSTOMERS, ts=f"{now} - ({late})", first=0, rows=rows
    )
    warehouse.execute("begin")
    warehouse.execute(
        _LAND.format(born=born, features=FEATURES, file=f"batch{round_}", landed_at=now)
    )
    warehouse.execute(
        f"insert into landing (id, kind, payload, source_file, source_offset, landed_at) "
        f"select id, kind, payload, 'again{round_}', source_offset, {now} from landing "
        f"where source_file = 'history' order by hash(source_offset, landed_at, {round_}) "
        f"limit {rows // 100}"
    )
    warehouse.execute("commit")


def measure(
    home: Path, manifest: Manifest | None, rows: int, options: argparse.Namespace, id_sql: str
) -> tuple[Figures, Project]:
    """Figures for one history size, and the project with its manifest."""
    batch, rounds = options.batch, options.rounds
    project = Project(home, manifest)
    if manifest is None:
        project.run("parse")
    figures = Figures(rows)
    project.run(
        "build",
        "--no-write-json",
        *("--exclude-resource-type", "test"),
        *("--exclude-resource-type", "unit_test"),
    )
    ingest = None
    if not options.full_refresh:
        ingest = _INGEST.format(lines=project.compiled(_CONTENT_KEY))
    land_history_elsewhere(project, rows, id_sql, ingest)
    started = time.perf_counter()
    project.run(
        *("run", "--selector", "refresh", "--no-write-json"),
        *(["--full-refresh"] if options.full_refresh else []),
    )
    if options.full_refresh:
        figures.history_seconds = time.perf_counter() - started
    for round_ in range(rounds + 1):
        with project.warehouse() as warehouse:
            land_batch(warehouse, batch, round_, id_sql)
        started, started_processor = time.perf_counter(), time.process_time()
        results = project.refresh()
        if round_ == 0:
            continue  # the first build reads the file into memory
        figures.builds.append(time.perf_counter() - started)
        figures.processor.append(time.process_time() - started_processor)
        for result in results:
            figures.models.setdefault(result.node.name, []).append(result.execution_time)
    with project.warehouse() as warehouse:
        counted = warehouse.execute(
            "select count(*), count(distinct _activity_id) from events"
        ).fetchone()
    if counted != (rows + batch * (rounds + 1),) * 2:
        raise RuntimeError(f"events holds {counted}, expected {rows + batch * (rounds + 1):,}")
    return figures, project


def report(all_figures: Sequence[Figures], batch: int) -> None:
    floor = all_figures[0]
    print(
        f"\nincremental build of {batch:,} landed rows, median of {len(floor.builds)} (seconds)\n"
    )
    print(
        f"{'':<24}" + "".join(f"{figures.rows:>14,}" for figures in all_figures) + f"{'ratio':>9}"
    )
    rows = [
        ("build, wall clock", [figures.seconds for figures in all_figures]),
        (
            "build, processor time",
            [statistics.median(figures.processor) for figures in all_figures],
        ),
    ]
    rows += [
        (name, [statistics.median(figures.models[name]) for figures in all_figures])
        for name in floor.models
    ]
    for name, seconds in rows:
        print(
            f"{name:<24}"
            + "".join(f"{value:>14.3f}" for value in seconds)
            + f"{seconds[-1] / seconds[0]:>9.2f}"
        )
    if floor.history_seconds is not None:
        print(
            f"{'full refresh':<24}"
            + "".join(f"{figures.history_seconds or 0:>14.1f}" for figures in all_figures)
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="What an incremental build costs as history grows."
    )
    parser.add_argument(
        "--sizes", default="1000000,10000000", help="rows of history, smallest first"
    )
    parser.add_argument("--batch", type=int, default=10_000, help="new rows a build")
    parser.add_argument("--rounds", type=int, default=5, help="timed builds a size")
    parser.add_argument(
        "--random-ids", action="store_true", help="ids without order (imports) instead of UUIDv7"
    )
    parser.add_argument(
        "--full-refresh", action="store_true", help="let dbt build the history, and time that"
    )
    arguments = parser.parse_args(argv)
    id_sql = RANDOM_ID if arguments.random_ids else TIMED_ID
    manifest: Manifest | None = None
    all_figures = []
    for rows in (int(size) for size in arguments.sizes.split(",")):
        with tempfile.TemporaryDirectory(prefix="cdesk-bench-") as folder:
            figures, project = measure(Path(folder), manifest, rows, arguments, id_sql)
        manifest = project.manifest
        all_figures.append(figures)
    report(all_figures, arguments.batch)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "incremental.json").write_text(
        json.dumps(
            {
                "batch": arguments.batch,
                "random_ids": arguments.random_ids,
                "ratio": all_figures[-1].seconds / all_figures[0].seconds,
                "sizes": [
                    {
                        "rows": figures.rows,
                        "full_refresh_seconds": figures.history_seconds,
                        "build_seconds": figures.builds,
                        "processor_seconds": figures.processor,
                        "model_seconds": figures.models,
                    }
                    for figures in all_figures
                ],
            },
            indent=1,
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
