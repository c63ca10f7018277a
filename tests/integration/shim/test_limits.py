"""Every limit of the tools has its error: field, what is wrong, what is allowed; and nothing is
written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from bench.turn_path import fixtures
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from mcp_shim.tools import TOOLS
from mcp_shim.tools.tool import Tool
from tests.integration.shim.harness import EVENT, Wire, records

INSIGHT = {"subject": "atlas", "metric": "questions", "value": 3}
QUERY = {"template": "recent_activities"}
TICKET = "01a204f6-195e-7c4a-8b6c-e270415d986d"


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


REFUSED: list[tuple[str, str, dict[str, Any], tuple[str, ...]]] = [
    ("activity missing", "log_event", {"feature_json": {}}, ("activity", "missing")),
    ("activity free text", "log_event", EVENT | {"activity": "user asked"},
     ("activity", "user asked", "^cdesk")),
    ("activity too long", "log_event", EVENT | {"activity": "cdesk." + "a" * 65},
     ("activity", "^cdesk")),
    ("activity line feed", "log_event", EVENT | {"activity": "cdesk.a\n"}, ("activity", "^cdesk")),
    ("activity number", "log_event", EVENT | {"activity": 7}, ("activity", "7", "^cdesk")),
    ("features missing", "log_event", {"activity": "cdesk.x"},
     ("feature_json", "missing", "object")),
    ("features text", "log_event", EVENT | {"feature_json": "{no}"},
     ("feature_json", "str", "an object")),
    ("features array", "log_event", EVENT | {"feature_json": []},
     ("feature_json", "list", "an object")),
    ("features a list as text", "log_event", EVENT | {"feature_json": "[1]"},
     ("feature_json", "str", "an object")),
    ("features empty text", "log_event", EVENT | {"feature_json": ""},
     ("feature_json", "str", "an object")),
    ("features a bomb as text", "log_event", EVENT | {"feature_json": '{"a":' * 5_000},
     ("feature_json", "str", "an object")),
    ("features large", "log_event", EVENT | {"feature_json": {"a": "b" * 65_536}},
     ("feature_json", "bytes", "64 KiB")),
    ("features deep", "log_event", EVENT | {"feature_json": deep(33)},
     ("feature_json", "deep", "at most 32")),
    ("features huge number", "log_event", EVENT | {"feature_json": {"a": 2**64}},
     ("feature_json", "64 bits")),
    ("a key of another type", "log_event",
     {"activity": "cdesk.user_asked", "feature_json": {"length": "a dozen"}},
     ("feature_json.length", "'a dozen' is of type string", "of type integer")),
    ("link scheme", "log_event", EVENT | {"link": "file:///etc/passwd"}, ("link", "http")),
    ("link long", "log_event", EVENT | {"link": "https://a/" + "b" * 2_000},
     ("link", "2,010", "2,000")),
    ("link blank", "log_event", EVENT | {"link": "https://a b"}, ("link", "URI")),
    ("revenue text", "log_event", EVENT | {"revenue_impact": "much"},
     ("revenue_impact", "str", "finite number")),
    ("revenue boolean", "log_event", EVENT | {"revenue_impact": True}, ("revenue_impact", "bool")),
    ("timestamp", "log_event", EVENT | {"ts": "2026-01-01T00:00:00Z"},
     ("ts", "unknown", "activity, feature_json")),
    ("customer", "log_event", EVENT | {"customer": "bob"}, ("customer", "unknown")),
    ("near miss", "log_event", EVENT | {"features_json": {}},
     ("features_json", "did you mean feature_json?")),
    ("subject missing", "log_insight", {"metric": "m", "value": 1}, ("subject", "missing")),
    ("subject empty", "log_insight", INSIGHT | {"subject": ""}, ("subject", "1 to 255")),
    ("subject long", "log_insight", INSIGHT | {"subject": "s" * 256}, ("subject", "256", "255")),
    ("subject control", "log_insight", INSIGHT | {"subject": "a\x07"},
     ("subject", "control character")),
    ("metric number", "log_insight", INSIGHT | {"metric": 1}, ("metric", "int")),
    ("value missing", "log_insight", {"subject": "s", "metric": "m"}, ("value", "missing")),
    ("value object", "log_insight", INSIGHT | {"value": {}}, ("value", "dict", "text")),
    ("value long", "log_insight", INSIGHT | {"value": "v" * 4_097}, ("value", "4,097", "4,096")),
    ("value huge", "log_insight", INSIGHT | {"value": 2**63}, ("value", "64 bits")),
    ("hash", "log_insight", INSIGHT | {"provenance_query_hash": "XYZ"},
     ("provenance_query_hash", "hex")),
    ("max_bytes small", "get_context", {"max_bytes": 10}, ("max_bytes", "10", "2,048 to 262,144")),
    ("max_bytes huge", "get_context", {"max_bytes": 10**30},
     ("max_bytes", "out of range", "262,144")),
    ("max_bytes text", "get_context", {"max_bytes": "all"}, ("max_bytes", "str")),
    ("customer_id number", "get_context", {"customer_id": 5}, ("customer_id", "int")),
    ("template missing", "submit_query", {}, ("template", "missing")),
    ("template unknown", "submit_query", {"template": "recent_activites"},
     ("not_found", "did you mean recent_activities?")),
    ("template path", "submit_query", {"template": "../../etc/passwd"},
     ("not_found", "known: recent_activities")),
    ("template array", "submit_query", {"template": ["x"]},
     ("not_found", "known: recent_activities")),
    ("params array", "submit_query", QUERY | {"params": []}, ("params", "list", "object")),
    ("param unknown", "submit_query", QUERY | {"params": {"hours": 2}},
     ("hours", "did you mean hours_back?")),
    ("param range", "submit_query", QUERY | {"params": {"limit": 0}},
     ("limit", "0", "from 1 to 1000")),
    ("param type", "submit_query", QUERY | {"params": {"limit": "'; drop table events; --"}},
     ("limit", "integer")),
    ("byte_cap", "submit_query", QUERY | {"byte_cap": 1}, ("byte_cap", "out of range", "1,024")),
    ("dry_run", "submit_query", QUERY | {"dry_run": "yes"}, ("dry_run", "str", "true or false")),
    ("fresh", "submit_query", QUERY | {"fresh": 1}, ("fresh", "int", "true or false")),
    ("ticket missing", "get_result", {}, ("ticket_id", "missing")),
    ("ticket unknown", "get_result", {"ticket_id": TICKET}, ("not_found", TICKET)),
    ("ticket number", "get_result", {"ticket_id": 5}, ("ticket_id", "int")),
    ("wait long", "get_result", {"ticket_id": TICKET, "wait_seconds": 21},
     ("wait_seconds", "21", "0 to 20")),
    ("wait negative", "get_result", {"ticket_id": TICKET, "wait_seconds": -1},
     ("wait_seconds", "-1")),
    ("wait text", "get_result", {"ticket_id": TICKET, "wait_seconds": "long"},
     ("wait_seconds", "str")),
]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> StateDirectory:
    home = StateDirectory(tmp_path_factory.mktemp("limits")).ensure()
    fixtures.catalog(home)
    return home


@pytest.fixture(scope="module")
def wire(home: StateDirectory) -> Iterator[Wire]:
    with Wire(home) as wire:
        yield wire.open()


@pytest.mark.parametrize(
    ("tool", "arguments", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_value_outside_its_limits_is_refused_with_field_problem_and_what_is_allowed(
    home: StateDirectory, wire: Wire, tool: str, arguments: dict[str, Any], said: tuple[str, ...]
) -> None:
    before = {record["id"] for record in records(home)}
    result = wire.call(tool, arguments)
    assert result["isError"] is True
    text = result["content"][0]["text"]
    code, _, message = text.partition(": ")
    assert code in ("invalid_argument", "not_found")
    assert "\n" not in text
    assert len(text) < 600
    for part in said:
        assert part in text
    assert message
    wire.request("ping")  # what the shim records by itself has been written by now
    written = [record for record in records(home) if record["id"] not in before]
    assert {record.get("activity") for record in written} <= {
        "cdesk.session_started",
        "cdesk.tool_called",
        "cdesk.error_encountered",
    }
    with closing(open_state(home.state_db)) as state:
        for table in ("tickets", "pending_insights"):
            assert state.execute(f"select count(*) from {table}").fetchone() == (0,)


def test_the_largest_that_is_allowed_is_taken(home: StateDirectory, wire: Wire) -> None:
    del home
    biggest = {"a": "b" * (65_536 - 8)}
    event = {
        "activity": "cdesk." + "a" * 64,
        "feature_json": biggest,
        "link": "s3://" + "b" * 1_995,
    }
    assert wire.call("log_event", event | {"revenue_impact": -(2**63)})["isError"] is False
    assert wire.call("log_event", EVENT | {"feature_json": deep(32)})["isError"] is False
    insight = {"subject": "é" * 255, "metric": "m" * 255, "value": "v" * 4_096}
    assert wire.call("log_insight", insight)["isError"] is False
    assert wire.call("get_context", {"max_bytes": 2_048})["isError"] is False


def test_what_clients_send_as_text_is_taken_for_what_it_stands_for(
    home: StateDirectory, wire: Wire
) -> None:
    event = {"activity": "cdesk.sent_as_text", "feature_json": '{"length": 12}'}
    assert wire.call("log_event", event | {"revenue_impact": "12.5"})["isError"] is False
    record = next(one for one in records(home) if one.get("activity") == "cdesk.sent_as_text")
    assert (record["feature_json"], record["revenue_impact"]) == ({"length": 12}, 12.5)
    asked = {"activity": "cdesk.user_asked", "feature_json": {"topic": "text", "length": "12"}}
    assert wire.call("log_event", asked)["isError"] is False
    asked_all = [one for one in records(home) if one.get("activity") == "cdesk.user_asked"]
    assert {"topic": "text", "length": 12} in [one["feature_json"] for one in asked_all]
    whole = json.dumps({"activity": "cdesk.sent_whole", "feature_json": {"a": 1}})
    assert wire.request("tools/call", {"name": "log_event", "arguments": whole})["result"]
    assert "cdesk.sent_whole" in [one.get("activity") for one in records(home)]
    assert wire.request("tools/call", {"name": "get_context", "arguments": " "})["result"]
    refused = wire.request("tools/call", {"name": "get_context", "arguments": "[1]"})
    assert refused["error"]["code"] == -32602
    insight = {"subject": "atlas", "metric": "as text", "value": "5"}
    assert wire.call("log_insight", insight)["isError"] is False
    record = next(one for one in records(home) if one.get("metric") == "as text")
    assert record["value"] == "5", "text is one of its types"
    assert wire.call("get_context", {"max_bytes": "4096"})["isError"] is False
    query = {"params": '{"limit": "30", "hours_back": ""}', "dry_run": "true", "byte_cap": "2048"}
    answer = wire.call("submit_query", QUERY | query)["structuredContent"]
    assert {bind for bind in answer["dry_run"]["binds"] if isinstance(bind, int)} >= {30, 24}


@pytest.mark.parametrize("nothing", [None, "", " "])
@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_nothing_for_an_optional_argument_is_as_if_it_were_left_out(
    wire: Wire, tool: Tool, nothing: object
) -> None:
    needed = {
        "log_event": EVENT,
        "log_insight": INSIGHT,
        "submit_query": QUERY,
        "get_result": {"ticket_id": TICKET},
        "describe_template": {"template": QUERY["template"]},
        "forget_insight": {"insight_id": TICKET},
    }.get(tool.name, {})
    required = tool.input.get("required", ())
    assert set(required) <= set(needed), "an example of each tool that needs an argument"
    optional = {name: nothing for name in tool.arguments if name not in required}
    result = wire.call(tool.name, {**optional, **needed})
    text = result["content"][0]["text"]
    assert result["isError"] is False or text.startswith("not_found: "), text


@pytest.mark.parametrize("id_stands", ["before", "behind"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (b'{"activity":"cdesk.x","feature_json":{"a":"\\ud800"}}', -32700),
        (b'{"activity":"cdesk.x","feature_json":' + b'{"a":' * 400 + b"1" + b"}" * 401, -32700),
        (
            b'{"activity":"cdesk.x","feature_json":' + b'{"id":' * 200_000 + b"1" + b"}" * 200_001,
            -32700,
        ),
        (
            b'{"activity":"cdesk.x","feature_json":{"id":7,"a":"' + b"x" * 10_000_000 + b'"}}',
            -32600,
        ),
    ],
    ids=["lone surrogate", "depth bomb", "deeper bomb", "10 MB"],
)
def test_a_request_that_the_parser_cannot_read_is_answered_all_the_same(
    home: StateDirectory, wire: Wire, arguments: bytes, code: int, id_stands: str
) -> None:
    before = {record["id"] for record in records(home)}
    params = b'"method":"tools/call","params":{"name":"log_event","arguments":' + arguments + b"}"
    line = b'{"jsonrpc":"2.0","id":"odd",' + params + b"}"
    if id_stands == "behind":
        line = b"{" + params + b',"jsonrpc":"2.0","id":"odd"}'
    wire.send(line)
    answer = wire.receive()
    assert answer["id"] == "odd"
    assert answer["error"]["code"] == code
    wire.request("ping")
    assert "cdesk.x" not in [
        record.get("activity") for record in records(home) if record["id"] not in before
    ]
