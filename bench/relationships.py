"""ActivitySchema relationships against plain self-joins: ratios, checksums compared.

Each relationship is rendered by dbt from the macros, and written here once more as the self-join
that its definition suggests: the cohort's rows joined with all related rows, and of those the one
wanted taken: its time by `min` or `max`, its id among those of that time, and the row by that id.
On DuckDB this is many times faster than to rank all pairs by `row_number` (`--ranked`), the way
written most. Both run on the same table, which lies in the order of arrival, in the same DuckDB (2
threads, 2 GB), and must give the same rows. A self-join that took long at the smallest size isn't
repeated at the larger ones (`--patient` does).

A self-join's cost grows with the rows that one customer has of each activity, so the ratios do too:
`--rows-a-customer 50` shows where it is the faster one.

    python -m bench relationships [--rows 1000000 5000000] [--skew mild heavy] [--only last_before
    dataset] [--all] [--patient]
                                  [--ranked] [--rows-a-customer 4000]

With `--packages` the same questions are asked in the SQL of two dbt packages instead, of which the
named folders hold checkouts (bench/_relationship_packages.py):

    python -m bench relationships --packages DIR [DIR] [--rows 1000000] [--rows-a-customer 50 400
    4000]

Prints seconds of the processor, which others on the machine don't stretch, and ratios; a run
without arguments writes them to bench/results/relationships.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from bench import _relationship_packages as packages

ROOT = Path(__file__).resolve().parents[1]

RESULTS = Path(__file__).resolve().parent / "results" / "relationships.json"
ROWS_A_CUSTOMER = 4_000
"""A year of eleven activities a day."""
OFTEN, SELDOM = 2, 6
"""Two activities share one half of all rows (questions and answers, say), six the other."""
SLOW_SECONDS = 3.0
"""What takes longer is measured once, the rest twice (the better counts)."""
REPEATED_SECONDS = 10.0
"""A self-join that takes longer isn't repeated at larger sizes."""

Connection = duckdb.DuckDBPyConnection

PICKED = ("activity_id", "ts", "link", "revenue_impact")
RELATED = {
    "before": "and a.ts < c.ts",
    "after": "and a.ts > c.ts",
    "ever": "",
    "between": "and a.ts > c.ts and (c.next_ts is null or a.ts < c.next_ts)",
}
RELATIONSHIPS = (
    *(
        "first_ever",
        "last_ever",
        "nth_ever",
        "first_before",
        "last_before",
        "first_after",
        "last_after",
        "nth_before",
        "nth_after",
    ),
    *(
        "first_in_between",
        "last_in_between",
        "aggregate_before",
        "aggregate_after",
        "aggregate_in_between",
        "aggregate_all_ever",
    ),
)
DEFAULT = (
    *("first_ever", "last_before", "first_after", "first_in_between", "last_in_between"),
    *(
        "aggregate_before",
        "aggregate_after",
        "aggregate_in_between",
        "aggregate_all_ever",
        "dataset",
    ),
)
DATASET = (
    "last_before",
    "first_after",
    "first_ever",
    "last_in_between",
    "aggregate_before",
    "aggregate_in_between",
)

LISTS = ("list_before", "list_after", "list_ever")
"""Aggregates that are lists of links."""
WITHIN = {"within_7_days": 7, "within_90_days": 90}
"""Rolling windows, and their days."""


@dataclass(frozen=True)
class Query:
    """One question, asked twice. `columns` are the output columns, the same in both."""

    name: str
    columns: tuple[str, ...]
    macro: str
    self_join: str


@dataclass(frozen=True)
class Figure:
    """Seconds of the macros' query and of the self-join, which may not have been repeated; whether
    their rows are the same.
    """

    macros: float
    self_join: float | None
    same: bool

    def __str__(self) -> str:
        if self.self_join is None:
            return f"{self.macros:>9.3f}{'not repeated':>13}"
        different = "" if self.same else "  DIFFERENT ROWS"
        return f"{self.macros:>9.3f}{self.self_join:>13.3f}{self.self_join / self.macros:>7.1f}x{different}"


def outputs(relationship: str, index: int) -> tuple[str, ...]:
    names = ("n", "total", "low", "high") if relationship.startswith("aggregate_") else PICKED
    return tuple(f"{name}_{index}" for name in names)


