"""Stored results in the state directory: whole or not at all, and nothing else touched."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.records import Artifact, get_artifact, keep_artifact
from cdesk.artifacts.retention import sweep_artifacts
from cdesk.core.errors import NotFound
from cdesk.state.database import open_state

NOW = "2026-01-31T12:00:00.000000Z"
LATER = "2026-01-31T13:00:00.000000Z"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_state(tmp_path / "state.db")) as connection:
        yield connection


def artifact(store: LocalArtifacts, artifact_id: str, customer: str = "ada") -> Artifact:
    return Artifact(
        artifact_id,
        customer,
        store.uri(customer, artifact_id),
        "parquet",
        "0" * 16,
        1,
        4,
        False,
        NOW,
        LATER,
    )


ID = "0190a5f0-0000-7000-8000-000000000000"


def test_a_result_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    uri = store.uri("ada", ID)
    with pytest.raises(RuntimeError), store.write(uri) as path:  # noqa: PT012
        path.write_bytes(b"half")
        raise RuntimeError
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    with store.write(uri) as path:
        assert not store.exists(uri)
        path.write_bytes(b"whole")
    assert store.path(uri).read_bytes() == b"whole"


@pytest.mark.parametrize(
    "uri",
    [
        f"cdesk://artifacts/../../{ID}.parquet",
        f"cdesk://artifacts/{'0' * 16}/../{ID}.parquet",
        f"cdesk://artifacts/{'0' * 16}/{ID}.parquet\n",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_uri_never_leads_out_of_the_store(tmp_path: Path, uri: str) -> None:
    with pytest.raises(NotFound):
        LocalArtifacts(tmp_path).path(uri)


def test_a_stored_result_is_its_customers_alone(tmp_path: Path, state: sqlite3.Connection) -> None:
    kept = artifact(LocalArtifacts(tmp_path), ID)
    keep_artifact(state, kept)
    assert get_artifact(state, ID, customer="ada") == kept
    with pytest.raises(NotFound):
        get_artifact(state, ID, customer="bob")
    assert "ada" not in kept.uri


def test_the_sweep_takes_what_has_expired(tmp_path: Path, state: sqlite3.Connection) -> None:
    store = LocalArtifacts(tmp_path / "artifacts")
    kept = artifact(store, ID)
    with store.write(kept.uri) as path:
        path.write_bytes(b"x")
    keep_artifact(state, kept)
    assert sweep_artifacts(state, store, now=NOW) == 0
    assert store.exists(kept.uri)
    assert sweep_artifacts(state, store, now=LATER) == 1
    assert not store.exists(kept.uri)
