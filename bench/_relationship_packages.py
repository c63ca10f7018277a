"""The questions of the relationships benchmark as two dbt packages for ActivitySchema write them.

Their SQL is compiled by dbt from checkouts that the caller names; nothing of theirs stands here.
Which package a checkout holds is told by its macros. Both read the view `stream`, which has the
columns of `events` under the specification's names. They answer almost the same: one counts the
cohort row's own instant as before it, both let ties and nulls fall as text sorts them. So their
rows are counted, and not compared value by value.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

VIEW = (
    "create or replace view stream as select *, _activity_id as activity_id, "
    "_anonymous_customer_id as anonymous_customer_id, cast(null as json) as feature_json "
    "from events"
)
PICKED = ("activity_id", "ts", "link", "revenue_impact")
AT_MOST = 12.0
"""A query of theirs that takes so many times as long as ours is ended; its ratio is then a least."""
ROUNDS, CLOSE_ROUNDS = 3, 9
"""Of each query the best of so many counts, in turns, so that both see the same machine; of more
where one of theirs takes about as long as ours, for noise to tell less.
"""
CLOSE = 1.5


@dataclass(frozen=True, eq=False)
class Package:
    """`question` is the text of a dbt model, or none where the package has no such thing."""

    name: str
    variables: Mapping[str, object]
    models: Mapping[str, str]
    question: Callable[[str], str | None]


def ours(name: str) -> str:
    """The same question as a model of this project."""
    conditions, columns = "", ", ".join(f"cdesk.column('{c}', as='{c}_1')" for c in PICKED)
    relationship = name
    if name.startswith("list_"):
        relationship = "aggregate_" + name.removeprefix("list_").replace("ever", "all_ever")
        columns = "cdesk.agg('text', 'link', separator='\\n', as='links_1')"
    elif name.startswith(("aggregate_", "within_")):
        columns = "cdesk.agg('count', as='n_1'), cdesk.agg('sum', 'revenue_impact', as='total_1')"
    if name.startswith("within_"):
        relationship = "aggregate_before"
        conditions = f", conditions=cdesk.within({name.split('_')[1]}, 'day')"
    nth = ", nth=3" if name.startswith("nth_") else ""
    cohort = "cdesk.activity('activity0', columns=[cdesk.column('activity_id', as='id'), 'customer', 'ts'])"
    append = f"cdesk.{relationship}('activity1', columns=[{columns}]{conditions}{nth})"
    return f"{{{{ cdesk.dataset({cohort}, {append}, cdesk.events_stream('events')) }}}}"


def _by_words(name: str) -> str | None:
    """In bcodell's query language."""
    lists = {"list_before": "before", "list_after": "after", "list_ever": "all"}
    joined = ""
    if name in lists:
        verb, columns = f"aggregate {lists[name]}", "listagg(link) as links_1"
    elif name.startswith(("aggregate_", "within_")):
        span = "before" if name.startswith("within_") else name.removeprefix("aggregate_")
        span = {"in_between": "between", "all_ever": "all"}.get(span, span)
        if span not in ("before", "after", "between", "all"):
            return None
        verb = f"aggregate {span}"
        columns = "count(activity_id) as n_1, sum(revenue_impact) as total_1"
        if name.startswith("within_"):
            days = name.split("_")[1]
            joined = f" join {{joined}}.{{ts}} >= p.req__ts - interval {days} day"
    else:
        pick, _, span = name.partition("_")
        span = span.replace("in_between", "between")
        if pick not in ("first", "last") and (pick, span) not in (
            ("nth", "ever"),
            ("nth", "before"),
        ):
            return None
        if span not in ("ever", "before", "after", "between"):
            return None
        verb = f"append {'nth(3)' if pick == 'nth' else pick} {span}"
        columns = ", ".join(f"{column} as {column}_1" for column in PICKED)
    return (
        "{% set aql %}using stream select all activity0 (activity_id as id, customer as customer, "
        f"ts as ts) {verb} activity1 ({columns}{joined})"
        "{% endset %}{{ dbt_activity_schema.dataset(aql) }}"
    )


KNOWN_MACROS = frozenset(
    (
        *("first_ever", "last_ever", "nth_ever", "first_before", "last_before", "first_after"),
        *("last_after", "first_in_between", "last_in_between", "aggregate_before"),
        *("aggregate_after", "aggregate_in_between", "aggregate_all_ever"),
    )
)


def _by_macros(name: str) -> str | None:
    """In tnightengale's macros, which aggregate by one function an append."""
    package = "dbt_activity_schema"
    condition, functions = "", [""]
    if name.startswith(("aggregate_", "within_")):
        relationship = name
        if name.startswith("within_"):
            relationship = "aggregate_before"
            days = name.split("_")[1]
            condition = f", 'appended.ts >= stream.ts - interval {days} day'"
        functions = [f"{package}.count", f"{package}.sum"]
        columns = [["activity_id"], ["revenue_impact"]]
    else:
        relationship, columns = name, [list(PICKED)]
    if relationship not in KNOWN_MACROS:
        return None
    functions = ["3"] if relationship == "nth_ever" else functions
    appends = ", ".join(
        f"{package}.activity({package}.{relationship}({function}), 'activity1', {taken}{condition})"
        for function, taken in zip(functions, columns, strict=True)
    )
    cohort = (
        f"{package}.activity({package}.all_ever(), 'activity0', ['activity_id', 'customer', 'ts'])"
    )
    return f"{{{{ {package}.dataset(ref('stream'), {cohort}, [{appends}]) }}}}"


