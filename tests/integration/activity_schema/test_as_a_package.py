"""Another dbt project depends on this one and relates the activities of its own stream.

It holds what docs/relationships.md tells a newcomer to write, and is built whole: nothing is
selected, nothing of ours is switched off.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]

PROJECT = """
name: shop
version: 0.1.0
profile: shop
flags: {send_anonymous_usage_stats: false}
"""
STREAM = """
select * from (
    values
    ('1', timestamp '2026-01-01 09:00', 7, 'visited', json('{"page": "home"}'), null),
    ('2', timestamp '2026-01-01 10:00', 7, 'bought', json('{"items": 2}'), 5.5),
    ('3', timestamp '2026-01-02 09:00', 7, 'visited', json('{"page": "sale"}'), null),
    ('1', timestamp '2026-01-02 10:00', 8, 'bought', json('{"items": 1}'), 1.0)
) as t (activity_id, ts, customer, activity, feature_json, revenue_impact)
"""
VISITS = """
{{ cdesk.dataset(
    cohort=cdesk.activity('visited', columns=['activity_id', cdesk.feature('page', as='page')]),
    appends=[
        cdesk.first_in_between('bought', columns=['activity_id', cdesk.feature('items', 'integer')]),
        cdesk.aggregate_before('bought', columns=[
            cdesk.agg('count', as='purchases'), cdesk.agg('sum', 'revenue_impact', as='spent'),
        ]),
    ],
) }}
"""
ANONYMOUS = """
select
    event_id,
    timestamp '2026-01-01' + to_seconds(nullif(event_id, 9)) as happened_at,
    customer,
    cookie,
    name,
    'store-' || event_id as store
from (
    values (1, null, 'c', 'visited'), (2, 'ada', 'c', 'login'), (1, 'bob', 'd', 'login'),
    (9, null, 'c', 'login')
) as t (event_id, customer, cookie, name)
"""
COLUMNS = """
  cdesk:
    cdesk__activity_schema_stream: our_stream
    cdesk__activity_schema_columns:
      activity_id: event_id
      ts: happened_at
      activity: name
      anonymous_customer_id: cookie
      feature_json: null
      link: null
      revenue_impact: null
      store: {column: store, type: string}
    cdesk__activity_schema_stitch: true
    cdesk__activity_schema_activities:
      visited: {description: Somebody opened a page.}
      login:
        model: logins
        columns: {activity_id: number, ts: at_time, customer: who}
        features: {device: string, tries: integer}
"""


def snippet(name: str) -> str:
    """What docs/relationships.md gives for a file of the other project."""
    page = (ROOT / "docs" / "relationships.md").read_text(encoding="utf-8")
    found = re.search(rf"```\w+\n(?:#|--) {re.escape(name)}\n(.*?)```", page, re.DOTALL)
    assert found, f"docs/relationships.md has no snippet for {name}"
    return found[1]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    project = tmp_path / "shop"
    (project / "models").mkdir(parents=True)
    packages = yaml.safe_load(snippet("packages.yml"))
    assert [sorted(package) for package in packages["packages"]] == [["git", "revision"]]
    path = Path(os.path.relpath(ROOT, project)).as_posix()
    files = {
        "dbt_project.yml": PROJECT + snippet("dbt_project.yml"),
        # The repository as it stands here, in place of the one on the server.
        "packages.yml": f"packages:\n  - local: {path}\n",
        "profiles.yml": "shop: {target: here, outputs: {here: {type: duckdb, path: shop.duckdb, schema: main}}}\n",
        "models/our_stream.sql": STREAM,
        # Names that models of ours have, too.
        "models/events.sql": "select 1 as one",
        "models/stitched_stream.sql": "select 1 as one",
        "models/visits.sql": VISITS,
        "models/first_purchases.sql": snippet("models/first_purchases.sql"),
        "models/first_purchases.yml": snippet("models/first_purchases.yml"),
    }
    for name, text in files.items():
        (project / name).write_text(text, encoding="utf-8")
    return project


COMMANDS = """
import contextlib, io, json, sys
from dbt.cli.main import dbtRunner
for line in sys.stdin:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        ended = dbtRunner().invoke(json.loads(line))
    print(json.dumps([ended.success, said.getvalue()]), flush=True)
"""
SPARED = """
from cdesk_app.worker.dbt import economy
economy.save()
"""
"""Before it: what our worker spares dbt. Without it dbt is as that project's owner has it."""


