"""Another dbt project depends on this one by a local path and relates the activities of its own
stream.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[3]

PROJECT = """
name: shop
version: 0.1.0
profile: shop
flags: {send_anonymous_usage_stats: false}
vars:
  cdesk__activity_schema_stream: shop_stream
  cdesk__activity_schema_columns: {activity_id: event_id, ts: happened_at, link: null, store: {column: store_number, type: integer}}
  cdesk__activity_schema_activities: [visited, bought]
models:
  cdesk: {+enabled: false}
seeds:
  cdesk: {+enabled: false}
data_tests:
  cdesk: {+enabled: false}
"""
STREAM = """
select * from (
    values
    ('1', timestamp '2026-01-01 09:00', 'ada', null, 'visited', json('{"page": "home"}'), null, 1),
    ('2', timestamp '2026-01-01 10:00', 'ada', null, 'bought', json('{"items": 2}'), 5.5, 2),
    ('3', timestamp '2026-01-02 09:00', 'ada', null, 'visited', json('{"page": "sale"}'), null, 1),
    ('4', timestamp '2026-01-02 09:00', null, 'cookie-1', 'visited', json('{"page": "home"}'), null, 1),
    ('5', timestamp '2026-01-02 09:30', null, 'cookie-1', 'bought', json('{"items": 1}'), 1.0, 3)
) as t (event_id, happened_at, customer, anonymous_customer_id, activity, feature_json, revenue_impact, store_number)
"""
VISITS = """
{{ cdesk.dataset(
    cohort=cdesk.activity('visited', columns=['activity_id', cdesk.feature('page', as='page')]),
    appends=[
        cdesk.first_in_between('bought', columns=['activity_id', cdesk.feature('items', 'integer'), 'store']),
        cdesk.aggregate_before('bought', columns=[cdesk.agg('count', as='purchases'), cdesk.agg('sum', 'revenue_impact', as='spent')]),
    ],
) }}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    project = tmp_path / "shop"
    (project / "models").mkdir(parents=True)
    path = Path(os.path.relpath(ROOT, project)).as_posix()
    files = {
        "dbt_project.yml": PROJECT,
        "packages.yml": f"packages:\n  - local: {path}\n",
        "profiles.yml": "shop: {target: here, outputs: {here: {type: duckdb, path: shop.duckdb, schema: main}}}\n",
        "models/shop_stream.sql": STREAM,
        "models/visits.sql": VISITS,
    }
    for name, text in files.items():
        (project / name).write_text(text, encoding="utf-8")
    return project


def dbt(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """dbt in a process of its own, as that project's owner would run it."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        "from dbt.cli.main import cli; cli()",
        *arguments,
    ]
    return subprocess.run(
        [*command, "--profiles-dir", "."],
        cwd=project,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )


def test_another_project_uses_the_macros_on_its_own_stream(shop: Path) -> None:
    deps = dbt(shop, "deps")
    assert deps.returncode == 0, deps.stdout + deps.stderr
    built = dbt(shop, "build", "--select", "shop")
    assert built.returncode == 0, built.stdout + built.stderr
    with duckdb.connect(str(shop / "shop.duckdb"), read_only=True) as connection:
        rows = connection.execute("select * from visits order by activity_id").fetchall()
    assert [tuple(map(str, row)) for row in rows] == [
        ("1", "home", "2", "2", "2", "0", "None"),
        ("3", "sale", "None", "None", "None", "1", "5.5"),
        ("4", "home", "5", "1", "3", "0", "None"),
    ]

    (shop / "models" / "visits.sql").write_text(
        "{{ cdesk.dataset('visited', [cdesk.first_after('bougth')]) }}", encoding="utf-8"
    )
    refused = dbt(shop, "compile", "--select", "visits")
    assert refused.returncode != 0
    assert "in model visits" in refused.stdout
    assert "'bougth' (did you mean 'bought'?)" in refused.stdout
