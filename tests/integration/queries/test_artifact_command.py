"""`cdesk artifact`: the whole result behind an answer, for its owner, as long as it is kept."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from cdesk.artifacts.local import LocalArtifacts
from cdesk.state.database import open_state
from cdesk_app.cli.main import main
from tests.integration.queries.conftest import BOB

if TYPE_CHECKING:
    from tests.integration.queries.conftest import Built

PARAMS = {"hours_back": 720, "limit": 1000}


@pytest.fixture
def here(built: Built, monkeypatch: pytest.MonkeyPatch) -> Built:
    monkeypatch.setenv("CDESK_HOME", str(built.home.root))
    monkeypatch.setenv("CDESK_CUSTOMER", built.settings.customer)
    return built


def test_every_form_holds_the_whole_result(
    here: Built, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    result = here.query("recent_activities", PARAMS)
    id, count = result["artifact"]["artifact_id"], result["row_count"]
    assert count > 10
    assert result["artifact"]["open_with"] == f"cdesk artifact {id} --out result.csv"
    assert main(["artifact", id]) == 0
    rows = list(csv.reader(io.StringIO(capsysbinary.readouterr().out.decode())))
    assert len(rows) == count + 1
    assert rows[0] == [column["name"] for column in result["columns"]]
    assert main(["artifact", id, "--json"]) == 0
    document = json.loads(capsysbinary.readouterr().out)
    assert document["columns"] == result["columns"]
    assert document["rows"][:10] == result["rows"]
    assert (len(document["rows"]), document["query_hash"]) == (count, result["query_hash"])
    assert main(["artifact", id, "--out", str(tmp_path / "r.parquet")]) == 0
    assert pq.read_table(tmp_path / "r.parquet").num_rows == count


def test_a_sample_says_so(here: Built, capsys: pytest.CaptureFixture[str]) -> None:
    result = here.query("recent_activities", PARAMS, byte_cap=4096)
    assert result["sampled"]
    assert main(["artifact", result["artifact"]["artifact_id"], "--format", "csv"]) == 0
    assert result["sampling_note"] in capsys.readouterr().err


@pytest.mark.parametrize("why", ["unknown", "somebody else's", "expired", "gone", "damaged"])
def test_what_cannot_be_opened_says_why(
    here: Built, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = here.query("health", caller=BOB) if why == "somebody else's" else here.query("health")
    id = result["artifact"]["artifact_id"]
    if why == "unknown":
        id = "0190a5f0-0000-7000-8000-000000000000"
    elif why == "expired":
        with contextlib.closing(open_state(here.home.state_db)) as state:
            state.execute("update artifacts set expires_at = '2026-01-01T00:00:00.000000Z'")
    elif why == "gone":
        assert LocalArtifacts(here.home.artifacts).remove(result["artifact"]["uri"])
    elif why == "damaged":
        for pack in here.home.artifacts.rglob("*.pack"):
            pack.write_bytes(pack.read_bytes().replace(b"PAR1", b"PAR2"))
    assert main(["artifact", id]) == 1
    said = capsys.readouterr().err
    expected = {
        "expired": "was kept until 2026-01-01",
        "gone": "is gone from",
        "damaged": "is damaged or half-written",
    }.get(why, "is not known here")
    assert expected in said
    assert "run its query again" in said


@pytest.mark.usefixtures("here")
def test_a_wrong_parameter_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["-p", "hours_back=0"], ["-p", "hours=1"], ["-p", "limit=1", "-p", "limit=2"]):
        assert main(["query", "recent_activities", *words]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
