"""One question answered: proof on record, reuse, dry run, and the way without a ticket."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from cdesk.contract.catalog import query_hash
from cdesk.contract.records import parse_line
from cdesk.core.errors import (
    Forbidden,
    InvalidField,
    KillSwitchActive,
    NotFound,
    QueryCancelled,
    QueueWriteError,
    WarehouseError,
    WarehouseUnavailable,
)
from cdesk.core.identity import Caller
from cdesk.query.executor import ask, estimates, run_now
from cdesk.state.kill_switch import turn_off, turn_on

if TYPE_CHECKING:
    from conftest import Desk


def answer(
    desk: Desk, template: str, params: dict[str, Any] | None = None, **options: Any
) -> dict[str, Any]:
    return desk.executor().answer(desk.question(template, params, **options), desk.state)


def test_every_run_is_on_record_before_its_answer_is_given(desk: Desk) -> None:
    question = desk.question("numbers", {"rows": 3})
    result = desk.executor().answer(question, desk.state)
    for path in desk.home.queue.glob("*.ndjson"):
        for line in path.read_bytes().splitlines():
            parse_line(line)  # each keeps the contract
    (run,) = desk.records("query_run")
    assert (run["query_hash"], run["query_tag"], run["ticket_id"]) == (
        question.query_hash,
        question.query_tag,
        question.run_id,
    )
    assert run["status"] == "succeeded"
    assert run["params"] == {"rows": 3}
    assert run["sql"] == question.template.sql
    assert run["result_values"] == [0, "row 0", "ada@example.com", 1, "row 1", 2, "row 2", 3]
    assert run["result_values_complete"] is True
    (artifact,) = desk.records("artifact")
    assert artifact["id"] == run["artifact_id"] == result["artifact"]["artifact_id"]
    assert artifact["uri"] == result["artifact"]["uri"]
    events = [event["activity"] for event in desk.records("event")]
    assert events == ["cdesk.sql_executed", "cdesk.artifact_created", "cdesk.sql_completed"]


def test_an_answer_whose_proof_cannot_be_stored_is_not_given(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, question = desk.executor(), desk.question("numbers", {"rows": 3})
    whole = desk.writer.append

    def full(line: bytes) -> None:
        if b'"query_run"' in line:
            raise QueueWriteError("no space left")
        whole(line)

    monkeypatch.setattr(desk.writer, "append", full)
    with pytest.raises(QueueWriteError):
        executor.answer(question, desk.state)
    assert desk.state.execute("select count(*) from query_runs").fetchone() == (0,)


def test_the_result_is_kept_for_ninety_days(desk: Desk) -> None:
    result = answer(desk, "numbers", {"rows": 1})
    row = desk.state.execute(
        "select julianday(expires_at) - julianday(created_at) from artifacts"
    ).fetchone()
    assert round(row[0], 6) == 90
    assert result["artifact"]["expires_at"].endswith("Z")


# -- asked again


def test_the_same_question_on_unchanged_data_gets_the_earlier_answer(desk: Desk) -> None:
    first = answer(desk, "clock")
    again = answer(desk, "clock")
    assert again == {**first, "reused": True}
    assert len(desk.records("query_run")) == 1


def test_asked_again_within_a_day_it_is_the_same_value_and_provenance(desk: Desk) -> None:
    first = answer(desk, "clock")
    desk.clock.forward(hours=23.9)
    again = answer(desk, "clock")
    assert again["rows"] == first["rows"]
    assert [again[name] for name in ("query_hash", "query_tag", "as_of", "artifact")] == [
        first[name] for name in ("query_hash", "query_tag", "as_of", "artifact")
    ]


def test_after_a_day_a_question_that_a_clock_goes_into_is_asked_anew(desk: Desk) -> None:
    first = answer(desk, "clock")
    desk.clock.forward(hours=24.1)
    again = answer(desk, "clock")
    assert again["reused"] is False
    assert again["rows"] != first["rows"]
    assert again["query_hash"] == first["query_hash"]


def test_a_question_without_a_clock_keeps_its_answer_as_long_as_the_data_stands(desk: Desk) -> None:
    answer(desk, "numbers", {"rows": 3})
    desk.clock.forward(hours=24 * 30)
    assert answer(desk, "numbers", {"rows": 3})["reused"] is True


def test_new_data_makes_a_new_answer(desk: Desk) -> None:
    answer(desk, "numbers", {"rows": 3})
    desk.land()
    assert answer(desk, "numbers", {"rows": 3})["reused"] is False


def test_what_the_system_records_of_its_own_work_is_no_new_data(desk: Desk) -> None:
    answer(desk, "numbers", {"rows": 3})
    desk.land("query_run")
    assert answer(desk, "numbers", {"rows": 3})["reused"] is True


def test_fresh_asks_anew(desk: Desk) -> None:
    first = answer(desk, "clock")
    again = answer(desk, "clock", fresh=True)
    assert again["reused"] is False
    assert again["query_tag"] != first["query_tag"]
    assert answer(desk, "clock")["query_tag"] == again["query_tag"]


def test_a_template_that_must_see_the_moment_is_never_answered_from_before(desk: Desk) -> None:
    assert answer(desk, "live")["rows"] != answer(desk, "live")["rows"]


def test_an_answer_whose_file_is_gone_is_made_anew(desk: Desk) -> None:
    executor = desk.executor()
    first = answer(desk, "numbers", {"rows": 3})
    executor.folder.remove(first["artifact"]["uri"])
    assert answer(desk, "numbers", {"rows": 3})["reused"] is False


def test_another_customer_never_gets_the_answer(desk: Desk) -> None:
    answer(desk, "echo", {"text": "same"})
    other = answer(desk, "echo", {"text": "same"}, customer="bob@example.com")
    assert other["reused"] is False


def test_a_sample_answers_only_a_question_with_the_same_cap(desk: Desk) -> None:
    small = answer(desk, "numbers", {"rows": 5000}, byte_cap=10_000)
    assert small["sampled"] is True
    assert answer(desk, "numbers", {"rows": 5000}, byte_cap=10_000)["reused"] is True
    whole = answer(desk, "numbers", {"rows": 5000})
    assert (whole["reused"], whole["sampled"]) == (False, False)
    assert answer(desk, "numbers", {"rows": 5000}, byte_cap=10_000)["sampled"] is True


# -- dry run


def test_a_dry_run_shows_sql_binds_and_estimate_and_runs_nothing(desk: Desk) -> None:
    result = answer(desk, "numbers", {"rows": 7}, dry_run=True)
    assert result["dry_run"] is True
    assert result["binds"] == [
        {"name": "customer", "value": "ada@example.com"},
        {"name": "rows", "value": 7},
    ]
    assert "?" in result["sql"]
    assert "7" not in result["sql"]
    assert isinstance(result["estimated_rows"], int)
    assert desk.records() == []
    assert list(desk.executor().folder.files()) == []


def test_estimates_are_read_from_either_engines_plan() -> None:
    assert estimates("│ ~1,000 rows │\n│ ~5 rows │") == (1000, None)
    assert estimates('{"GlobalStats":{"partitionsTotal":3,"bytesAssigned":4096}}') == (None, 4096)
    assert estimates("GlobalStats:\n\tpartitionsTotal=3\n\tbytesAssigned=4096") == (None, 4096)
    assert estimates("nothing of the kind") == (None, None)


def test_the_size_of_an_estimate_goes_by_the_last_answer(desk: Desk) -> None:
    assert answer(desk, "numbers", {"rows": 7}, dry_run=True)["estimated_bytes"] is None
    last = answer(desk, "numbers", {"rows": 100})
    estimate = answer(desk, "numbers", {"rows": 1000}, dry_run=True)
    assert estimate["estimated_rows"] > 0
    assert (
        estimate["estimated_bytes"]
        == estimate["estimated_rows"] * last["byte_count"] // last["row_count"]
    )


# -- refusals


def test_the_kill_switch_refuses_until_it_is_off(desk: Desk) -> None:
    turn_on(desk.state, reason="too dear", now="2026-01-01T00:00:00.000000Z")
    with pytest.raises(KillSwitchActive, match=r"too dear.*cdesk kill-switch off"):
        answer(desk, "clock")
    turn_off(desk.state, now="2026-01-01T00:00:01.000000Z")
    assert answer(desk, "clock")["row_count"] == 1


def test_an_org_template_needs_the_analyst_role(desk: Desk) -> None:
    with pytest.raises(Forbidden, match="analyst"):
        ask(desk.catalog, Caller("bob"), run_id="-", query_tag="-", template="everyone", params={})


def test_a_cancelled_question_says_so_and_is_on_record(desk: Desk) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(QueryCancelled):
        desk.executor().answer(
            desk.question("slow", {"rows": 1_000_000}), desk.state, cancel=cancel
        )
    assert [run["status"] for run in desk.records("query_run")] == ["cancelled"]


def test_a_warehouse_that_stays_held_is_unavailable_after_patience(desk: Desk) -> None:
    with desk.held_by_another_process(), pytest.raises(WarehouseUnavailable):
        desk.executor(patience_seconds=0.3).answer(desk.question("clock"), desk.state)
    (run,) = desk.records("query_run")
    assert (run["status"], run["error_code"]) == ("failed", "warehouse_unavailable")


def test_an_engine_error_leaves_no_file_behind(desk: Desk) -> None:
    with pytest.raises(WarehouseError):
        answer(desk, "broken")
    assert list(desk.executor().folder.files()) == []


# -- the hash


def test_nested_parameters_go_into_the_hash_at_every_depth() -> None:
    sql = "select ?"
    one = query_hash(sql, {"a": {"b": [1, {"c": 2}]}, "d": 1})
    assert one == query_hash("select  ? -- said twice", {"d": 1, "a": {"b": [1, {"c": 2}]}})
    assert one != query_hash(sql, {"a": {"b": [1, {"c": 3}]}, "d": 1})
    assert one != query_hash(sql, {"a": {"b": [1, {"x": 2}]}, "d": 1})


# -- without a ticket


@pytest.mark.parametrize("format", ["json", "csv", "parquet"])
def test_cdesk_query_writes_the_whole_result(desk: Desk, format: str) -> None:
    out = io.BytesIO()
    result = run_now(desk.settings, "numbers", {"rows": 12}, Caller("ada@example.com"), format, out)  # type: ignore[arg-type]
    assert result["row_count"] == 12
    if format == "json":
        document = orjson.loads(out.getvalue())
        assert [column["name"] for column in document["columns"]] == ["n", "label", "who"]
        assert document["rows"][11] == [11, "row 11", "ada@example.com"]
        assert document["query_hash"] == result["query_hash"]
        assert document["truncated"] is False
    elif format == "csv":
        lines = out.getvalue().decode().split("\r\n")
        assert lines[0] == "n,label,who"
        assert lines[12] == "11,row 11,ada@example.com"
    else:
        assert out.getvalue()[:4] == out.getvalue()[-4:] == b"PAR1"
    assert len(desk.records("query_run")) == 1


def test_cdesk_query_has_the_hash_that_a_ticket_has(desk: Desk) -> None:
    result = run_now(desk.settings, "numbers", {"rows": 12}, Caller("ada@example.com"))
    assert result["query_hash"] == desk.question("numbers", {"rows": 12}).query_hash


def test_cdesk_query_refuses_what_the_catalog_does_not_hold(desk: Desk) -> None:
    with pytest.raises(NotFound, match="did you mean numbers"):
        run_now(desk.settings, "number", {}, Caller("ada@example.com"))
    with pytest.raises(InvalidField, match="rows"):
        run_now(desk.settings, "numbers", {"rows": "many"}, Caller("ada@example.com"))
