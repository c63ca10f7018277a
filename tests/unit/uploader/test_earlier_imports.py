"""Asking the warehouse what was brought in before."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from landing_table import event

from cdesk.contract.records import Record
from cdesk.core.errors import CdeskError, WarehouseNotBuilt, WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.core.identity import Caller
from uploader import earlier_imports as module
from uploader.earlier_imports import (
    EXPORT,
    HISTORIES,
    as_readers_see,
    landed_records,
    told_by_histories,
    waiting_records,
)


@pytest.mark.parametrize("patient", [True, False])
@pytest.mark.parametrize("error", [WarehouseUnavailable("held"), WarehouseNotBuilt("not yet")])
def test_who_can_come_again_does_while_the_warehouse_is_held(
    error: CdeskError, patient: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    template = SimpleNamespace(check_params=lambda _: {}, bind=lambda *_, **__: ())
    catalog = SimpleNamespace(get=lambda: SimpleNamespace(get=lambda _: template))
    found = landed_records(
        cast(Any, SimpleNamespace(run_template=refuse)),
        cast(Any, catalog),
        Caller("ada@example.com"),
        HISTORIES,
        patient=patient,
    )
    if patient and isinstance(error, WarehouseUnavailable):
        with pytest.raises(WarehouseUnavailable):
            list(found)
    else:
        assert list(found) == []


ADA = Caller("ada@example.com")
CATALOG = cast(Any, SimpleNamespace(get=lambda: SimpleNamespace(get=lambda name: name)))


def row(number: int, **payload: Any) -> dict[str, Any]:
    own = {
        **{"activity": "cdesk.tool_called", "source_system": "cowork", "customer": "[email]"},
        **{"id": "shown", "feature_json": {"latency_ms": 3, "input_length": 4, "tool": "Bash"}},
    }
    return {
        "id": f"id{number}",
        "source_file": f"f{number}",
        "payload": json.dumps({**own, **payload}),
    }


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the warehouse answers."""
    found: list[dict[str, Any]] = []

    def each_row(*given: Any, **options: Any) -> Any:
        assert given == ("warehouse", "imported_records", {}, ADA)
        assert options["timeout_seconds"] == 600.0
        assert options["query_tag"].startswith("cdesk_")
        yield from found

    monkeypatch.setattr(module, "each_row", each_row)
    return found


def landed(sources: Any = HISTORIES) -> list[tuple[str, Record]]:
    return list(landed_records(cast(Any, "warehouse"), CATALOG, ADA, sources))


def test_what_has_landed_of_these_sources_comes_as_it_was_written(rows: list[Any]) -> None:
    rows += [row(1), row(2, source_system="claude_export"), row(3, source_system="claude_code")]
    rows += [row(4, activity="cdesk.no_such"), row(5, feature_json=None), row(6, kind="insight")]
    found = landed()
    assert [name for name, _ in found] == ["f1", "f3", "f4", "f5", "f6"]
    first = found[0][1]
    assert (first["id"], first["customer"]) == ("id1", "ada@example.com"), "which are shown masked"
    features = first["feature_json"]
    assert features == {"latency_ms": 3.0, "input_length": 4, "tool": "Bash"}
    assert [type(value) for value in features.values()] == [float, int, str]
    assert type(found[2][1]["feature_json"]["latency_ms"]) is int, "of which nothing is declared"
    assert found[3][1]["feature_json"] is None
    assert [name for name, _ in landed(EXPORT)] == ["f2"]


def test_who_is_not_patient_goes_on_without_the_warehouse() -> None:
    @contextmanager
    def away(*_: object, **__: object) -> Any:
        raise WarehouseUnavailable("held")
        yield

    template = SimpleNamespace(check_params=lambda _: {}, bind=lambda *_, **__: ())
    catalog = SimpleNamespace(get=lambda: SimpleNamespace(get=lambda _: template))
    warehouse = cast(Any, SimpleNamespace(run_template=away))
    assert list(landed_records(warehouse, cast(Any, catalog), ADA, HISTORIES)) == []


def test_what_waits_in_the_queue_comes_with_revisions_behind_events(
    state_home: StateDirectory,
) -> None:
    def line(number: int, system: str = "cowork", **changes: Any) -> bytes:
        id_ = f"019b76da-a800-7000-8000-{number:012d}"
        record = json.loads(event(id=id_)[1]) | {"source_system": system} | changes
        return json.dumps(record).encode() + b"\n"

    revision = json.loads(line(7)) | {
        **{"kind": "revision", "revision": 1, "replaces": "019b76da-a800-7000-8000-000000000001"},
    }
    first = json.dumps(revision).encode() + b"\n" + line(1) + b"{}\n" + line(2, "claude_desktop")
    names = [f"{'a' * 32}-{number:06d}{end}.ndjson" for number, end in ((1, ""), (2, ".open"))]
    (state_home.queue / names[0]).write_bytes(first + line(3))
    (state_home.queue / names[1]).write_bytes(line(4) + line(5)[:40])
    (state_home.queue / f"{'0' * 32}-000001.ndjson").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(state_home.queue / f"{'0' * 32}-000002.ndjson")
    (state_home.queue / "notes.txt").write_bytes(line(6))
    found = list(waiting_records(state_home, HISTORIES))
    assert [(name, record["id"][-1]) for name, record in found] == [
        (names[0], "1"),
        (names[0], "3"),
        (names[1], "4"),
        (names[0], "7"),
    ]


def test_a_file_that_goes_meanwhile_is_passed_by(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = json.dumps(json.loads(event()[1]) | {"source_system": "cowork"}).encode()
    for number in (1, 2):
        (state_home.queue / f"{'a' * 32}-{number:06d}.ndjson").write_bytes(history + b"\n")
    read = Path.read_bytes

    def gone(path: Path) -> bytes:
        if "000001" in path.name:
            raise FileNotFoundError(2, "No such file or directory")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", gone)
    assert len(list(waiting_records(state_home, HISTORIES))) == 1


def test_what_histories_told_has_landed_or_waits(
    rows: list[Any], state_home: StateDirectory
) -> None:
    rows += [row(1), row(2, source_system="claude_export")]
    history = json.dumps(json.loads(event()[1]) | {"source_system": "cowork"}).encode()
    (state_home.queue / f"{'a' * 32}-000001.ndjson").write_bytes(history + b"\n")
    found = list(told_by_histories(state_home, cast(Any, "warehouse"), CATALOG, ADA))
    assert [record["id"] for record in found] == ["id1", json.loads(history)["id"]]


@pytest.mark.parametrize("patient", [True, False])
def test_who_restores_what_was_told_waits_where_it_is_patient(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch, patient: bool
) -> None:
    seen: list[bool] = []

    def landed_records(*_: Any, patient: bool) -> list[Any]:
        seen.append(patient)
        return []

    monkeypatch.setattr(module, "landed_records", landed_records)
    warehouse: Any = None
    list(told_by_histories(state_home, warehouse, CATALOG, ADA, patient=patient))
    list(told_by_histories(state_home, warehouse, CATALOG, ADA))
    assert seen == [patient, False]


def test_readers_see_all_but_what_is_personal_and_whose_it_is() -> None:
    plain: Record = {"customer": "ada", "feature_json": {"length": 3}}
    assert as_readers_see(plain) is plain
    personal: Record = {"customer": "ada@example.com", "feature_json": {"q": "of bob@example.org"}}
    seen = as_readers_see(personal)
    assert seen["customer"] == "ada@example.com"
    assert "bob@example.org" not in seen["feature_json"]["q"]
