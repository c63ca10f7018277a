"""When a stored result goes: once the warehouse says that it has expired and that no legal hold
keeps it (template `expired_artifacts`). What the warehouse does not know, or cannot be asked about,
stays, whatever state.db says or has lost.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cdesk.artifacts.records import Artifact, get_artifact, is_held, keep_artifact
from cdesk.artifacts.store import ArtifactStore
from cdesk.contract.catalog import MAX_STRING, Template
from cdesk.core.identity import Caller
from cdesk.query.executor import TIMEOUT_SECONDS
from cdesk.query.internal import read_rows
from cdesk.query.provenance import Provenance
from cdesk.warehouse.protocol import Warehouse

TEMPLATE: Final = "expired_artifacts"


def sweep_artifacts(
    state: sqlite3.Connection,
    store: ArtifactStore,
    warehouse: Warehouse,
    template: Template,
    caller: Caller,
    *,
    query_tag: str,
) -> int:
    """Remove the results that have expired, and temporary files that nobody writes to any more;
    how many files.

    A hold that this directory knows of counts even before it has landed.

    Raises:
        WarehouseError: the warehouse could not be asked; what was not asked about stays.
    """
    removed = store.remove_abandoned()
    longest = next(one.max_length for one in template.parameters if one.name == "uris")
    for ids in _batches(store.artifact_ids(), longest or MAX_STRING):
        for uri in _expired(warehouse, template, caller, list(ids), query_tag):
            if uri not in ids or is_held(state, uri):
                continue
            removed += store.remove(uri)
            if not store.exists(uri):  # one that is held open (Windows) waits for the next sweep
                state.execute("delete from artifacts where artifact_id = ?", (ids[uri],))
    return removed


def _batches(stored: Iterable[tuple[str, str]], longest: int) -> Iterator[dict[str, str]]:
    """The results by URI, so many at once as one question has room for."""
    ids: dict[str, str] = {}
    length = 1
    for artifact_id, uri in stored:
        if ids and length + len(uri) + 1 > longest:
            yield ids
            ids, length = {}, 1
        ids[uri] = artifact_id
        length += len(uri) + 1
    if ids:
        yield ids


def _expired(
    warehouse: Warehouse, template: Template, caller: Caller, uris: Sequence[str], query_tag: str
) -> list[str]:
    found = read_rows(
        warehouse,
        template,
        {"uris": f",{','.join(uris)},"},
        caller,
        query_tag=query_tag,
        timeout_seconds=TIMEOUT_SECONDS,
    )
    return [str(next(iter(row.values()))) for row in found.rows]


def hold_artifact(
    state: sqlite3.Connection,
    store: ArtifactStore,
    provenance: Provenance,
    artifact_id: str,
    *,
    customer: str,
    on: bool,
) -> Artifact:
    """Put a stored result under legal hold (it outlives its retention date), or free it: here at
    once, with the store (a lifecycle rule of a bucket asks nobody), and on record, so that it
    counts wherever its retention is decided.

    Raises:
        NotFound: there is none of that id for this customer.
        ArtifactStoreError: the store does not take it, and nothing has changed.
        QueueWriteError: it could not be put on record; the store was told.
    """
    artifact = dataclasses.replace(
        get_artifact(state, artifact_id, customer=customer), legal_hold=on
    )
    store.hold(artifact.uri, on=on)
    provenance.held(artifact)
    keep_artifact(state, artifact)
    return artifact
