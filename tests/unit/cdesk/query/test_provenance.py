"""What a run leaves on record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdesk.contract.records import parse_line

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
