"""`cdesk quarantine` on a warehouse with lines that are no records."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from command_line import runner
from query_desk import CUSTOMER, desk

from cdesk.core.clock import IdSource, format_ts
from cdesk.state.facts import read_status
from cdesk.state.status import Quarantined
from uploader.quarantine import TEMPLATE

if TYPE_CHECKING:
    from query_desk import Desk

__all__ = ["desk"]

COLUMNS = "quarantine_id, kind, reason, detail, raw, source_file, source_offset, landed_at"
CATALOGUED: dict[str, Any] = {
    "description": "Lines.",
    "scope": "org",
    "parameters": [
        {"name": name, "description": "-", "type": "string", "required": False}
        for name in ("quarantine_id", "reason")
    ]
    + [{"name": "limit", "description": "-", "type": "integer", "min": 1, "max": 100_000}],
    "sql": (
        f"select {COLUMNS} from activities.quarantined where coalesce(quarantine_id = ?, true) "
        "and coalesce(reason = ?, true) order by quarantine_id limit ?"
    ),
    "binds": ["quarantine_id", "reason", "limit"],
    "example": {},
    "hash": "0" * 16,
}


def record() -> str:
    return json.dumps(
        {
            "v": 1,
            "kind": "event",
            "id": IdSource().uuid7(),
            "ts": format_ts(1_580_000_000_000_000_000),
            "customer": CUSTOMER,
            "anonymous_customer_id": None,
            "session_id": "s",
            "activity": "cdesk.user_asked",
            "feature_json": {},
            "link": None,
            "revenue_impact": None,
            "query_tag": "cdesk_1a2b3c4d",
            "source_system": "claude_desktop",
            "source_version": "2.0",
        }
    )


@pytest.fixture
def cdesk(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Three lines wait: one keeps the contract by now, of two the reason is another."""
    monkeypatch.setenv("CDESK_HOME", str(desk.home.root))
    monkeypatch.setenv("CDESK_CUSTOMER", CUSTOMER)
    desk.write_catalog({TEMPLATE: CATALOGUED})
    with duckdb.connect(str(desk.home.warehouse)) as connection:
        connection.execute(
            "create table activities.quarantined (quarantine_id varchar, kind varchar, "
            "reason varchar, detail varchar, raw varchar, source_file varchar, "
            "source_offset bigint, landed_at timestamp)"
        )
        for id, reason, raw in (
            ("a", "unknown_field", record()),
            ("b", "not_json", "torn"),
            ("c", "not_json", "torn, too"),
        ):
            connection.execute(
                "insert into activities.quarantined values "
                "(?, 'event', ?, 'why', ?, 'f.ndjson', 1200, timestamp '2020-01-31 12:00:00')",
                [id, reason, raw],
            )

    return runner(capsys, "quarantine")


def listed(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[2:]]


def test_what_waits_is_listed_by_reason_and_to_a_limit(cdesk: Callable[..., str]) -> None:
    assert listed(cdesk("list")) == ["a", "b", "c"]
    assert listed(cdesk("list", "--reason", "not_json")) == ["b", "c"]
    assert listed(cdesk("list", "--limit", "2")) == ["a", "b"]
    assert [one["quarantine_id"] for one in json.loads(cdesk("list", "--json"))] == ["a", "b", "c"]
    assert cdesk("list", "--reason", "other") == "nothing in quarantine\n"


def test_a_line_is_shown_whole(cdesk: Callable[..., str]) -> None:
    head, place, raw = cdesk("show", "b").splitlines()
    assert (head, raw) == ("b  not_json: why", "torn")
    assert place.startswith("f.ndjson at byte 1,200, landed ")
    assert place.endswith(" ago, open")
    assert [json.loads(cdesk("show", "c", "--json"))[name] for name in ("raw", "reason")] == [
        *("torn, too", "not_json"),
    ]
    assert cdesk("show", "b", "c").count("not_json: why") == 2
    assert cdesk("show", "b", "c", "--json").count('"reason": "not_json"') == 2
    assert "is not in quarantine" in cdesk("show", "x", code=1)
    assert "ID: missing; allowed: the ids of the lines to show" in cdesk("show", "--all", code=2)


def test_what_is_discarded_is_not_listed_any_more_and_the_status_knows(
    cdesk: Callable[..., str], desk: Desk
) -> None:
    assert cdesk("discard", "b", "c") == "2 lines discarded\n"
    assert listed(cdesk("list")) == ["a"]
    assert listed(cdesk("list", "--done")) == ["a", "b", "c"]
    kept = read_status(desk.state, Quarantined)
    assert (kept.at, kept.lines, kept.reasons) == (
        "2020-01-31T12:00:00.000000Z",
        1,
        {"unknown_field": 1},
    )
    assert json.loads(cdesk("discard", "--all", "--json")) == {"discarded": 1}
    left = read_status(desk.state, Quarantined)
    assert (left.lines, left.reasons) == (0, {})
    assert str(left.at) > "2020-01-31T12:00:00.000000Z", "when it was seen to be empty"


def test_what_keeps_the_contract_now_goes_back_into_the_queue_once(
    cdesk: Callable[..., str], desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []

    class Waker:
        def __init__(self, _: object) -> None:
            woken.append("made")

        def send(self) -> bool:
            woken.append("sent")
            return False

        def close(self) -> None:
            woken.append("closed")

    monkeypatch.setattr("cdesk.core.wake.WakeSender", Waker)
    with duckdb.connect(str(desk.home.warehouse)) as connection:
        connection.execute(
            "update activities.quarantined set reason = 'too_long' where quarantine_id = 'c'"
        )
    first, *details = cdesk("replay", "--all").splitlines()
    assert first == "1 back in the queue, 0 were already, 2 are still no records"
    assert [line.split()[0] for line in details] == ["b", "c"]
    assert all(line.startswith("  ") for line in details)
    assert [one["customer"] for one in desk.records("event")] == [CUSTOMER]
    assert woken == ["made", "sent", "closed"]
    assert read_status(desk.state, Quarantined).reasons == {"not_json": 1, "too_long": 1}
    assert cdesk("replay", "a") == ("0 back in the queue, 1 were already, 0 are still no records\n")
    told = json.loads(cdesk("replay", "a", "b", "--json"))
    assert [one["verdict"] for one in told] == ["already", "still_refused"]
    assert len(desk.records("event")) == 1
    assert cdesk("replay", "--all", "--reason", "unknown_field") == (
        "0 back in the queue, 0 were already, 0 are still no records\n"
    )


def test_on_snowflake_it_is_mended_elsewhere(
    cdesk: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDESK_TARGET", "snowflake")
    assert "read in a worksheet as CDESK_ADMIN" in cdesk("list", code=1)
