"""The recorder: what it writes are records of the contract, what it refuses leaves nothing, what it
notes comes after the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cdesk.contract.records import Record, parse_line
from cdesk.core.clock import IdSource
from cdesk.core.errors import InvalidField
from cdesk.core.home import StateDirectory
from cdesk.core.wake import WakeListener, WakeSender
from cdesk.queue.shedding import Shedder
from cdesk.queue.writer import QueueWriter
from mcp_shim.app import RecordQueue
from mcp_shim.session import Recorder


def run(
    home: StateDirectory, test: Callable[[Recorder], Any], *, session_id: str | None = None
) -> list[Record]:
    """Run `test` with a recorder on a loop; the records that it left."""

    async def body() -> None:
        queue = RecordQueue(QueueWriter(home.queue), WakeSender(home), ids=IdSource())
        try:
            done = test(Recorder(queue, customer="ada@example.com", session_id=session_id))
            if done is not None:
                await done
        finally:
            queue.close()

    asyncio.run(body())
    return [
        parse_line(line)
        for path in sorted(home.queue.glob("*.ndjson"))
        for line in path.read_bytes().splitlines()
    ]


def test_what_is_written_keeps_the_contract(state_home: StateDirectory) -> None:
    def test(recorder: Recorder) -> None:
        recorder.event("cdesk.user_asked", {"a": [1, None]}, link="https://a/b", revenue_impact=1.5)
        recorder.note("cdesk.tool_called", {"tool": "get_context", "latency_ms": 0.3})
        id, ts = recorder.stamp()
        fields = {"subject": "s", "metric": "m", "value": True, "provenance_query_hash": None}
        recorder.append(recorder.insight(fields, id=id, ts=ts)[1])

    found = run(state_home, test)  # parse_line checks every field of each
    assert sorted(record["kind"] for record in found) == ["event", "event", "insight"]
    assert found[0]["link"] == "https://a/b"


def test_no_credential_gets_into_the_queue_by_any_way(state_home: StateDirectory) -> None:
    """But for what the server's own words hold, which are looked at before they are given."""
    secret = "ghp_" + "a1B2" * 9

    def test(recorder: Recorder) -> None:
        assert recorder.session_id == "0" * 36
        recorder.event("cdesk.user_asked", {"question": f"what is {secret}?"}, link=f"https://a/{secret}")  # fmt: skip
        recorder.note("cdesk.session_started", {"client_name": secret})
        recorder.note("cdesk.fallback_triggered", {"component": secret})
        id, ts = recorder.stamp()
        fields = {"subject": secret, "metric": "m", "value": secret, "provenance_query_hash": None}
        clean, line = recorder.insight(fields, id=id, ts=ts)
        assert (clean["id"], clean["ts"], clean["session_id"]) == (id, ts, "0" * 36)
        assert secret not in str(clean)
        recorder.append(line)
        with pytest.raises(InvalidField, match="metric"):
            recorder.insight({**fields, "metric": ""}, id=id, ts=ts)

    found = run(state_home, test, session_id="0" * 36)
    assert len(found) == 4
    assert secret not in str(found)
    assert str(found).count("[secret:github_token]") == 6
    assert {record["session_id"] for record in found} == {"0" * 36}
    assert len({record["query_tag"] for record in found}) == 4, "one for each"


def test_an_activity_of_the_shims_own_is_born_when_it_is_said_to_be(
    state_home: StateDirectory,
) -> None:
    lines: list[bytes] = []

    def test(recorder: Recorder) -> None:
        born = "2026-01-01T00:00:00.000000Z"
        for ts in (born, None):
            lines.append(
                recorder.own_line(
                    "cdesk.insight_forgotten", {}, id="019b76da-a800-7000-8000-000000000001", ts=ts
                )
            )
        times = [parse_line(line.rstrip())["ts"] for line in lines]
        assert times[0] == born
        assert times[1] != born, "now"

    assert run(state_home, test) == []


@pytest.mark.parametrize("activity", ["user_asked", "cdesk.", None])
def test_what_is_refused_leaves_nothing(state_home: StateDirectory, activity: object) -> None:
    def test(recorder: Recorder) -> None:
        with pytest.raises(InvalidField, match="activity"):
            recorder.event(activity, {})

    assert run(state_home, test) == []


