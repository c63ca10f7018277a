"""What responses of models cost, and which rows a history tells twice: on rows made by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.governance.account import Account

ADA = "ada@example.com"
RESPONDED, CALLED = "cdesk.claude_responded", "cdesk.tool_called"
PRICES = {"input": 2, "output": 3, "cache_read": 5, "cache_write_5m": 7, "cache_write_1h": 11}
"""US dollars for a million tokens; ten times as much beyond 1,000 of them."""


@pytest.fixture
def usage(local: Account) -> Account:
    assert local.connection is not None
    local.connection.execute(
        "create table events_live (_activity_id varchar, activity varchar, customer varchar, "
        "ts timestamp, _session_id varchar, _source_system varchar, _feature_json json)"
    )
    columns = ", ".join(f"{name}_usd double, long_{name}_usd double" for name in PRICES)
    local.connection.execute(
        f"create table model_prices (model_pattern varchar, valid_from timestamp, "
        f"long_context_tokens bigint, {columns})"
    )
    return local


def price(
    usage: Account, model: str, since: str, times: int = 1, limit: int | None = 1_000
) -> None:
    assert usage.connection is not None
    row: list[Any] = [model, since, limit]
    for dollars in PRICES.values():
        row += [dollars * times, dollars * times * 10]
    usage.connection.execute(f"insert into model_prices values ({', '.join('?' * len(row))})", row)


def respond(usage: Account, id_: str, ts: str = "2026-01-10", **given: Any) -> None:
    tell(usage, id_, RESPONDED, ts, {"output_tokens": 1, **given})


def tell(
    usage: Account, id_: str, activity: str, ts: str, features: dict[str, Any], *,
    customer: str = ADA, source: str = "claude_code",
) -> None:  # fmt: skip
    assert usage.connection is not None
    usage.connection.execute(
        "insert into events_live values (?, ?, ?, ?, 's', ?, ?)",
        [id_, activity, customer, ts, source, json.dumps(features)],
    )


def priced(usage: Account, columns: str) -> dict[str, tuple[Any, ...]]:
    assert usage.connection is not None
    sql = usage("priced_responses", "true").replace("?/*customer*/", f"'{ADA}'")
    found = usage.connection.execute(f"select _activity_id, {columns} from ({sql})").fetchall()
    assert len({row[0] for row in found}) == len(found)
    return {row[0]: row[1:] for row in found}


MILLION = 1_000_000


def test_each_kind_of_token_has_its_price(usage: Account) -> None:
    price(usage, "m", "2026-01-01", limit=None)
    tokens = {
        "input_tokens": 13 * MILLION, "output_tokens": 17 * MILLION,
        "cache_read_tokens": 19 * MILLION, "cache_creation_tokens": 23 * MILLION,
        "cache_creation_1h_tokens": 6 * MILLION,
    }  # fmt: skip
    respond(usage, "a", model="m", project="p", latency_ms=1.5, **tokens)
    [row] = priced(
        usage, "total_tokens, cost_usd, uncached_usd, model, project, latency_ms"
    ).values()
    cost = 13 * 2 + 17 * 3 + 19 * 5 + (23 - 6) * 7 + 6 * 11
    uncached = (13 + 19 + 23) * 2 + 17 * 3
    assert row == ((13 + 17 + 19 + 23) * MILLION, cost, uncached, "m", "p", 1.5)


def test_what_a_response_does_not_say_is_nothing(usage: Account) -> None:
    price(usage, "m", "2026-01-01")
    respond(usage, "a", model="m", output_tokens=MILLION)
    respond(usage, "b")
    columns = (
        "model, project, input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens, "
        "total_tokens, cost_usd, uncached_usd"
    )
    assert priced(usage, columns) == {
        "a": ("m", "unknown", 0, MILLION, 0, 0, MILLION, 3.0, 3.0),
        "b": ("unknown", "unknown", 0, 1, 0, 0, 1, None, None),
    }


@pytest.mark.parametrize(
    ("tokens", "times"),
    [
        ({"input_tokens": 1_000}, 1),
        ({"input_tokens": 1_001}, 10),
        ({"input_tokens": 500, "cache_read_tokens": 300, "cache_creation_tokens": 200}, 1),
        ({"input_tokens": 500, "cache_read_tokens": 300, "cache_creation_tokens": 201}, 10),
        ({"input_tokens": 500, "cache_read_tokens": 501}, 10),
        ({"input_tokens": 5, "output_tokens": 5_000}, 1),
    ],
)
def test_a_long_context_costs_more_from_the_first_token(
    usage: Account, tokens: dict[str, int], times: int
) -> None:
    price(usage, "m", "2026-01-01")
    respond(usage, "a", model="m", **{"output_tokens": 0, **tokens})
    [(uncached,)] = priced(usage, "uncached_usd").values()
    going_in = sum(number for name, number in tokens.items() if name != "output_tokens")
    expected = (going_in * 2 + tokens.get("output_tokens", 0) * 3) * times / MILLION
    assert uncached == pytest.approx(expected, rel=1e-9)


def test_the_price_of_the_time_holds(usage: Account) -> None:
    price(usage, "m", "2026-02-01", times=2)
    price(usage, "m", "2026-01-01")
    price(usage, "other", "2026-01-15", times=9)
    days = {"early": "2025-12-31 23:59:59", "first": "2026-01-01", "last": "2026-01-31 23:59:59",
            "then": "2026-02-01", "later": "2026-03-01"}  # fmt: skip
    for name, ts in days.items():
        respond(usage, name, ts, model="m-20260101", output_tokens=MILLION)
    assert priced(usage, "cost_usd") == {
        "early": (None,), "first": (3.0,), "last": (3.0,), "then": (6.0,), "later": (6.0,),
    }  # fmt: skip


def test_only_responses_with_a_count_that_is_no_repetition_are_priced(usage: Account) -> None:
    respond(usage, "a")
    respond(usage, "repeated", is_repeated=True)
    tell(usage, "uncounted", RESPONDED, "2026-01-10", {"input_tokens": 5})
    tell(usage, "another's", RESPONDED, "2026-01-10", {"output_tokens": 5}, customer="bob")
    tell(usage, "a call", CALLED, "2026-01-10", {"output_tokens": 5})
    assert set(priced(usage, "1")) == {"a"}


def test_what_a_history_has_as_a_call_of_ours_is_told_once(usage: Account) -> None:
    assert usage.connection is not None
    desktop = "claude_desktop"
    logged = {"tool": "log_event", "logged_activity_id": "told twice"}
    others: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        ("by another tool", {**logged, "tool": "Bash"}, {}),
        ("in the desktop's own call", logged, {"source": desktop}),
        ("by another", logged, {"customer": "bob"}),
    ]
    for name, features, given in others:
        tell(
            usage,
            f"call {name}",
            CALLED,
            "2026-01-10",
            {**features, "logged_activity_id": name},
            **given,
        )
        tell(usage, name, RESPONDED, "2026-01-10", {}, source=desktop)
    tell(
        usage,
        "no call",
        "cdesk.user_asked",
        "2026-01-10",
        {**logged, "logged_activity_id": "asked"},
    )
    for name in ("asked", "told twice", "told in cowork", "never told"):
        tell(usage, name, RESPONDED, "2026-01-10", {}, source=desktop)
    tell(usage, "call", CALLED, "2026-01-10", logged)
    tell(usage, "call of cowork", CALLED, "2026-01-10",
         {**logged, "logged_activity_id": "told in cowork"}, source="cowork")  # fmt: skip
    tell(usage, "call without an id", CALLED, "2026-01-10", {"tool": "log_event"})
    sql = usage("usage_events", "claude_responded", "ts < timestamp '2026-01-11'")
    sql = sql.replace("?/*customer*/", f"'{ADA}'")
    tell(usage, "told twice", RESPONDED, "2026-01-10", {"by": "the history"})
    tell(usage, "too late", RESPONDED, "2026-01-11", {})
    found = usage.connection.execute(f"select _activity_id, _source_system from ({sql})").fetchall()
    assert sorted(found) == [
        ("asked", desktop), ("by another", desktop), ("by another tool", desktop),
        ("in the desktop's own call", desktop), ("never told", desktop),
        ("told twice", "claude_code"),
    ]  # fmt: skip


def test_the_sums_of_a_group_say_how_many_have_no_price(usage: Account) -> None:
    assert usage.connection is not None
    price(usage, "m", "2026-01-01", limit=None)
    for place, (model, tokens) in enumerate((("m", 1), ("m", 2), ("unheard-of", 4))):
        given = {"input_tokens": 10 * tokens, "cache_read_tokens": 100 * tokens}
        made = {"cache_creation_tokens": 1_000 * tokens, "output_tokens": tokens}
        respond(usage, f"r{place}", model=model, **given, **made)
    sql = usage("priced_responses", "true").replace("?/*customer*/", f"'{ADA}'")
    found = usage.connection.execute(f"select {usage('usage_sums')} from ({sql})")
    names = [name for name, *_ in found.description or ()]
    [row] = found.fetchall()
    sums = dict(zip(names, row, strict=True))
    cost = sums.pop("cost_usd")
    assert cost == pytest.approx(3 * (10 * 2 + 100 * 5 + 1_000 * 7 + 3) / MILLION, rel=1e-9)
    assert sums == {
        "input_tokens": 70, "output_tokens": 7, "cache_read_tokens": 700,
        "cache_creation_tokens": 7_000, "total_tokens": 7_777, "responses": 3,
        "unpriced_responses": 1,
    }  # fmt: skip
