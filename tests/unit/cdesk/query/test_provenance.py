"""What a run leaves on record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cdesk.artifacts.records import Artifact
from cdesk.contract.records import parse_line
from cdesk.query.provenance import Provenance

if TYPE_CHECKING:
    from query_desk import Desk


def test_every_run_is_on_record_before_its_answer_is_given(desk: Desk) -> None:
    request = desk.request("numbers", {"rows": 3})
    result = desk.executor().answer(request, desk.state)
    for path in desk.home.queue.glob("*.ndjson"):
        for line in path.read_bytes().splitlines():
            parse_line(line)  # each keeps the contract
    (run,) = desk.records("query_run")
    assert (run["query_hash"], run["query_tag"], run["ticket_id"]) == (
        request.query_hash,
        request.query_tag,
        request.run_id,
    )
    assert run["status"] == "succeeded"
    assert run["params"] == '{"customer":"ada@example.com","rows":3}'
    assert run["sql"] == request.template.sql
    assert run["evidence"] == [
        {"column": "n", "basis": "system", "type": "number", "values": ["0", "1", "2"]}
    ], "neither the label nor the caller's own name, nor how many rows were asked for"
    assert run["evidence_complete"] is True
    assert result["columns"][0] == {"name": "n", "type": "integer", "basis": "system"}
    (artifact,) = desk.records("artifact")
    assert artifact["id"] == run["artifact_id"] == result["artifact"]["artifact_id"]
    assert artifact["uri"] == result["artifact"]["uri"]
    events = [event["activity"] for event in desk.records("event")]
    assert events == ["cdesk.sql_executed", "cdesk.artifact_created", "cdesk.sql_completed"]


def record(desk: Desk, index: int) -> dict[str, object]:
    """What a record says, without its id and moment."""
    found = desk.records()[index]
    return {key: value for key, value in found.items() if key not in ("id", "ts", "v")}


def test_each_record_names_the_run_and_its_session(desk: Desk) -> None:
    """To the letter: whoever reads the stream goes by it."""
    request = desk.request("numbers", {"rows": 3}, session_id="s-1")
    provenance = Provenance(desk.writer, desk.clock)
    provenance.started(request)
    provenance.retried(request)
    provenance.ended(request, status="failed", error_code="warehouse_error")
    provenance.ended(request, status="expired", error_code=None, elapsed_ms=1.5)
    common = {
        "customer": "ada@example.com",
        "session_id": "s-1",
        "query_tag": request.query_tag,
        "source_system": "claude_desktop",
    }
    about = {
        "ticket_id": request.run_id,
        "template": "numbers",
        "query_hash": request.query_hash,
    }
    ended = {"status": "failed", "error_code": "warehouse_error", "rows": 0, "bytes": 0, "elapsed_ms": 0.0}  # fmt: skip
    expected: list[tuple[str, object]] = [
        ("cdesk.sql_executed", about),
        (
            "cdesk.retry_attempted",
            {"where": "ticket", "error_code": "worker_lost", "message": "numbers"},
        ),
        ("query_run", ended),
        ("cdesk.sql_completed", about | ended),
        ("query_run", ended | {"status": "expired", "error_code": None, "elapsed_ms": 1.5}),
        (
            "cdesk.sql_completed",
            about | ended | {"status": "expired", "error_code": None, "elapsed_ms": 1.5},
        ),
    ]
    assert len(desk.records()) == len(expected)
    for index, (kind, says) in enumerate(expected):
        found = record(desk, index)
        assert found.items() >= common.items()
        assert isinstance(says, dict)
        if kind == "query_run":
            assert found["kind"] == kind
            assert found.items() >= (about | says).items()
            assert (found["sampled"], found["as_of"], found["artifact_id"]) == (False, None, None)
            assert (found["evidence"], found["evidence_complete"]) == ([], False)
            assert found["sql"] == request.template.sql
        else:
            assert (found["kind"], found["activity"]) == ("event", kind)
            assert found["feature_json"] == says
            assert found["link"] is None


@pytest.mark.parametrize("has_cards", [False, True])
def test_a_stored_result_is_told_as_it_lies_there_and_links_to_its_card(
    desk: Desk, has_cards: bool
) -> None:
    card = (lambda id: f"https://cards.example/{id}") if has_cards else None
    result = desk.executor(card_url=card).answer(
        desk.request("numbers", {"rows": 3}, session_id="s-1"), desk.state
    )
    (artifact,) = desk.records("artifact")
    row = desk.state.execute(
        "select uri, rows, bytes, created_at, expires_at from artifacts"
    ).fetchone()
    assert (artifact["uri"], artifact["rows"], artifact["bytes"]) == row[:3]
    assert (artifact["ts"], artifact["expires_at"]) == row[3:]
    assert (artifact["sampled"], artifact["legal_hold"], artifact["session_id"]) == (False, False, "s-1")  # fmt: skip
    (event,) = desk.records("event", "cdesk.artifact_created")
    id = result["artifact"]["artifact_id"]
    assert event["link"] == (f"https://cards.example/{id}" if has_cards else row[0])
    assert event["feature_json"] == {
        "artifact_id": id,
        "format": "parquet",
        "rows": 3,
        "bytes": row[2],
        "sampled": False,
        "query_hash": result["query_hash"],
        "expires_at": row[4],
    }
    (completed,) = desk.records("event", "cdesk.sql_completed")
    (run,) = desk.records("query_run")
    for one in (completed["feature_json"], run):
        assert (one["status"], one["error_code"], one["rows"]) == ("succeeded", None, 3)
        assert (one["bytes"], one["sampled"]) == (result["byte_count"], False)
        assert (one["artifact_id"], one["elapsed_ms"]) == (id, result["elapsed_ms"])
    assert run["as_of"] == result["as_of"] is not None


def test_a_hold_is_the_results_record_once_more(desk: Desk) -> None:
    artifact = Artifact(
        desk.ids.uuid7(), "bob", "s3://b/k", "parquet", "0" * 16, 7, 99, True, "-", "2026-01-31T12:00:00.000000Z", True,
    )  # fmt: skip
    provenance = Provenance(desk.writer, desk.clock)
    provenance.held(artifact)
    provenance.held(artifact)
    one, other = desk.records("artifact")
    assert one["id"] != other["id"] != artifact.artifact_id
    assert one["query_tag"] != other["query_tag"]
    says = {
        "customer": "bob",
        "session_id": None,
        "uri": "s3://b/k",
        "format": "parquet",
        "rows": 7,
        "bytes": 99,
        "sampled": True,
        "query_hash": "0" * 16,
        "expires_at": "2026-01-31T12:00:00.000000Z",
        "legal_hold": True,
    }
    assert one.items() >= says.items()
