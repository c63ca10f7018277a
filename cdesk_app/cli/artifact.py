"""`cdesk artifact`: every stored row of the result that an answer links to."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cdesk.core.errors import NotFound
from cdesk_app.cli.query import (
    EXPORTS,
    add_output_arguments,
    chosen_format,
    target,
    tell_export,
)
from cdesk_app.cli.settings import settings_and_home

if TYPE_CHECKING:
    from cdesk.artifacts.records import Artifact
    from cdesk.artifacts.store import ArtifactStore
    from cdesk.core.config import Settings
    from cdesk.core.home import StateDirectory

EXAMPLE = "cdesk artifact 0190a5f0-0000-7000-8000-000000000000 --out result.csv"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the artifact_id that a result carries")
    add_output_arguments(parser, EXPORTS, "json, csv (the default) or parquet, as it is stored")
    parser.add_argument(
        "--hold",
        choices=("on", "off"),
        help="put it under legal hold, so that it outlives its retention, or free it; nothing is "
        "printed of it",
    )


def run(args: Namespace) -> int:
    from cdesk.artifacts.factory import open_artifacts
    from cdesk.artifacts.formats import export, parquet_columns
    from cdesk.artifacts.records import get_artifact
    from cdesk.core.clock import format_ts
    from cdesk.core.identity import local_caller
    from cdesk.state.database import open_state

    settings, home = settings_and_home()
    chosen: Literal["json", "csv", "parquet"] = chosen_format(args, "csv")
    store = open_artifacts(settings, home)
    if args.hold is not None:
        return _hold(settings, home, store, args.id, on=args.hold == "on")
    with closing(open_state(home.state_db)) as state:
        artifact = get_artifact(state, args.id, customer=local_caller(settings).customer)
    if artifact.expires_at <= format_ts(time.time_ns()) and not artifact.legal_hold:
        raise NotFound(
            f"artifact {artifact.artifact_id} was kept until {artifact.expires_at}; "
            "run its query again"
        )
    if not store.exists(artifact.uri):
        raise NotFound(
            f"the file of artifact {artifact.artifact_id} is gone from {home.artifacts}; "
            "run its query again with --fresh"
        )
    path = store.path(artifact.uri)
    note = _sampling_note(path, artifact)
    about = {
        "columns": parquet_columns(path),
        "artifact_id": artifact.artifact_id,
        "query_hash": artifact.query_hash,
        "stored_rows": artifact.rows,
        "sampled": artifact.sampled,
        "sampling_note": note,
        "created_at": artifact.created_at,
        "expires_at": artifact.expires_at,
    }
    with target(args.out) as out:
        rows = export(path, out, chosen, result=about, raw=args.raw)
    tell_export(args.out, rows, note)
    return 0


def _hold(
    settings: Settings, home: StateDirectory, store: ArtifactStore, id: str, *, on: bool
) -> int:
    from cdesk.core.identity import local_caller
    from cdesk.query.provenance import Provenance
    from cdesk.query.retention import hold_artifact
    from cdesk.queue.writer import QueueWriter
    from cdesk.state.database import open_state

    writer = QueueWriter(home.queue, durability=settings.durability)
    try:
        with closing(open_state(home.state_db)) as state:
            artifact = hold_artifact(
                state,
                store,
                Provenance(writer, time.time_ns),
                id,
                customer=local_caller(settings).customer,
                on=on,
            )
    finally:
        writer.close()
    until = "is on hold" if on else f"is kept until {artifact.expires_at}"
    print(f"artifact {artifact.artifact_id} {until}")
    return 0


def _sampling_note(path: Path, artifact: Artifact) -> str | None:
    """What says n of m where a sample was stored; without m where its file does not."""
    from cdesk.artifacts.formats import sampling_note

    if not artifact.sampled:
        return None
    return sampling_note(path) or f"a sample of {artifact.rows:,} rows"
