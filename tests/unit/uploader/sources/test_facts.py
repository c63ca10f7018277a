"""How what lines say is joined, and the records that are made of it."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from typing import Any

import orjson
import pytest

from uploader.sources.facts import (
    NAMESPACE,
    Fact,
    Facts,
    Ids,
    digest,
    made_of,
    milliseconds,
)

ADA = {"source": "claude_code", "client": "claude_code"}


def at(second: int, minute: int = 0) -> str:
    return f"2026-03-01T09:{minute:02d}:{second:02d}.000000Z"


def fact(activity: str = "user_asked", key: str = "k", **changes: Any) -> Fact:
    own: dict[str, Any] = {"ts": at(1), "session": (False, "s1"), "features": {}, **changes}
    return Fact(activity, key, **own)


def state(one: Fact) -> tuple[Any, ...]:
    return one.ts, one.session, one.features, one.blocks, one.request


# -- joining


@pytest.mark.parametrize(
    ("one", "other", "joined"),
    [
        ({"ts": at(2)}, {"ts": at(1)}, {"ts": at(1)}),
        ({"session": (True, "a")}, {"session": (False, "b")}, {"session": (False, "b")}),
        ({"session": (False, "a")}, {"session": (False, "b")}, {"session": (False, "a")}),
        ({"features": {"n": 3}}, {"features": {"n": 5}}, {"features": {"n": 5}}),
        ({"features": {"n": 3}}, {"features": {"n": 3.5}}, {"features": {"n": 3.5}}),
        ({"features": {"n": "a"}}, {"features": {"n": "b"}}, {"features": {"n": "b"}}),
        ({"features": {"n": 3}}, {"features": {"n": "a"}}, {"features": {"n": "a"}}),
        ({"features": {"n": 2.5}}, {"features": {"n": "a"}}, {"features": {"n": "a"}}),
        ({"features": {"n": None}}, {"features": {"n": 0}}, {"features": {"n": 0}}),
        ({"features": {"a": 1}}, {"features": {"b": 2}}, {"features": {"a": 1, "b": 2}}),
        (
            {"features": {"latency_ms": 5.0, "called": "b", "answered": "b", "source": "b"}},
            {"features": {"latency_ms": 3, "called": "a", "answered": "a", "source": "a"}},
            {"features": {"latency_ms": 3, "called": "a", "answered": "a", "source": "a"}},
        ),
        (
            {"features": {"model_at": [at(2), "opus"]}},
            {"features": {"model_at": [at(1), "sonnet"]}},
            {"features": {"model_at": [at(1), "sonnet"]}},
        ),
        ({"request": "a"}, {"request": "b"}, {"request": "b"}),
        ({"request": "a"}, {"request": None}, {"request": "a"}),
        ({"request": None}, {"request": None}, {"request": None}),
        (
            {"blocks": {"a": ["text", 1, at(2)]}},
            {"blocks": {"b": ["tool", 0, at(1)]}},
            {"blocks": {"a": ["text", 1, at(2)], "b": ["tool", 0, at(1)]}},
        ),
        (
            {"blocks": {"a": ["text", 1, at(2)]}},
            {"blocks": {"a": ["text", 3, at(1)]}},
            {"blocks": {"a": ["text", 3, at(1)]}},
        ),
        (
            {"blocks": {"a": ["text", 1, at(1), "Hi"]}},
            {"blocks": {"a": ["text", 1, at(2)]}},
            {"blocks": {"a": ["text", 1, at(1), "Hi"]}},
        ),
        (
            {"blocks": {"a": ["text", 2, at(1), "Hi"]}},
            {"blocks": {"a": ["text", 2, at(1), "Ho"]}},
            {"blocks": {"a": ["text", 2, at(1), "Ho"]}},
        ),
    ],
)
def test_two_facts_of_one_thing_come_to_the_same_in_either_order(
    one: dict[str, Any], other: dict[str, Any], joined: dict[str, Any]
) -> None:
    expected = state(fact(**joined))
    for first, second in ((one, other), (other, one), (joined, one), (joined, other)):
        taken = fact(**{name: _copy(value) for name, value in first.items()})
        taken.join(fact(**{name: _copy(value) for name, value in second.items()}))
        assert state(taken) == expected


def _copy(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else value


def test_what_lines_say_is_joined_by_activity_and_key() -> None:
    facts = Facts()
    about, other = dict(ADA), {**ADA, "project": "atlas"}
    facts.note("user_asked", "k", at(2), (False, "s1"), about, {"length": 3, "client": "own"})
    facts.note("user_asked", "k2", at(2), (False, "s1"), about)
    facts.note("tool_called", "k", at(2), (False, "s1"), about)
    assert len(facts) == 3
    facts.note(
        *("user_asked", "k", at(1), (False, "s0"), other, {"length": 5}),
        blocks={"b": ["text", 1, at(1)]},
        request="q",
    )
    facts.note("user_asked", "k", at(3), (False, "s1"), about)
    taken = facts.take()
    assert (len(facts), facts.take()) == (0, {})
    assert state(taken["user_asked", "k"]) == (
        at(1),
        (False, "s0"),
        {"source": "claude_code", "client": "own", "length": 5, "project": "atlas"},
        {"b": ["text", 1, at(1)]},
        "q",
    )
    assert state(taken["user_asked", "k2"]) == (at(2), (False, "s1"), ADA, {}, None)
    assert about == ADA, "what lines have in common nobody changes"


def test_a_first_line_brings_its_blocks_and_request() -> None:
    facts = Facts()
    blocks = {"b": ["text", 1, at(1)]}
    facts.note("user_asked", "k", at(1), (False, "s1"), ADA, None, blocks, "q")
    assert state(facts.known["user_asked", "k"]) == (at(1), (False, "s1"), ADA, blocks, "q")


# -- ids


def test_ids_are_uuids_of_version_5_over_customer_activity_and_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = hashlib.sha1

    def allowed(data: bytes, *, usedforsecurity: bool = True) -> Any:
        assert not usedforsecurity, "refused where only approved hashes may be used"
        return real(data, usedforsecurity=False)

    monkeypatch.setattr(hashlib, "sha1", allowed)
    for customer, number in itertools.product(("ada", 'b"ö'), range(20)):
        name = orjson.dumps([customer, "user_asked", f"k{number}"]).decode()
        expected = uuid.UUID(bytes=real(NAMESPACE.bytes + name.encode()).digest()[:16], version=5)
        assert Ids(customer).of("user_asked", f"k{number}") == str(expected)
    assert Ids("ada").of("user_asked", "k") == "d77296c2-c5ca-5232-8420-c84ec891828d"


def test_a_digest_goes_by_content_and_not_by_its_order() -> None:
    assert digest({"b": 1, "a": [2]}) == digest({"a": [2], "b": 1})
    assert digest([1, 2]) == hashlib.sha256(b"[1,2]").hexdigest()[:16]


# -- times


@pytest.mark.parametrize(
    ("start", "end", "apart"),
    [
        (at(1), at(3), 2_000.0),
        (at(3), at(1), -2_000.0),
        (at(58), at(1, minute=1), 3_000.0),
        ("~" + at(1), at(3), 2_000.0),
        (at(1), "~~" + at(3), 2_000.0),
        ("2026-03-01T09:00:01.000100Z", "2026-03-01T09:00:01.100200Z", 100.1),
        ("2026-03-01T09:00:59.999999Z", "2026-03-01T09:01:00.000001Z", 0.002),
        ("2026-03-01T09:00:59.900000Z", "2026-03-01T09:01:00.233333Z", 333.333),
    ],
)
def test_milliseconds_lie_between_two_moments(start: str, end: str, apart: float) -> None:
    assert milliseconds(start, end) == apart


# -- records


def made(activity: str, **changes: Any) -> list[tuple[Any, ...]]:
    """What a fact makes, as (name, activity, ts, session, source, features)."""
    return [
        (one.name, one.activity, one.ts, one.session_id, one.source_system, one.features)
        for one in made_of(fact(activity, **changes))
    ]


def test_a_fact_is_told_without_what_serves_the_join_alone() -> None:
    features = {**ADA, "length": 3, "called": "x", "answered": "x", "logged": "x", "last_at": "x"}
    assert made("user_asked", ts="~~" + at(1), session=(True, "s1"), features=features) == [
        (
            *("user_asked", "user_asked", at(1), "s1", "claude_code"),
            {"client": "claude_code", "length": 3},
        )
    ]
    for source, told in ((None, "claude_code"), ("cowork", "cowork")):
        ((*_, system, _),) = made("user_asked", features={"source": source})
        assert system == told


def test_an_answer_is_told_with_the_sum_of_its_blocks() -> None:
    features = {**ADA, "model": "opus", "output_tokens": 7}
    nothing = {"length": 0, "thinking_length": 0, "tool_calls": 0}
    blocks: dict[str, list[Any]] = {
        "b": ["text", 3, at(2), "two"],
        "a": ["text", 5, at(1), "three"],
        "c": ["text", 4, at(1), "four"],
        "d": ["thinking", 7, at(1)],
        "e": ["thinking", 2, at(1)],
        "f": ["tool", 0, at(1)],
        "g": ["tool", 0, at(1)],
    }
    ((*head, told),) = made("claude_responded", features=features)
    assert head == ["claude_responded", "claude_responded", at(1), "s1", "claude_code"]
    own = {"client": "claude_code", "model": "opus", "output_tokens": 7}
    assert told == {**own, **nothing}
    ((*_, told),) = made("claude_responded", features=features, blocks=blocks)
    assert told == {
        **own,
        **{"length": 12, "thinking_length": 9, "tool_calls": 2},
        "response": "three\n\nfour\n\ntwo",
    }
    for model in ({"model": "opus"}, {}):
        repeated = {**ADA, "output_tokens": 7, "is_repeated": True, **model}
        ((*_, told),) = made("claude_responded", features=repeated, blocks=blocks)
        assert told.keys() - {"response", *nothing} == {"is_repeated", *model}


@pytest.mark.parametrize(
    ("titles", "title"),
    [
        (("custom", "generated", "given", "summary"), "custom"),
        ((None, "generated", "given", "summary"), "generated"),
        ((None, None, "given", "summary"), "given"),
        ((None, None, None, "summary"), "summary"),
        (("", None, None, None), None),
    ],
)
def test_a_conversation_has_its_persons_own_title_first(
    titles: tuple[str | None, ...], title: str | None
) -> None:
    names = ("title_custom", "title_generated", "title_given", "title_summary")
    features = {**ADA, **dict(zip(names, titles, strict=True))}
    assert made("session_started", features=features) == [
        (
            *("session_started", "session_started", at(1), "s1", "claude_code"),
            {"client": "claude_code", **({"title": title} if title else {})},
        )
    ]


def test_a_conversation_ends_with_its_last_line_and_has_the_model_that_it_began_with() -> None:
    features = {**ADA, "model_at": [at(2), "opus"], "last_at": at(31)}
    told = {"client": "claude_code", "model": "opus"}
    assert made("session_started", features=features) == [
        (
            *(f"session_ended:{at(31)}", "session_ended", at(31), "s1", "claude_code"),
            {**told, "duration_ms": 30_000.0},
        ),
        ("session_started", "session_started", at(1), "s1", "claude_code", told),
    ]
    late = made("session_started", ts=at(40), features=features)
    assert late[0][0:3] == (f"session_ended:{at(31)}", "session_ended", at(40))
    assert late[0][5]["duration_ms"] == 0.0


CALL = {**ADA, "tool": "Bash", "called": at(2)}
TOLD = {"client": "claude_code", "tool": "Bash"}


@pytest.mark.parametrize(
    ("features", "ts", "told"),
    [
        (CALL, at(2), TOLD),
        ({**CALL, "called": "~" + at(2)}, at(2), TOLD),
        ({**CALL, "called": None, "answered": at(5)}, at(1), TOLD),
        ({**ADA, "tool": "Bash"}, at(1), TOLD),
        ({**CALL, "answered": "~" + at(5)}, at(2), {**TOLD, "latency_ms": 3_000.0}),
        ({**CALL, "answered": at(2)}, at(2), {**TOLD, "latency_ms": 0.0}),
        ({**CALL, "answered": at(1)}, at(2), TOLD),
        (
            {**CALL, "lines_added": 9, "patch_lines_added": 2, "patch_lines_removed": 0},
            at(2),
            {**TOLD, "lines_added": 2, "lines_removed": 0},
        ),
        ({**CALL, "lines_added": 9}, at(2), {**TOLD, "lines_added": 9}),
        ({**CALL, "logged": "id"}, at(2), TOLD),
        (
            {**CALL, "tool": "log_event", "logged": "id"},
            at(2),
            {**TOLD, "tool": "log_event", "logged_activity_id": "id"},
        ),
        ({**CALL, "tool": "log_event"}, at(2), {**TOLD, "tool": "log_event"}),
    ],
)
def test_a_call_is_told_at_its_time_with_how_long_it_took(
    features: dict[str, Any], ts: str, told: dict[str, Any]
) -> None:
    assert made("tool_called", ts="~" + at(1), features=features) == [
        ("tool_called", "tool_called", ts, "s1", "claude_code", told)
    ]


def test_a_result_whose_call_is_not_known_is_told_by_nothing() -> None:
    assert made("tool_called", features={**ADA, "answered": at(1)}) == []


@pytest.mark.parametrize(
    ("tool", "changes", "activity"),
    [
        ("Read", {}, "file_read"),
        ("NotebookRead", {}, "file_read"),
        ("Write", {}, "file_written"),
        ("Edit", {}, "file_written"),
        ("MultiEdit", {}, "file_written"),
        ("NotebookEdit", {}, "file_written"),
        ("Bash", {}, None),
        ("Read", {"outcome": "error"}, None),
        ("Read", {"outcome": None}, None),
        ("Read", {"file": ...}, None),
    ],
)
def test_a_call_that_read_or_wrote_a_file_tells_of_that_too(
    tool: str, changes: dict[str, Any], activity: str | None
) -> None:
    of_file = {"file": "a.py", "kind": "py", "lines_added": 1, "lines_removed": 0}
    about = {"client": "claude_code", "project": "atlas", "agent": "a1"}
    features = {
        **{"source": "claude_code", "tool": tool, "called": at(2), "outcome": "ok"},
        **{"input_length": 7, **of_file, **about},
        **changes,
    }
    features = {name: value for name, value in features.items() if value is not ...}
    _, *others = made("tool_called", features=features)
    expected = (activity, activity, at(2), "s1", "claude_code", {**of_file, **about})
    assert others == ([expected] if activity else [])