def macro(relationship: str, index: int) -> str:
    if relationship.startswith("aggregate_"):
        given = ("'count'", "'sum', 'revenue_impact'", "'min', 'ts'", "'max', 'ts'")
        columns = [
            f"cdesk.agg({value}, as='{name}')"
            for value, name in zip(given, outputs(relationship, index), strict=True)
        ]
    else:
        columns = [
            f"cdesk.column('{value}', as='{name}')"
            for value, name in zip(PICKED, outputs(relationship, index), strict=True)
        ]
    nth = ", nth=3" if relationship.startswith("nth_") else ""
    return f"cdesk.{relationship}('activity{index}', columns=[{', '.join(columns)}]{nth})"


def cohort_and_appended(indexes: tuple[int, ...]) -> str:
    cohort = "select _activity_id as id, customer, ts, activity_repeated_at as next_ts from events"
    appended = "select _activity_id as activity_id, customer, ts, link, revenue_impact from events"
    return f"c as ({cohort} where activity = 'activity0')" + "".join(
        f", a{i} as ({appended} where activity = 'activity{i}')" for i in indexes
    )


def self_join(relationship: str, index: int, *, ranked: bool = False) -> str:
    """A query of the cohort's columns and the appended ones."""
    kind = relationship.rpartition("_")[2]
    related = f"a{index} as a on a.customer = c.customer {RELATED[kind]}"
    names = outputs(relationship, index)
    if relationship.startswith("aggregate_"):
        values = ("count(a.ts)", "sum(a.revenue_impact)", "min(a.ts)", "max(a.ts)")
        taken = ", ".join(f"{value} as {name}" for value, name in zip(values, names, strict=True))
        return (
            f"select c.id, c.customer, c.ts, {taken} from c left join {related} group by c.id, "
            "c.customer, c.ts"
        )
    taken = ", ".join(f"a.{value} as {name}" for value, name in zip(PICKED, names, strict=True))
    if not relationship.startswith("nth_") and not ranked:
        extreme = "max" if relationship.startswith("last_") else "min"
        instants = (
            f"select c.id, c.customer, {extreme}(a.ts) as ts from c inner join {related} group by "
            "c.id, c.customer"
        )
        ids = (
            f"select g.id, {extreme}(a.activity_id) as activity_id from ({instants}) as g "
            f"inner join a{index} as a on a.customer = g.customer and a.ts = g.ts group by g.id"
        )
        return (
            f"select c.id, c.customer, c.ts, {taken} from c left join ({ids}) as k on c.id = k.id "
            f"left join a{index} as a on a.activity_id = k.activity_id"
        )
    order = "desc" if relationship.startswith("last_") else "asc"
    rank = f"row_number() over (partition by c.id order by a.ts {order}, a.activity_id {order})"
    if ranked:
        return (
            f"select c.id, c.customer, c.ts, {taken} from c left join {related} qualify {rank} = 1"
        )
    return (
        f"select c.id, c.customer, c.ts, {', '.join(f'r.{name}' for name in names)} from c "
        f"left join (select c.id, {taken} from c inner join {related} qualify {rank} = 3) as "
        "r on c.id = r.id"
    )


def listed(name: str, stream: str, cohort: str) -> Query:
    """A list of links in the order of time, where each cohort row's own is as long as a history."""
    relationship = name.replace("list_", "aggregate_").replace(
        "aggregate_ever", "aggregate_all_ever"
    )
    append = f"cdesk.{relationship}('activity1', columns=cdesk.agg('list', 'link', as='links_1'))"
    related = f"a1 as a on a.customer = c.customer {RELATED[name.rpartition('_')[2]]}"
    links = "list(a.link order by a.ts, a.activity_id) filter (where a.link is not null)"
    return Query(
        name,
        ("links_1",),
        f"{{{{ cdesk.dataset({cohort}, {append}, {stream}) }}}}",
        f"with {cohort_and_appended((1,))} select c.id, c.customer, c.ts, {links} as links_1 "
        f"from c left join {related} group by c.id, c.customer, c.ts",
    )


def within(name: str, stream: str, cohort: str) -> Query:
    """The aggregates of the last seven days before each cohort row: a rolling window."""
    append = macro("aggregate_before", 1).removesuffix(")")
    values = ("count(a.ts)", "sum(a.revenue_impact)", "min(a.ts)", "max(a.ts)")
    names = outputs("aggregate_before", 1)
    taken = ", ".join(f"{value} as {out}" for value, out in zip(values, names, strict=True))
    days = WITHIN[name]
    return Query(
        name,
        names,
        f"{{{{ cdesk.dataset({cohort}, {append}, conditions=cdesk.within({days}, 'day')), "
        f"{stream}) }}}}",
        f"with {cohort_and_appended((1,))} select c.id, c.customer, c.ts, {taken} from c "
        f"left join a1 as a on a.customer = c.customer and a.ts < c.ts "
        f"and a.ts >= c.ts - interval {days} day group by c.id, c.customer, c.ts",
    )


