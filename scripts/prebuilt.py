"""Makes what a wheel brings so that a first round takes seconds (cdesk_app/worker/dbt/prebuilt.py):
runs one round on an empty directory and keeps what it left. Run it before `pip wheel .`; nothing of
it is committed.

    python scripts/prebuilt.py
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import duckdb
import orjson

from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk_app.worker.dbt.prebuilt import ABOUT, CATALOG, FOLDER, PARSED, WAREHOUSE, made_by
from cdesk_app.worker.dbt.project import locate_project
from cdesk_app.worker.main import run_once


def make(folder: Path) -> None:
    """Fill `folder` anew."""
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="cdesk-prebuilt-") as root:
        home = StateDirectory(Path(root)).ensure()
        settings = Settings(
            home=home.root, customer="nobody", worker="off", environ=dict(os.environ)
        )
        run_once(settings)
        with duckdb.connect(str(home.warehouse)) as connection:
            for table in ("landing", "events", "context_cache"):
                rows = connection.execute(f"select count(*) from activities.{table}").fetchone()
                if rows != (0,):
                    raise SystemExit(f"{table} of an empty directory holds {rows} rows")
        project = locate_project(settings, home)
        folder.mkdir(parents=True)
        for path in (home.catalog, home.warehouse, *(project.target_dir / n for n in PARSED)):
            shutil.copyfile(path, folder / path.name)
        assert {CATALOG, WAREHOUSE, *PARSED} == {path.name for path in folder.iterdir()}
        about = {"project": project.fingerprint(), "made_by": dict(made_by())}
        (folder / ABOUT).write_bytes(orjson.dumps(about))


def main() -> int:
    make(FOLDER)
    sizes = ", ".join(f"{path.name} {path.stat().st_size:,}" for path in FOLDER.iterdir())
    print(f"{FOLDER.name}: {sizes}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
