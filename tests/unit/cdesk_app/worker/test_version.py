"""Whether a worker is the one that belongs here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import metadata
from pathlib import Path

import pytest

from cdesk.core.errors import NewerVersion
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk.state.facts import write_status
from cdesk.state.status import BuiltProject
from cdesk_app.worker import version as module
from cdesk_app.worker.version import (
    Upgraded,
    installed_version,
    release,
    require_current,
    require_installed,
    running_version,
)


@pytest.fixture
def state(state_home: StateDirectory) -> Iterator[sqlite3.Connection]:
    with closing(open_state(state_home.state_db)) as state:
        yield state


def test_what_runs_is_what_was_installed_when_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    assert running_version() == metadata.version("cdesk") == installed_version()
    require_installed(running_version())
    require_installed(None)
    with pytest.raises(Upgraded, match=f"^999 is installed, {running_version()} runs$"):
        require_installed("999")

    def version(_: str) -> str:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "version", version)
    assert installed_version() is None, "in the middle of an upgrade"


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("1.2.3", (1, 2, 3)),
        ("1.0.0", (1,)),
        ("0.10.1rc1", (0, 10, 1)),
        ("10.0.1.dev2+abc", (10, 0, 1)),
        ("0.0", ()),
        ("unknown", ()),
        ("v1", ()),
    ],
)
def test_a_version_compares_by_its_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert release(version) == numbers


@pytest.mark.parametrize(
    ("built_by", "is_newer"),
    [(None, False), ("1.2.3", False), ("1.2.3.0", False), ("1.2.2", False), ("1.2.4", True)],
)
def test_tables_of_a_newer_version_are_left_alone(
    state: sqlite3.Connection,
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    built_by: str | None,
    is_newer: bool,
) -> None:
    monkeypatch.setattr(module, "running_version", lambda: "1.2.3")
    write_status(state, BuiltProject(version=built_by), now="-")
    if not is_newer:
        require_current(state, state_home)
        return
    with pytest.raises(NewerVersion) as caught:
        require_current(state, state_home)
    assert str(caught.value) == (
        "the warehouse was built by a newer cdesk (1.2.4; this one is 1.2.3); upgrade this one"
    )


@pytest.mark.parametrize(
    ("catalog", "version"),
    [
        ('{"v": 7}', 7),
        ('{"v": "7"}', 0),
        ('{"v": null}', 0),
        ("{}", 0),
        ("[]", 0),
        ("{", 0),
        (None, 0),
    ],
)
def test_a_catalog_of_another_form_is_of_no_version(
    tmp_path: Path, catalog: str | None, version: int
) -> None:
    path = tmp_path / "catalog.json"
    if catalog is not None:
        path.write_text(catalog, encoding="utf-8")
    assert module._catalog_version(path, 0, 0) == version


def test_a_catalog_and_a_snapshot_of_a_newer_version_are_left_alone(
    state: sqlite3.Connection, state_home: StateDirectory
) -> None:
    require_current(state, state_home)
    assert not state_home.context_db.exists(), "to look makes nothing"
    state_home.catalog.write_text('{"v": 1}', encoding="utf-8")
    require_current(state, state_home)
    state_home.catalog.write_text('{"v": 22}', encoding="utf-8")
    with pytest.raises(NewerVersion, match=r"catalog\.json"):
        require_current(state, state_home)
    state_home.catalog.unlink()
    with closing(sqlite3.connect(state_home.context_db)) as snapshot:
        snapshot.execute("pragma user_version = 99")
    with pytest.raises(NewerVersion, match=r"context\.db"):
        require_current(state, state_home)
    state_home.context_db.write_bytes(b"no database at all, and long enough to be one" * 20)
    require_current(state, state_home)
    state.execute("pragma user_version = 99")
    with pytest.raises(NewerVersion, match=r"state\.db"):
        require_current(state, state_home)