def test_notes_come_after_what_was_asked_for_in_one_write(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with the time at which it was noted."""
    written: list[bytes] = []
    append = QueueWriter.append

    def seen(self: QueueWriter, line: bytes) -> None:
        written.append(line)
        append(self, line)

    monkeypatch.setattr(QueueWriter, "append", seen)

    async def test(recorder: Recorder) -> None:
        recorder.note("cdesk.tool_called", {})
        recorder.note("cdesk.error_encountered", {})
        recorder.event("cdesk.user_asked", {})
        await asyncio.sleep(0)
        recorder.event("cdesk.claude_responded", {})

    found = run(state_home, test)
    asked, called, failed, responded = found
    assert [record["activity"] for record in found] == [
        "cdesk.user_asked",
        "cdesk.tool_called",
        "cdesk.error_encountered",
        "cdesk.claude_responded",
    ]
    assert called["ts"] <= failed["ts"] <= asked["ts"] <= responded["ts"]
    assert [lines.count(b"\n") for lines in written] == [1, 2, 1]


def test_the_worker_is_woken_once_for_a_burst(state_home: StateDirectory) -> None:
    listener = WakeListener(state_home)
    woken = []

    async def test(recorder: Recorder) -> None:
        recorder._records._wake.send = lambda: woken.append(1) is None  # type: ignore[method-assign]
        for _ in range(100):
            recorder.event("cdesk.user_asked", {})
        await asyncio.sleep(0.05)

    run(state_home, test)
    listener.close()
    assert len(woken) == 2  # the burst, and the end


def test_what_is_shed_is_counted_before_the_answer_and_told_once(
    state_home: StateDirectory,
) -> None:
    """With a queue that is too long: the counts stand in the file system whenever the process dies,
    and become one record.
    """
    shedder = Shedder(state_home, monotonic=lambda: 0.0)
    shedder.level, shedder._measured = 8, 0.0  # as measured just now
    shedder._reported = -60.0

    async def body() -> None:
        queue = RecordQueue(
            QueueWriter(state_home.queue), WakeSender(state_home), shedder, ids=IdSource()
        )
        recorder = Recorder(queue, customer="ada@example.com")
        recorder.event("cdesk.user_asked", {})
        answers = [recorder.event("cdesk.retry_attempted", {})[2] for _ in range(5)]
        (pending,) = state_home.queue.glob("*.pending")
        counts = parse_line(pending.read_bytes().rstrip())["feature_json"]["activities"][
            "cdesk.retry_attempted"
        ]
        assert counts == {"kept": sum(answers), "shed": 5 - sum(answers), "weight": 256}
        queue.tick()
        assert not list(state_home.queue.glob("*.pending"))
        recorder.event("cdesk.retry_attempted", {})
        queue.close()

    asyncio.run(body())
    found = [
        parse_line(line.rstrip())
        for path in sorted(state_home.queue.glob("*.ndjson"))
        for line in path.read_bytes().splitlines()
    ]
    told = [record for record in found if record["activity"] == "cdesk.fallback_triggered"]
    assert len({record["id"] for record in told}) == 2
    counted = [record["feature_json"]["activities"]["cdesk.retry_attempted"] for record in told]
    assert [one["kept"] + one["shed"] for one in counted] == [5, 1]


def test_what_is_shed_of_one_costs_the_same_however_many_others_are_shed(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    shedder = Shedder(state_home, monotonic=lambda: 0.0)
    shedder.level, shedder._measured = 8, 0.0  # as measured just now
    written: list[int] = []
    put = QueueWriter.put_pending

    def counted(self: QueueWriter, key: str, line: bytes) -> None:
        written.append(len(line))
        put(self, key, line)

    monkeypatch.setattr(QueueWriter, "put_pending", counted)

    async def body() -> None:
        queue = RecordQueue(
            QueueWriter(state_home.queue), WakeSender(state_home), shedder, ids=IdSource()
        )
        recorders = [Recorder(queue, customer=f"{number}@example.com") for number in range(60)]
        for _ in range(3):
            for recorder in recorders:
                recorder.event("cdesk.retry_attempted", {})
        queue.close()

    asyncio.run(body())
    assert 60 <= len(written) <= 180, "one line for each activity that was or could have been shed"
    assert max(written) < 1_000


def test_one_queue_serves_many_callers_each_under_its_own_name(
    state_home: StateDirectory,
) -> None:
    """Their records, their notes, and the reports of what was shed of each."""
    shedder = Shedder(state_home, monotonic=lambda: 0.0)
    shedder.level, shedder._measured = 8, 0.0  # as measured just now
    customers = [f"customer-{number}@example.com" for number in range(5)]

    async def body() -> None:
        queue = RecordQueue(
            QueueWriter(state_home.queue), WakeSender(state_home), shedder, ids=IdSource()
        )
        recorders = [Recorder(queue, customer=customer) for customer in customers]
        for number, recorder in enumerate(recorders):
            recorder.event("cdesk.user_asked", {"number": number})
            recorder.note("cdesk.insight_recorded", {"number": number})
            for _ in range(number):
                recorder.event("cdesk.retry_attempted", {})
        await asyncio.sleep(0)
        (pending,) = state_home.queue.glob("*.pending")
        assert pending.read_bytes().count(b"\n") == 4, "a line for each of whom something was shed"
        queue.close()

    asyncio.run(body())
    found = [
        parse_line(line.rstrip())
        for path in sorted(state_home.queue.glob("*.ndjson"))
        for line in path.read_bytes().splitlines()
    ]
    for number, customer in enumerate(customers):
        own = {
            record["activity"]: record["feature_json"]
            for record in found
            if record["customer"] == customer
        }
        assert own["cdesk.user_asked"] == own["cdesk.insight_recorded"] == {"number": number}
        counts = own.get("cdesk.fallback_triggered", {}).get("activities", {})
        told = counts.get("cdesk.retry_attempted", {"kept": 0, "shed": 0})
        assert told["kept"] + told["shed"] == number
    assert len({record["session_id"] for record in found}) == len(customers)