STREAM = "{{ config(materialized='view') }} select 1 as one"
BCODELL = Package(
    "bcodell",
    {
        "column_configuration": {"included_optional_columns": ["revenue_impact", "link"]},
        "streams": {"stream": {"customer_id_alias": "customer", "model_prefix": "stream__"}},
    },
    {
        "stream": STREAM,
        "stream__activity0": "{{ config(stream='stream') }} select 1 as one",
        "stream__activity1": "{{ config(stream='stream') }} select 1 as one",
    },
    _by_words,
)
TNIGHTENGALE = Package("tnightengale", {}, {"stream": STREAM}, _by_macros)


def find(checkouts: Sequence[Path]) -> dict[Package, Path]:
    """Which package each folder holds; a folder of checkouts stands for these.

    Raises:
        SystemExit: A folder holds neither.
    """
    found: dict[Package, Path] = {}
    for given in checkouts:
        holds = [given, *(path for path in sorted(given.iterdir()) if path.is_dir())]
        known = False
        for path in holds:
            for package, folder in ((BCODELL, "aql"), (TNIGHTENGALE, "relationships")):
                if (path / "macros" / folder).is_dir():
                    found[package] = path
                    known = True
        if not known:
            raise SystemExit(f"bench relationships: {given} holds no package that is known here")
    return found


def render(package: Package, checkout: Path, names: Sequence[str], folder: Path) -> dict[str, str]:
    """The SQL of each question that the package can ask, compiled by dbt in a project of its own,
    which has the package's name and its macros.
    """
    from dbt.cli.main import dbtRunner

    models = folder / "models"
    models.mkdir(parents=True)
    asked = {name: text for name in names if (text := package.question(name))}
    for name, text in {**package.models, **asked}.items():
        (models / f"{name}.sql").write_text(text, encoding="utf-8")
    macros = Path(os.path.relpath(checkout.resolve() / "macros", folder)).as_posix()
    project = {
        "name": "dbt_activity_schema",
        "version": "0.1.0",
        "profile": "bench",
        "macro-paths": [macros],
        "flags": {"send_anonymous_usage_stats": False},
        "vars": {"dbt_activity_schema": package.variables},
    }
    (folder / "dbt_project.yml").write_text(json.dumps(project), encoding="utf-8")
    (folder / "profiles.yml").write_text(
        "bench: {target: duckdb, outputs: {duckdb: {type: duckdb, path: ':memory:'}}}\n",
        encoding="utf-8",
    )
    where = ["--project-dir", str(folder), "--profiles-dir", str(folder)]
    result = dbtRunner().invoke(["compile", *where, "--quiet", "--log-level-file", "none"])
    if not result.success:
        raise SystemExit(
            f"bench relationships: {package.name} does not compile: {result.exception}"
        )
    compiled = folder / "target" / "compiled" / "dbt_activity_schema" / "models"
    return {
        name: (compiled / f"{name}.sql")
        .read_text(encoding="utf-8")
        .replace('"memory"."main"."stream"', "stream")
        for name in asked
    }


@dataclass
class Timed:
    """The best of a query's runs in seconds of the processor, all threads together, and its rows;
    whether it was ended, after so long or for want of memory.

    Seconds of the processor, because others on the machine stretch those of the clock.
    """

    sql: str
    seconds: float = float("inf")
    rows: int | None = None
    ended: bool = False

    def run(self, connection: duckdb.DuckDBPyConnection, limit: float = float("inf")) -> None:
        """Once more; ended after `limit` seconds."""
        columns = [name for name, *_ in connection.execute(f"describe {self.sql}").fetchall()]
        done = threading.Event()
        started = time.process_time()

        def watch() -> None:
            while not done.wait(0.05):
                if time.process_time() - started > limit:
                    connection.interrupt()
                    return

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            found = connection.execute(
                f"select count(*), sum(hash({', '.join(columns)})) from ({self.sql}) as q"
            ).fetchone()
        except (duckdb.InterruptException, duckdb.OutOfMemoryException):
            self.ended = True
            self.seconds = time.process_time() - started
            return
        finally:
            done.set()
            watching.join()
        assert found
        self.seconds = min(self.seconds, time.process_time() - started)
        self.rows = int(found[0])


def race(
    connection: duckdb.DuckDBPyConnection, ours: str, theirs: Mapping[str, str]
) -> tuple[Timed, dict[str, Timed]]:
    """One question, asked in turns in our words and in each package's.

    Raises:
        AssertionError: One has other rows than the cohort has.
    """
    own = Timed(ours)
    others = {name: Timed(sql) for name, sql in theirs.items()}
    for turn in range(CLOSE_ROUNDS):
        nearest = min(other.seconds for other in others.values())
        if turn >= ROUNDS and not 1 / CLOSE < nearest / own.seconds < CLOSE:
            break
        own.run(connection)
        for other in others.values():
            # Who is far behind isn't asked again.
            if not other.ended and (other.rows is None or other.seconds < 4.0 * own.seconds):
                other.run(connection, max(1.0, AT_MOST * own.seconds))
    for name, other in others.items():
        assert other.ended or other.rows == own.rows, (name, other.rows, own.rows)
    return own, others