def queries(*, ranked: bool = False) -> list[Query]:
    stream = "stream=cdesk.events_stream('events')"
    cohort = (
        "cdesk.activity('activity0', columns=[cdesk.column('activity_id', as='id'), 'customer', "
        "'ts'])"
    )
    found = [
        Query(
            name,
            outputs(name, 1),
            f"{{{{ cdesk.dataset({cohort}, [{macro(name, 1)}], {stream}) }}}}",
            f"with {cohort_and_appended((1,))} {self_join(name, 1, ranked=ranked)}",
        )
        for name in RELATIONSHIPS
    ]
    found += [listed(name, stream, cohort) for name in LISTS]
    found += [within(name, stream, cohort) for name in WITHIN]
    indexes = tuple(range(1, len(DATASET) + 1))
    parts = ", ".join(
        f"q{i} as ({self_join(name, i, ranked=ranked)})"
        for i, name in zip(indexes, DATASET, strict=True)
    )
    joined = "q1 " + " ".join(f"inner join q{i} using (id, customer, ts)" for i in indexes[1:])
    appends = ", ".join(macro(name, i) for i, name in zip(indexes, DATASET, strict=True))
    return [
        *found,
        Query(
            "dataset",
            tuple(
                column
                for i, name in zip(indexes, DATASET, strict=True)
                for column in outputs(name, i)
            ),
            f"{{{{ cdesk.dataset({cohort}, [{appends}], {stream}) }}}}",
            f"with {cohort_and_appended(indexes)}, {parts} select * from {joined}",
        ),
    ]


def render(asked: list[Query], folder: Path) -> dict[str, str]:
    """The SQL of each query's macros, compiled by dbt."""
    from dbt.cli.main import dbtRunner

    models = folder / "models"
    models.mkdir(parents=True)
    for query in asked:
        (models / f"{query.name}.sql").write_text(query.macro, encoding="utf-8")
    macros = Path(os.path.relpath(ROOT / "macros", folder)).as_posix()
    (folder / "dbt_project.yml").write_text(
        f"name: cdesk\nversion: 0.1.0\nprofile: bench\nmacro-paths: [{macros}]\nflags: "
        f"{{send_anonymous_usage_stats: false}}\n",
        encoding="utf-8",
    )
    (folder / "profiles.yml").write_text(
        "bench: {target: duckdb, outputs: {duckdb: {type: duckdb, path: ':memory:'}}}\n",
        encoding="utf-8",
    )
    result = dbtRunner().invoke(
        [
            "compile",
            "--project-dir",
            str(folder),
            "--profiles-dir",
            str(folder),
            "--quiet",
            "--log-level-file",
            "none",
        ]
    )
    if not result.success:
        raise SystemExit(f"bench relationships: the macros do not compile: {result.exception}")
    compiled = folder / "target" / "compiled" / "cdesk" / "models"
    return {
        query.name: (compiled / f"{query.name}.sql").read_text(encoding="utf-8") for query in asked
    }