class Dbt:
    """dbt in a process of its own, as that project's owner would run it: one for all commands,
    which holds the warehouse's file until it ends.
    """

    def __init__(self, project: Path, code: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code],
            cwd=project,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )

    def __call__(self, *arguments: str) -> tuple[bool, str]:
        """Whether it succeeded, and what it printed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        unread = ("--no-write-json", "--log-level-file", "none")
        self._process.stdin.write(json.dumps([*arguments, "--profiles-dir", ".", *unread]) + "\n")
        self._process.stdin.flush()
        ok, said = json.loads(self._process.stdout.readline())
        return ok, said

    def succeed(self, *arguments: str) -> None:
        ok, said = self(*arguments)
        assert ok, said
        assert "may lead to unexpected cycles" not in said

    def end(self) -> None:
        self._process.communicate(timeout=60)


@contextmanager
def dbt(project: Path, code: str = COMMANDS) -> Iterator[Dbt]:
    running = Dbt(project, code)
    try:
        yield running
    finally:
        running.end()


def relations(project: Path) -> list[str]:
    with duckdb.connect(str(project / "shop.duckdb"), read_only=True) as connection:
        found = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables order by 1"
        )
        return [name for (name,) in found.fetchall()]


def rows(project: Path, sql: str) -> list[tuple[str, ...]]:
    with duckdb.connect(str(project / "shop.duckdb"), read_only=True) as connection:
        return [tuple(map(str, row)) for row in connection.execute(sql).fetchall()]


def test_a_newcomer_builds_everything_and_gets_nothing_but_the_own_models(shop: Path) -> None:
    """The stream has whole numbers for customers, and no anonymous_customer_id or link."""
    with dbt(shop) as own:
        own.succeed("deps")
        own.succeed("build")
        (shop / "models" / "visits.sql").write_text(
            "{{ cdesk.dataset('visited', [cdesk.first_aftre('bought', cdesk.whitin(7, 'day'))]) }}",
            encoding="utf-8",
        )
        ok, said = own("compile", "--select", "visits")
    assert relations(shop) == [
        *("main.events", "main.first_purchases", "main.our_stream"),
        *("main.stitched_stream", "main.visits"),
    ]
    assert rows(shop, "select * from visits order by activity_id") == [
        ("1", "home", "2", "2", "0", "None"),
        ("3", "sale", "None", "None", "1", "5.5"),
    ]

    assert not ok
    assert "in model visits" in said
    assert "cdesk.first_aftre, cdesk.whitin, which does not exist" in said
    assert "first_after, " in said


def test_vars_under_the_packages_name_rename_columns_and_stitch_the_stream(shop: Path) -> None:
    (shop / "dbt_project.yml").write_text(PROJECT + "vars:" + COLUMNS, encoding="utf-8")
    (shop / "models" / "our_stream.sql").write_text(ANONYMOUS, encoding="utf-8")
    (shop / "models" / "visits.sql").write_text(
        "{{ cdesk.dataset(cdesk.activity('visited', columns=['activity_id', 'store']), "
        "[cdesk.first_after('login', columns=['activity_id'])], stream=cdesk.stitched_stream()) }}",
        encoding="utf-8",
    )
    models = {
        "logins": "select 1 as number, timestamp '2026-01-01' as at_time, 7 as who, "
        "'phone' as device, 2 as tries",
        "numbered": "{{ config(materialized='incremental', unique_key=['activity', 'activity_id']) }}"
        "{{ cdesk.numbered_stream() }}",
        "typed": "{{ cdesk.activity_rows('login', cdesk.stream(ref('numbered'), "
        "{'activity_occurrence': 'activity_occurrence'})) }}",
    }
    for name, text in models.items():
        (shop / "models" / f"{name}.sql").write_text(text, encoding="utf-8")
    (shop / "models" / "first_purchases.yml").unlink()
    (shop / "models" / "first_purchases.sql").unlink()
    with dbt(shop, SPARED + COMMANDS) as own:
        own.succeed("deps")
        own.succeed("build")
        (shop / "models" / "visits.sql").write_text(
            "{{ cdesk.dataset('visited', [cdesk.first_after('logni')]) }}", encoding="utf-8"
        )
        ok, said = own("compile", "--select", "visits")
    assert "main.cdesk_stitched_stream" in relations(shop)
    assert rows(shop, "select * from cdesk_stitched_stream order by activity, activity_id") == [
        ("1", "2026-01-01 00:00:01", "bob", "login", "d", "store-1"),
        ("2", "2026-01-01 00:00:02", "ada", "login", "c", "store-2"),
        ("9", "None", "None", "login", "c", "store-9"),
        ("1", "2026-01-01 00:00:01", "ada", "visited", "c", "store-1"),
    ]
    assert rows(shop, "select * from visits") == [("1", "store-1", "2")]
    assert rows(shop, "select customer, device, tries + 1, activity_occurrence from typed") == [
        ("7", "phone", "3", "1")
    ]

    assert not ok
    assert "'logni'; allowed: visited, login" in said
