"""`cdesk artifact`: the whole stored result that an answer links to."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal

from cdesk.core.errors import NotFound
from cdesk_app.cli.output import size
from cdesk_app.cli.query import WHOLE, add_output_arguments, chosen_format, target
from cdesk_app.cli.settings import settings_and_home

if TYPE_CHECKING:
    from cdesk.artifacts.records import Artifact

EXAMPLE = "cdesk artifact 0190a5f0-0000-7000-8000-000000000000 --out result.csv"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the artifact_id that a result carries")
    add_output_arguments(parser, WHOLE, "json, csv (the default) or parquet, as it is stored")


def run(args: Namespace) -> int:
    from cdesk.artifacts.formats import export, parquet_columns
    from cdesk.artifacts.local import LocalArtifacts
    from cdesk.artifacts.records import get_artifact
    from cdesk.core.clock import format_ts
    from cdesk.core.identity import local_caller
    from cdesk.state.database import open_state

    settings, home = settings_and_home()
    chosen: Literal["json", "csv", "parquet"] = chosen_format(args, "csv")
    store = LocalArtifacts(home.artifacts)
    with closing(open_state(home.state_db)) as state:
        artifact = get_artifact(state, args.id, customer=local_caller(settings).customer)
        sampling_note = _sampling_note(state, artifact)
    if artifact.expires_at <= format_ts(time.time_ns()) and not artifact.legal_hold:
        raise NotFound(
            f"artifact {artifact.artifact_id} was kept until {artifact.expires_at}; run its query again"
        )
    if not store.exists(artifact.uri):
        raise NotFound(
            f"the file of artifact {artifact.artifact_id} is gone from {home.artifacts}; run its query again with --fresh"
        )
    path = store.path(artifact.uri)
    about = {
        "columns": parquet_columns(path),
        "artifact_id": artifact.artifact_id,
        "query_hash": artifact.query_hash,
        "stored_rows": artifact.rows,
        "sampled": artifact.sampled,
        "sampling_note": sampling_note,
        "created_at": artifact.created_at,
        "expires_at": artifact.expires_at,
    }
    with target(args.out) as out:
        export(path, out, chosen, result=about)
    if sampling_note:
        print(f"cdesk: {sampling_note}", file=sys.stderr)
    if args.out is not None:
        print(f"{args.out}: {artifact.rows:,} rows, {size(args.out.stat().st_size)}")
    return 0


def _sampling_note(state: Any, artifact: Artifact) -> str | None:
    """What says n of m where a sample was stored; without m where the answer itself is forgotten."""
    if not artifact.sampled:
        return None
    row = state.execute(
        "select json_extract(result, '$.sampling_note') from query_runs where customer = ? and query_hash = ? "
        "and json_extract(result, '$.artifact.artifact_id') = ?",
        (artifact.customer, artifact.query_hash, artifact.artifact_id),
    ).fetchone()
    return str(row[0]) if row and row[0] else f"a sample of {artifact.rows:,} rows"
