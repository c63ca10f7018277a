"""What scripts/prebuilt.py makes, of a first round that has been."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson

from cdesk_app.worker.dbt.prebuilt import ABOUT, PARSED, made_by
from cdesk_app.worker.dbt.project import DbtProject


def make_prebuilt(folder: Path, first_round: Path, project: DbtProject) -> None:
    """Fill `folder` from the state directory `first_round`, which `project` built in UTC."""
    folder.mkdir(parents=True, exist_ok=True)
    target = first_round / "dbt" / "target"
    for path in (
        first_round / "catalog.json",
        first_round / "warehouse.duckdb",
        *(target / name for name in PARSED),
    ):
        shutil.copy(path, folder / path.name)
    about = {"project": project.fingerprint(), "made_by": dict(made_by())}
    (folder / ABOUT).write_bytes(orjson.dumps(about))
