"""`cdesk artifact`: every stored row of a result, its hold, and what is told where it is gone."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import runner
from query_desk import CUSTOMER, answer, desk

from cdesk.artifacts.records import Artifact
from cdesk_app.cli.artifact import _sampling_note

if TYPE_CHECKING:
    from query_desk import Desk

__all__ = ["desk"]


@pytest.fixture
def cdesk(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    monkeypatch.setenv("CDESK_HOME", str(desk.home.root))
    monkeypatch.setenv("CDESK_CUSTOMER", CUSTOMER)

    return runner(capfd, "artifact")


@pytest.fixture
def result(desk: Desk) -> dict[str, Any]:
    return answer(desk, "numbers", {"rows": 12})


def test_all_of_it_is_printed_in_each_form(
    cdesk: Callable[..., str], result: dict[str, Any], tmp_path: Path
) -> None:
    id = result["artifact"]["artifact_id"]
    rows = list(csv.reader(io.StringIO(cdesk(id))))
    assert rows[0] == ["n", "label", "who"]
    assert rows[12] == ["11", "row 11", CUSTOMER]
    assert len(rows) == 13
    document = json.loads(cdesk(id, "--json"))
    assert len(document["rows"]) == 12
    assert {
        name: document[name]
        for name in ("artifact_id", "query_hash", "stored_rows", "sampled", "sampling_note")
    } == {
        "artifact_id": id,
        "query_hash": result["query_hash"],
        "stored_rows": 12,
        "sampled": False,
        "sampling_note": None,
    }
    assert [column["name"] for column in document["columns"]] == ["n", "label", "who"]
    assert document["created_at"] < document["expires_at"]
    path = tmp_path / "r.csv"
    assert cdesk(id, "--out", str(path)).startswith(f"{path}: 12 rows, ")


def test_what_a_spreadsheet_would_run_is_raw_on_demand_alone(
    cdesk: Callable[..., str], desk: Desk
) -> None:
    id = answer(desk, "echo", {"text": "=1+1"})["artifact"]["artifact_id"]
    assert cdesk(id).splitlines()[1] == "'=1+1"
    assert cdesk(id, "--raw").splitlines()[1] == "=1+1"


def test_what_is_on_hold_outlives_its_retention(
    cdesk: Callable[..., str], desk: Desk, result: dict[str, Any]
) -> None:
    id = result["artifact"]["artifact_id"]
    desk.state.execute("update artifacts set expires_at = '2020-01-01T00:00:00.000000Z'")
    assert (
        f"artifact {id} was kept until 2020-01-01T00:00:00.000000Z; run its query again"
        in cdesk(id, code=1)
    )
    assert cdesk(id, "--hold", "on") == f"artifact {id} is on hold\n"
    assert len(cdesk(id).splitlines()) == 13
    assert cdesk(id, "--hold", "off").startswith(f"artifact {id} is kept until ")
    cdesk("no-such-id", "--hold", "on", code=1)
    records = [one for one in desk.records("artifact") if id in str(one)]
    assert [one.get("legal_hold") for one in records] == [False, True, False], records


def test_a_file_that_is_gone_and_anothers_result_are_not_found(
    cdesk: Callable[..., str],
    desk: Desk,
    result: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    id = result["artifact"]["artifact_id"]
    away = desk.home.artifacts.rename(desk.home.root / "away")
    assert f"the file of artifact {id} is gone from {desk.home.artifacts}; run its query " in (
        cdesk(id, code=1)
    )
    shutil.rmtree(desk.home.artifacts, ignore_errors=True)
    away.rename(desk.home.artifacts)
    assert cdesk(id)
    monkeypatch.setenv("CDESK_CUSTOMER", "bob@example.com")
    assert "is gone" not in cdesk(id, code=1)


def test_a_sample_whose_file_does_not_say_of_how_many_says_what_it_can(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"n": [1]}), path)
    stored = Artifact(
        *("id", "ada", "uri", "parquet", "0" * 16),
        rows=1_200,
        bytes=1,
        sampled=True,
        created_at="2026-01-31",
        expires_at="2026-01-31",
    )
    assert _sampling_note(path, stored) == "a sample of 1,200 rows"
    assert _sampling_note(path, replace(stored, sampled=False)) is None
