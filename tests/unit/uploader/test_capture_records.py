"""When an activity is told, and the lines that tell of it and of what changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import orjson
import pytest

from cdesk.contract.records import parse_line
from cdesk.core.errors import InvalidField
from uploader.capture_records import Finished, Telling, Told, named_request
from uploader.capture_store import Known, told_content
from uploader.earlier_imports import as_readers_see
from uploader.sources.facts import Fact, Ids, digest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SESSION = "0b6f0f6e-0000-4000-8000-000000000001"


def at(seconds: float) -> str:
    moment = NOW + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def fact(activity: str = "user_asked", seconds: float = -10, **changes: Any) -> Fact:
    own: dict[str, Any] = {
        **{"key": "k", "ts": at(seconds), "session": (False, SESSION)},
        **{"features": {"source": "cowork", "length": 3}, **changes},
    }
    return Fact(activity, own.pop("key"), **own)


def told(known: Known, *, patient: bool = True, telling: Telling | None = None) -> list[str]:
    """Activities of which something is told now."""
    found = (telling or Telling("ada")).tell(known, now=NOW, patient=patient)
    return [activity for activity, _, _ in found.lines]


# -- when


@pytest.mark.parametrize(
    ("seconds", "changes", "patient", "due"),
    [
        (-59.999999, {}, True, at(0.000001)),
        (-60, {}, True, None),
        (-60.5, {}, True, None),
        (-10, {}, False, None),
        (-10, {"answered": at(-5)}, True, None),
        (5, {}, True, at(65)),
    ],
)
def test_a_call_without_a_result_waits_for_a_minute(
    seconds: float, changes: dict[str, Any], patient: bool, due: str | None
) -> None:
    features = {"source": "cowork", "tool": "Bash", **changes}
    for late in ("", "~"):
        known = Known(fact("tool_called", ts=late + at(seconds), features=features), {}, "before")
        assert told(known, patient=patient) == ([] if due else ["tool_called"])
        assert known.due == due


def test_nothing_else_waits_for_a_result() -> None:
    known = Known(fact())
    assert (told(known), known.due) == (["user_asked"], None)


@pytest.mark.parametrize(
    ("last", "due"), [(-3_599.999999, at(0.000001)), (-3_600, None), (-4_000, None)]
)
def test_a_conversation_has_ended_when_it_was_quiet_for_an_hour(
    last: float, due: str | None
) -> None:
    known = Known(fact("session_started", -5_000, features={"last_at": at(last)}), {}, "before")
    ended = [] if due else ["session_ended"]
    assert told(known, patient=False) == [*ended, "session_started"]
    assert known.due == due


def test_a_moment_that_no_clock_reaches_is_not_waited_for() -> None:
    end = "9999-12-31T23:59:59.000000Z"
    known = Known(fact("tool_called", ts=end, features={"tool": "Bash"}))
    assert (told(known), known.due) == (["tool_called"], None)
    known = Known(fact("session_started", features={"last_at": end}))
    assert (told(known), known.due) == (["session_ended", "session_started"], None)


# -- what


def lines(known: Known, telling: Telling) -> list[dict[str, Any]]:
    found = telling.tell(known, now=NOW, patient=True)
    assert not found.left_out
    return [dict(parse_line(line)) for _, _, line in found.lines]


@pytest.mark.parametrize("session", [SESSION, "no id of ours"])
@pytest.mark.parametrize(
    "features", [{"length": 3}, {"length": 3, "question": "of bob@example.org"}]
)
def test_an_activity_is_told_whole_once_and_then_what_changed(
    session: str, features: dict[str, Any]
) -> None:
    telling = Telling("ada")
    known = Known(fact(session=(False, session), features={"source": "cowork", **features}))
    own_id = Ids("ada").of("user_asked", "k")
    (event,) = lines(known, telling)
    assert event == {
        **{"v": 1, "kind": "event", "id": own_id, "ts": at(-10), "customer": "ada"},
        **{"session_id": session, "anonymous_customer_id": None, "activity": "cdesk.user_asked"},
        **{"feature_json": features, "link": None, "revenue_impact": None},
        "query_tag": "cdesk_" + digest([session])[:8],
        **{"source_system": "cowork", "source_version": "2.0"},
    }
    content = told_content(session, features)
    assert known.made == {"user_asked": [content, 0, at(-10), "cowork"]}
    assert lines(known, telling) == []
    for revision in (1, 2):
        changed = {**features, "length": 3 + revision}
        known.fact = fact(ts=at(-20), session=(False, session), features=changed)
        (line,) = lines(known, telling)
        assert (line["kind"], line["replaces"], line["revision"]) == ("revision", own_id, revision)
        assert line["feature_json"] == changed
        assert (line["ts"], line["source_system"]) == (at(-10), "cowork"), "those of the event"
        assert (line["customer"], line["session_id"]) == ("ada", session)
        assert line["query_tag"] == event["query_tag"]
        content = told_content(session, changed)
        assert known.made == {"user_asked": [content, revision, at(-10), "cowork"]}
        assert lines(known, telling) == []


def test_a_credential_is_told_as_what_it_is() -> None:
    secret = "ghp_" + "a1B2" * 9
    known = Known(fact(features={"question": f"of {secret}"}))
    (line,) = lines(known, Telling("ada"))
    assert line["feature_json"]["question"].startswith("of [secret:")
    known.fact.features["length"] = 3
    (line,) = lines(known, Telling("ada"))
    assert line["feature_json"]["question"].startswith("of [secret:")


def test_the_order_of_features_changes_nothing() -> None:
    telling = Telling("ada")
    known = Known(fact(features={"length": 3, "attachments": 0}))
    assert len(lines(known, telling)) == 1
    known.fact.features = {"attachments": 0, "length": 3}
    assert lines(known, telling) == []


def noted(content: str, revision: int = 2) -> Telling:
    """Of every activity this was told before, as `capture.db` notes it when it is made anew."""
    return Telling("ada", lambda _: [content, revision, at(-30), "claude_code"])


def test_what_was_told_before_is_not_told_again_and_a_change_is_its_next_revision() -> None:
    features = {"length": 3}
    same = Known(fact())
    assert lines(same, noted(told_content(SESSION, features))) == []
    assert same.made == {"user_asked": [told_content(SESSION, features), 2, at(-30), "claude_code"]}
    other = Known(fact())
    (line,) = lines(other, noted("another"))
    assert (line["revision"], line["ts"], line["source_system"]) == (3, at(-30), "claude_code")


def test_what_readers_are_shown_of_it_counts_as_what_was_told() -> None:
    """For who notes it anew, and once: from then on it is known as it is."""
    features = {"question": "of bob@example.org", "length": 3}
    content = told_content(SESSION, features)
    shown = as_readers_see({"session_id": SESSION, "feature_json": features, "customer": "ada"})
    assert shown["feature_json"] != features
    masked = told_content(shown["session_id"], shown["feature_json"])
    known = Known(fact(features=features))
    assert lines(known, noted(masked)) == []
    assert known.made["user_asked"] == [content, 2, at(-30), "claude_code"]
    later = Known(fact(features=features), {"user_asked": [masked, 2, at(-30), "cowork"]})
    assert [line["revision"] for line in lines(later, noted("nobody is asked"))] == [3]


def test_what_the_contract_refuses_is_named_and_the_rest_told() -> None:
    features = {"title_custom": "x" * 70_000, "last_at": at(-4_000), "source": "cowork"}
    known = Known(fact("session_started", -5_000, features=features))
    found = Telling("ada").tell(known, now=NOW, patient=True)
    assert [reason.partition(":")[0] for reason in found.left_out] == [
        "session_ended",
        "session_started",
    ]
    assert all(len(reason) <= 200 for reason in found.left_out)
    assert found.left_out[0].startswith("session_ended: feature_json: ")
    assert (found.lines, known.made) == ([], {})
    long = Known(fact(session=(False, "s" * 256)))
    found = Telling("ada").tell(long, now=NOW, patient=True)
    assert found.lines == []
    assert found.left_out[0].startswith("user_asked: session_id: ")
    with pytest.raises(InvalidField, match="customer"):
        Telling("a\nda")


# -- for another process


def test_a_finished_activity_is_told_at_once_and_passed_on_whole() -> None:
    one = fact("tool_called", key="m:1", features={"tool": "Bash"}, request="q1")
    finished = Telling("ada").finished(one, now=NOW)
    assert [activity for activity, _, _ in finished.told.lines] == ["tool_called"]
    assert (finished.request, finished.is_nameless) == ("q1", False)
    assert finished.row[:2] == ("tool_called", "m:1")
    assert finished.row[4] is None
    again = finished.fact()
    assert (again.activity, again.key, again.ts, again.session) == (
        *("tool_called", "m:1", one.ts, one.session),
    )
    assert (again.features, again.blocks, again.request) == ({"tool": "Bash"}, {}, "q1")
    packed = msgspec.msgpack.decode(msgspec.msgpack.encode(finished), type=Finished)
    assert packed == finished
    assert orjson.loads(msgspec.json.encode(Told())) == [[], []], "short where there are many"
    assert orjson.loads(msgspec.json.encode(finished))[2] == "q1"


@pytest.mark.parametrize(
    ("key", "request_id", "is_nameless"),
    [("m:1", "q1", False), ("r:q1", None, True), ("l:1", None, False)],
)
def test_an_answer_with_an_id_names_its_request(
    key: str, request_id: str | None, is_nameless: bool
) -> None:
    answer = fact("claude_responded", key=key, request="q1")
    assert named_request(answer) == request_id
    assert Telling("ada").finished(answer, now=NOW).is_nameless is is_nameless
