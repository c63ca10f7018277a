"""What is a sample says so, wherever it goes; the whole result is never said of one."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from query_desk import CUSTOMER, answer, desk

from cdesk.artifacts.formats import NOTE_KEY, sampling_note
from cdesk_app.cli.main import main

if TYPE_CHECKING:
    from query_desk import Desk

__all__ = ["desk"]

QUERY = ("query", "numbers", "-p", "rows=1300")
SAMPLED = (*QUERY, "--byte-cap", "20000")


@pytest.fixture
def cdesk(desk: Desk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> object:
    monkeypatch.setenv("CDESK_HOME", str(desk.home.root))
    monkeypatch.setenv("CDESK_CUSTOMER", CUSTOMER)

    def run(*words: str) -> tuple[str, str]:
        assert main(words) == 0
        streams = capfd.readouterr()
        return streams.out, streams.err

    return run


def rows_of(path: Path) -> int:
    if path.suffix == ".parquet":
        return int(pq.read_metadata(path).num_rows)
    if path.suffix == ".json":
        return len(json.loads(path.read_bytes())["rows"])
    return len(list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))) - 1


def test_the_table_of_a_sample_says_so(cdesk) -> None:  # type: ignore[no-untyped-def]
    out, _ = cdesk(*SAMPLED)
    assert "Not the whole result: sampled " in out
    assert "of 1,300 rows." in out
    assert "The whole result:" not in out
    assert "10 of 1,300 rows" not in out


def test_the_table_of_a_whole_result_says_where_it_is(cdesk) -> None:  # type: ignore[no-untyped-def]
    out, err = cdesk(*QUERY)
    assert "10 of 1,300 rows" in out
    assert "The whole result: --format csv, json or parquet." in out
    assert err == ""


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_an_exported_sample_says_so_beside_its_name_and_on_standard_error(
    cdesk, tmp_path: Path, suffix: str
) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"result.{suffix}"
    out, err = cdesk(*SAMPLED, "--out", str(path))
    kept = rows_of(path)
    assert 0 < kept < 1300
    note = f"sampled {kept:,} of 1,300 rows"
    assert err == f"cdesk: not the whole result: {note}\n"
    assert out.startswith(f"{path}: {kept:,} rows ({note}), ")
    if suffix == "json":
        document = json.loads(path.read_bytes())
        assert (document["sampled"], document["truncated"]) == (True, True)
        assert document["sampling_note"] == note
    if suffix == "parquet":
        assert pq.read_metadata(path).metadata[NOTE_KEY.encode()] == note.encode()


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_a_whole_export_says_nothing_of_a_sample(cdesk, tmp_path: Path, suffix: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"result.{suffix}"
    out, err = cdesk(*QUERY, "--out", str(path))
    assert rows_of(path) == 1300
    assert err == ""
    assert out.startswith(f"{path}: 1,300 rows, ")
    if suffix == "json":
        assert json.loads(path.read_bytes())["truncated"] is False
    if suffix == "parquet":
        assert sampling_note(path) is None


def test_an_artifact_that_is_a_sample_says_so_though_its_answer_is_forgotten(
    cdesk, desk: Desk, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    result = answer(desk, "numbers", {"rows": 1300}, byte_cap=20_000)
    desk.state.execute("delete from query_runs")
    path = tmp_path / "r.csv"
    out, err = cdesk("artifact", result["artifact"]["artifact_id"], "--out", str(path))
    assert result["sampling_note"] in out
    assert err == f"cdesk: not the whole result: {result['sampling_note']}\n"
    assert result["sampling_note"] == f"sampled {rows_of(path):,} of 1,300 rows"


@pytest.mark.parametrize("cap", ["0", "1023", "99999999999999999999"])
def test_a_cap_out_of_bounds_is_a_wrong_call(
    cdesk, cap: str, capfd: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    del cdesk
    assert main([*QUERY, "--byte-cap", cap]) == 2
    assert "--byte-cap" in capfd.readouterr().err