def generate(path: Path, rows: int, skew: str, rows_a_customer: int) -> tuple[int, int]:
    """The table `events` in a new file, in the order of arrival; its number of customers and the
    rows of the busiest one.

    Customers follow a mild power law (the busiest has less than twice the mean); under heavy skew
    one of them has 1 % of all rows besides. A year by the second, so that instants repeat; revenue
    in quarters, so that sums of it are exact in any order.
    """
    customers = max(rows // rows_a_customer, 1)
    share = 0.01 if skew == "heavy" else 0.0
    path.unlink(missing_ok=True)
    with connect(path) as connection:
        connection.execute("select setseed(0.42)")
        connection.execute(
            f"""
            create table events as
            with drawn as (
                select i, random() as r_customer, random() as r_ts, random() as r_activity, random() as r_revenue
                from range({rows}) as t (i)
            ),
            typed as (
                select
                    case when r_customer < {share} then 0
                    else 1 + floor({customers} * pow((r_customer - {share}) / {1 - share}, 1.1)) end as number,
                    'activity' || cast(case when r_activity < 0.5 then floor(r_activity * {2 * OFTEN})
                    else {OFTEN} + floor((r_activity - 0.5) * {2 * SELDOM}) end as integer) as activity,
                    timestamp '2026-01-01' + to_seconds(cast(floor(r_ts * 86400 * 365) as bigint)) as ts,
                    md5(cast(i as varchar)) as _activity_id,
                    'https://example.com/' || i as link,
                    floor(r_revenue * 400) / 4 as revenue_impact
                from drawn
            )
            select
                activity, 'customer' || cast(number as bigint) || '@example.com' as customer, ts, link, revenue_impact, _activity_id,
                cast(null as varchar) as _anonymous_customer_id,
                lead(ts) over numbered as activity_repeated_at, row_number() over numbered as activity_occurrence
            from typed
            window numbered as (partition by customer, activity order by ts, _activity_id)
            order by ts, _activity_id
            """
        )
        found = connection.execute(
            "select count(*), max(n) from (select count(*) as n from events group by customer)"
        ).fetchone()
    assert found
    return int(found[0]), int(found[1])


def connect(path: Path) -> Connection:
    return duckdb.connect(path, config={"threads": 2, "memory_limit": "2GB"})


def measure(
    connection: Connection, sql: str, columns: tuple[str, ...]
) -> tuple[float, tuple[object, ...]]:
    """Seconds of the processor, and the row count and checksum of the result."""
    best = float("inf")
    answer: tuple[object, ...] | None = None
    for _ in range(2):
        started = time.process_time()
        answer = connection.execute(
            f"select count(*), sum(hash(id, customer, ts, {', '.join(columns)})) from ({sql}) as q"
        ).fetchone()
        best = min(best, time.process_time() - started)
        if best > SLOW_SECONDS:
            break
    assert answer
    return best, answer


def compare(connection: Connection, query: Query, macros: str, *, self_join: bool) -> Figure:
    """Both forms of one question, or the macros' alone."""
    ours, answer = measure(connection, macros, query.columns)
    if not self_join:
        return Figure(ours, None, same=True)
    theirs, expected = measure(connection, query.self_join, query.columns)
    return Figure(ours, theirs, same=answer == expected)


@dataclass(frozen=True)
class Cell:
    """What one question took in one table: ours and, by the package's name, theirs."""

    name: str
    rows: int
    length: int
    skew: str
    ours: packages.Timed
    others: dict[str, packages.Timed]

    @property
    def nearest(self) -> packages.Timed:
        return min(self.others.values(), key=lambda other: other.seconds)

    @property
    def ratio(self) -> float:
        """How many times as long as ours the faster of the packages takes, or at least took."""
        return self.nearest.seconds / self.ours.seconds

    def line(self, names: Iterable[str]) -> str:
        text = f"  {self.name:<22}{self.ours.seconds:>9.3f}"
        for other in map(self.others.get, names):
            text += (
                f"{'-':>16}{'':>9}"
                if other is None
                else f"{'>' if other.ended else '':>7}{other.seconds:>9.3f}"
                f"{other.seconds / self.ours.seconds:>8.1f}x"
            )
        return text


def against_packages(given: argparse.Namespace) -> int:
    """The table of ratios to each package, by length of history and skew."""
    names = given.only or [*RELATIONSHIPS, *LISTS, *WITHIN]
    cells: list[Cell] = []
    with tempfile.TemporaryDirectory() as folder:
        found = packages.find(given.packages)
        asked = [Query(name, (), packages.ours(name), "") for name in names if name != "dataset"]
        own = render(asked, Path(folder) / "ours")
        theirs = {
            package.name: packages.render(package, checkout, names, Path(folder) / package.name)
            for package, checkout in found.items()
        }
        path = Path(folder) / "bench.duckdb"
        for rows in given.rows or [1_000_000]:
            for length in given.rows_a_customer or [50, 400, ROWS_A_CUSTOMER]:
                for skew in given.skew:
                    generate(path, rows, skew, length)
                    print(f"\n{rows:,} rows, {length:,} a customer, {skew} skew")
                    heads = "".join(f"{name + ' s':>16}{'ratio':>9}" for name in theirs)
                    print(f"  {'relationship':<22}{'ours s':>9}{heads}", flush=True)
                    with connect(path) as connection:
                        connection.execute(packages.VIEW)
                        for name in own:
                            told = {k: sql[name] for k, sql in theirs.items() if name in sql}
                            if not told:
                                continue
                            raced = packages.race(connection, own[name], told)
                            cells.append(Cell(name, rows, length, skew, *raced))
                            print(cells[-1].line(theirs), flush=True)
    print_summary(cells)
    return 0


def print_summary(cells: Sequence[Cell]) -> None:
    """The ratios to the faster package as a table in Markdown, and how ours grow with the rows."""
    for rows in sorted({cell.rows for cell in cells}):
        at = {
            (cell.name, f"{cell.length:,}, {cell.skew}"): cell
            for cell in cells
            if cell.rows == rows
        }
        tables = list(dict.fromkeys(table for _, table in at))
        print(f"\n{rows:,} rows, against the faster of the packages\n")
        print(f"| relationship | {' | '.join(tables)} |\n|---{'|---' * len(tables)}|")
        for name in dict.fromkeys(name for name, _ in at):
            row = (at[name, table] for table in tables)
            shown = (f"{'> ' if c.nearest.ended else ''}{c.ratio:.1f}" for c in row)
            print(f"| `{name}` | {' | '.join(shown)} |")
        ratios = [cell.ratio for cell in at.values()]
        print(f"\nleast {min(ratios):.2f}x, median {statistics.median(ratios):.1f}x")
    small, large = min(cell.rows for cell in cells), max(cell.rows for cell in cells)
    if small == large:
        return
    seconds = {(c.name, c.length, c.skew, c.rows): c.ours.seconds for c in cells}
    grown = {
        (name, length, skew): taken / seconds[name, length, skew, small]
        for (name, length, skew, rows), taken in seconds.items()
        if rows == large
    }
    worst = max(grown, key=lambda key: grown[key])
    print(
        f"ours at {large:,} rows as a multiple of that at {small:,}: median "
        f"{statistics.median(grown.values()):.1f}x, most {grown[worst]:.1f}x ({worst[0]}, "
        f"{worst[1]:,} a customer, {worst[2]} skew)"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bench relationships", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[])
    parser.add_argument("--rows-a-customer", type=int, nargs="+", default=[])
    parser.add_argument(
        "--packages", type=Path, nargs="+", help="checkouts of dbt packages to compare with"
    )
    parser.add_argument("--skew", nargs="+", choices=["mild", "heavy"], default=["mild", "heavy"])
    parser.add_argument(
        "--only", nargs="+", choices=[*RELATIONSHIPS, "dataset", *LISTS, *WITHIN], default=()
    )
    parser.add_argument("--all", action="store_true", help="every relationship")
    parser.add_argument("--patient", action="store_true", help="every self-join at every size")
    parser.add_argument(
        "--ranked", action="store_true", help="self-joins that rank instead of grouping"
    )
    given = parser.parse_args()
    if given.packages:
        return against_packages(given)
    asked = [
        query
        for query in queries(ranked=given.ranked)
        if given.all or query.name in (given.only or DEFAULT)
    ]
    sizes = sorted(given.rows or [1_000_000, 5_000_000])
    length = next(iter(given.rows_a_customer), ROWS_A_CUSTOMER)
    streams: list[dict[str, object]] = []
    figures: dict[tuple[str, str, int], Figure] = {}
    slow: set[tuple[str, str]] = set()
    with tempfile.TemporaryDirectory() as folder:
        compiled = render(asked, Path(folder) / "project")
        path = Path(folder) / "bench.duckdb"
        for skew in given.skew:
            for rows in sizes:
                customers, busiest = generate(path, rows, skew, length)
                print(
                    f"\n{rows:,} rows, {skew} skew: {customers:,} customers, the busiest with "
                    f"{busiest:,} rows"
                )
                print(
                    f"  {'relationship':<22}{'macro s':>9}{'self-join s':>13}{'ratio':>8}",
                    flush=True,
                )
                measured: dict[str, dict[str, float | None]] = {}
                with connect(path) as connection:
                    for query in asked:
                        figure = compare(
                            connection,
                            query,
                            compiled[query.name],
                            self_join=(query.name, skew) not in slow,
                        )
                        print(f"  {query.name:<22}{figure}", flush=True)
                        figures[query.name, skew, rows] = figure
                        measured[query.name] = {
                            "seconds": figure.macros,
                            "self_join_seconds": figure.self_join,
                        }
                        if (figure.self_join or 0) > REPEATED_SECONDS and not given.patient:
                            slow.add((query.name, skew))
                streams.append(
                    {
                        "rows": rows,
                        "skew": skew,
                        "customers": customers,
                        "busiest": busiest,
                        "relationships": measured,
                    }
                )
    small, large = min(sizes), max(sizes)
    if small != large:
        print(f"\ncost at {large:,} rows as a multiple of that at {small:,}")
        for query in asked:
            grown = "  ".join(
                f"{skew} {figures[query.name, skew, large].macros / figures[query.name, skew, small].macros:.1f}x"
                for skew in given.skew
            )
            print(f"  {query.name:<22}  {grown}")
    if len(sys.argv) == 1:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({"streams": streams}, indent=1) + "\n", encoding="utf-8")
    wrong = [key for key, figure in figures.items() if not figure.same]
    for name, skew, rows in wrong:
        print(
            f"bench relationships: {name}: different rows ({rows:,} rows, {skew} skew)",
            file=sys.stderr,
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
