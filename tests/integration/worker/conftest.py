"""A dbt project of three nodes with the real adapter: what the warm builder does is the same for it
as for the whole one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk_app.worker.dbt.build import Builder
from cdesk_app.worker.dbt.project import DbtProject, dbt_environment, prepare_project

FILES = {
    "dbt_project.yml": """
name: small
version: 1.0.0
config-version: 2
profile: small
flags: {send_anonymous_usage_stats: false}
""",
    "profiles.example.yml": """
small:
  target: duckdb
  outputs:
    duckdb:
      type: duckdb
      path: "{{ env_var('CDESK_HOME') }}/warehouse.duckdb"
      schema: activities
      threads: 2
""",
    "selectors.yml": """
selectors:
  - name: refresh
    definition: {method: fqn, value: "*"}
""",
    "seeds/words.csv": "word\none\ntwo\n",
    "models/numbers.sql": "{{ config(materialized='incremental') }}\nselect {{ \"coalesce((select "
    "max(n) "
    "from "
    '" ~ '
    'this ~ "), 0)" '
    "if is_incremental() else 0 }} + 1 as n, '{{ invocation_id }}' as invocation\n",
    "models/total.sql": "{{ config(materialized='table') }}\nselect count(*) as rows from {{ "
    "ref('numbers') }}\n",
    "models/tests.yml": """
models:
  - name: numbers
    columns: [{name: n, data_tests: [not_null]}]
  - name: total
    columns: [{name: rows, data_tests: [not_null]}]
""",
}


@pytest.fixture(scope="session")
def small_files() -> dict[str, str]:
    return FILES


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> StateDirectory:
    return StateDirectory(tmp_path_factory.mktemp("home")).ensure()


@pytest.fixture(scope="module")
def project(home: StateDirectory, tmp_path_factory: pytest.TempPathFactory) -> DbtProject:
    folder = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    settings = Settings(home=home.root, customer="ada@example.com")
    return prepare_project(folder, folder / "profiles.example.yml", settings, home)


@pytest.fixture(scope="module")
def builder(project: DbtProject) -> Iterator[Builder]:
    builder = Builder(project, dbt_environment(os.environ), lock_wait_seconds=2.0)
    yield builder
    builder.close()
