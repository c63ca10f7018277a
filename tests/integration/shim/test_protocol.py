"""What stands on the wire is what the SDK says, whatever of it was imported and whoever
carried it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.turn_path import fixtures
from cdesk.core.home import StateDirectory
from tests import forked
from tests.integration.shim.harness import EVENT, Wire, environment, records

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "wire", "version": "1"},
}


def request(number: Any, method: str, params: Any = None) -> bytes:
    message = {"jsonrpc": "2.0", "id": number, "method": method}
    return json.dumps(message | ({} if params is None else {"params": params})).encode()


def initialize(version: str = "2025-11-25") -> bytes:
    client = {"name": "wire", "version": "1"}
    return request(
        1, "initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": client}
    )


INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
CALL = {"name": "log_event", "arguments": EVENT}
COMMON = [
    request("text-id", "ping"),
    request(10**30, "ping"),
    request(3, "tools/list"),
    request(4, "tools/list", {"cursor": 5}),
    request(5, "no/such/method"),
    request(6, "prompts/list"),
    request(7, "tools/call", CALL),
    request(10**30, "tools/call", CALL),
    request(8, "tools/call", {"name": "no_such_tool", "arguments": {}}),
    request(9, "tools/call", {"arguments": {}}),
    request(10, "tools/call", {"name": "log_event", "arguments": "text"}),
    request(11, "tools/call", {"name": "log_event"}),
    request(12, "tools/call", {"name": "get_context", "arguments": {"max_bytes": 2048}}),
    request(
        13, "tools/call", {"name": "submit_query", "arguments": {"template": "recent_activities"}}
    ),
    request(14, "resources/list"),
    request(15, "resources/templates/list"),
    request(16, "resources/read", {"uri": "cdesk://templates/recent_activities"}),
    request(17, "resources/read", {"uri": "cdesk://nothing"}),
    request(18, "resources/read"),
    request(19, "completion/complete", {"ref": {"type": "ref/prompt", "name": "x"}}),
    request(20, "logging/setLevel", {"level": "info"}),
    b'{"jsonrpc":"2.0","id":21,"method":"ping","params":null}',
    b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}',
    b'{"jsonrpc":"1.0","id":22,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":23,"result":{}}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":999}}',
    b"this is no JSON",
    b'{"jsonrpc":"2.0","id":24,"method":"ping"',
    b"[]",
    b"",
    b"\xff\xfe",
    b'{"jsonrpc":"2.0","id":25,"method":"tools/call","params":{"name":"log_event","arguments":{"activity":"cdesk.x",'
    b'"feature_json":{"n":12345678901234567890123}}}}',
    b'{"jsonrpc":"2.0","id":26,"method":"tools/call","params":{"name":"log_event","arguments":{"activity":"cdesk.x",'
    b'"feature_json":{"n":NaN}}}}',
]
LAST = request("last", "ping")
DROPPED_BY_THE_SDK = (None, 1.5, 22, 24)
"""Ids in COMMON of requests that the SDK's own transport never answers; `None` for `[]`."""


def enveloped(line: bytes) -> bytes:
    """The request with the envelope of protocol 2026-07-28."""
    try:
        message = json.loads(line)
    except ValueError:
        return line
    if not isinstance(message, dict) or "method" not in message or "id" not in message:
        return line
    params = message.get("params") or {}
    message["params"] = {**params, "_meta": META} if isinstance(params, dict) else params
    return json.dumps(message).encode()


CONVERSATIONS = {
    "handshake": [initialize(), INITIALIZED, *COMMON, enveloped(request(30, "ping")), LAST],
    "old handshake": [initialize("2024-11-05"), INITIALIZED, *COMMON, LAST],
    "unknown version": [initialize("1999-01-01"), INITIALIZED, request(2, "tools/list"), LAST],
    "no handshake": [request(2, "tools/list"), request(3, "tools/call", CALL), LAST],
    "notification first": [INITIALIZED, b"no JSON", initialize(), request(2, "tools/list"), LAST],
    "bad handshake": [
        request(1, "initialize", {"protocolVersion": 3}),
        request(2, "tools/list"),
        LAST,
    ],
    "modern": [
        enveloped(request(1, "server/discover")),
        *(enveloped(line) for line in COMMON),
        initialize(),
        request(31, "tools/list"),
        request(
            32, "tools/list", {"_meta": {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}}
        ),
        enveloped(request("last", "tools/list")),
    ],
}
_VARIABLE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z|cdesk_[0-9a-f]{8}"
)


def transcript(home: StateDirectory, variant: str, lines: list[bytes]) -> list[Any]:
    """Every answer, in the order of ids, what differs from run to run blanked out. variant: the
    real server's ("ours"), or what `reference_server` calls it.
    """
    process = None
    if variant != "ours":
        from tests.integration.shim import reference_server  # what it imports no other test needs

        process = forked.start(
            reference_server.main, variant, environ=environment(home), buffering=0
        )
    with Wire(home, process=process) as wire:
        for line in lines:
            wire.send(line)
        answers = []
        while not answers or answers[-1].get("id") != "last":
            answers.append(wire.receive())
    text = _VARIABLE.sub("…", json.dumps(sorted(answers, key=lambda answer: str(answer.get("id")))))
    found: list[Any] = json.loads(text)
    return found


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_answers_are_those_of_the_sdk_imported_in_full_on_its_own_transport(
    tmp_path: Path, name: str
) -> None:
    """`full`: all of the SDK imported, our transport. `stock`: the SDK's transport and its driver
    for both eras as well.
    """
    found = {}
    for variant in ("ours", "full", "stock"):
        home = StateDirectory(tmp_path / variant).ensure()
        fixtures.catalog(home)
        found[variant] = transcript(home, variant, CONVERSATIONS[name])
    assert found["full"] == found["ours"]
    refused = [answer for answer in found["ours"] if answer["id"] in DROPPED_BY_THE_SDK]
    assert all(answer["error"]["code"] in (-32700, -32600) for answer in refused)
    assert [answer for answer in found["ours"] if answer not in refused] == found["stock"]
    assert len(found["ours"]) > 2


def test_a_cancelled_call_is_never_answered_and_the_connection_goes_on(
    state_home: StateDirectory,
) -> None:
    fixtures.catalog(state_home)
    with Wire(state_home) as wire:
        wire.open()
        ticket = wire.call("submit_query", {"template": "recent_activities"})["structuredContent"][
            "ticket_id"
        ]
        waiting = wire.ask(
            "tools/call",
            {"name": "get_result", "arguments": {"ticket_id": ticket, "wait_seconds": 20}},
        )
        wire.request("ping")
        cancelled = {"requestId": waiting, "reason": "changed my mind"}
        wire.send(
            json.dumps(
                {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled}
            ).encode()
        )
        wire.request("ping")
        fixtures.finish(state_home, ticket)
        answered = [wire.request("ping")["id"] for _ in range(5)]
        assert waiting not in answered
    told = [one["feature_json"] for one in records(state_home) if "feature_json" in one]
    assert [one["outcome"] for one in told if one.get("tool") == "get_result"] == ["cancelled"]
    assert [one["calls"] for one in told if "calls" in one] == [2]


def test_a_line_beyond_all_bounds_costs_only_itself(state_home: StateDirectory) -> None:
    with Wire(state_home) as wire:
        wire.open()
        wire.send(
            b'{"jsonrpc":"2.0","id":99,"method":"ping","params":{"x":"' + b"y" * (9 << 20) + b'"}}'
        )
        refusal = wire.receive()
        assert (refusal["id"], refusal["error"]["code"]) == (99, -32600)
        assert wire.request("ping")["result"] == {}


DIGITS = b"9" * 5_000
UNSERVED = {
    "an integer of 5,000 digits": (b'"odd"', b'"params":{"n":' + DIGITS + b"}", -32700),
    "an id of 5,000 digits": (DIGITS, b'"params":{}', -32700),
    "a lone surrogate": (b"7", b'"params":{"n":"\\ud800"}', -32700),
    "nested 400 deep": (b"7", b'"params":' + b'{"a":' * 400 + b"1" + b"}" * 400, -32700),
    "no whole JSON": (b'"odd"', b'"params":{"n":', -32700),
    "an id with a fraction": (b"1.5", b'"params":{}', -32600),
    "an id that is null": (b"null", b'"params":{}', -32600),
    "parameters in an array": (b"7", b'"params":[1]', -32600),
}


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with Wire(StateDirectory(tmp_path_factory.mktemp("wire")).ensure()) as wire:
        yield wire.open("2025-03-26")


@pytest.mark.parametrize("name", UNSERVED)
def test_a_request_that_cannot_be_served_is_answered_under_its_id(wire: Wire, name: str) -> None:
    id, rest, code = UNSERVED[name]
    end = b"" if name == "no whole JSON" else b"}"
    wire.send(b'{"jsonrpc":"2.0","id":' + id + b',"method":"ping",' + rest + end)
    line = wire.receive_line()
    assert b'"id":' + id + b"," in line
    assert json.loads(line.replace(DIGITS, b"9"))["error"]["code"] == code
    assert wire.request("ping")["result"] == {}


def test_a_byte_that_is_no_utf8_becomes_the_replacement_character(
    state_home: StateDirectory,
) -> None:
    """As in the SDK's own transport."""
    with Wire(state_home) as wire:
        wire.open()
        call = request(9, "tools/call", {"name": "log_event", "arguments": {**EVENT}})
        wire.send(call.replace(b"why?", b"why\xff\xfe?"))
        assert wire.receive()["result"]["isError"] is False
        asked = [item for item in records(state_home) if item.get("activity") == EVENT["activity"]]
        assert asked[0]["feature_json"]["question"] == "why\ufffd\ufffd?"


@pytest.mark.parametrize(
    "before",
    [
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf \t",
        b" \xef\xbb\xbf\xef\xbb\xbf",
        b"  ",
        b"\r",
        b"\x00\x1b",
    ],
)
def test_a_byte_order_mark_or_blanks_before_a_request_are_skipped(
    wire: Wire, before: bytes
) -> None:
    wire.send(before + request("marked", "ping"))
    answer = wire.receive()
    assert (answer["id"], answer["result"]) == ("marked", {})


def test_a_byte_order_mark_before_the_first_request_is_skipped(state_home: StateDirectory) -> None:
    with Wire(state_home) as wire:
        wire.send(b"\xef\xbb\xbf" + initialize())
        assert wire.receive()["result"]["serverInfo"]["name"] == "cdesk"


def test_a_batch_is_answered_by_one_array(wire: Wire) -> None:
    """Protocol 2025-03-26 demands it; other versions get the same."""
    parts = [
        request("a", "ping"),
        INITIALIZED,
        request("b", "tools/call", {"name": "log_event", "arguments": EVENT}),
        b"7",
        b"[]",
        b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}',
        request("c", "no/such/method"),
        b'{"jsonrpc":"2.0","id":"d","method":"ping","params":{"n":' + DIGITS + b"}}",
    ]
    wire.send(b" [" + b" ,\t".join(parts) + b"] ")
    answers = json.loads(wire.receive_line())
    assert isinstance(answers, list)
    by_id = {answer["id"]: answer for answer in answers if answer["id"] is not None}
    assert by_id.keys() == {"a", "b", "c", "d", 1.5}
    assert by_id["a"]["result"] == {}
    assert by_id["b"]["result"]["structuredContent"]["accepted"] == "queued"
    assert by_id["c"]["error"]["code"] == -32601
    assert sum(answer["id"] is None for answer in answers) == 2
    assert wire.request("ping")["result"] == {}


@pytest.mark.parametrize("batch", [b"[]", b"[1", b"[1]]", b"[" * 200_000, b'[{"a":1},]'])
def test_a_batch_that_is_none_is_answered_without_an_id(wire: Wire, batch: bytes) -> None:
    wire.send(batch)
    answer = json.loads(wire.receive_line())
    assert (answer["id"], answer["error"]["code"]) == (None, -32600)
    assert wire.request("ping")["result"] == {}


def test_a_batch_of_notifications_has_no_answer(wire: Wire) -> None:
    wire.send(b"[" + INITIALIZED + b"," + INITIALIZED + b"]")
    assert wire.request("ping")["result"] == {}


def test_a_batch_with_a_cancelled_call_is_answered_without_it(state_home: StateDirectory) -> None:
    fixtures.catalog(state_home)
    with Wire(state_home) as wire:
        wire.open()
        query = {"template": "recent_activities"}
        ticket = wire.call("submit_query", query)["structuredContent"]["ticket_id"]
        wait = {"name": "get_result", "arguments": {"ticket_id": ticket, "wait_seconds": 20}}
        batch = b",".join((request("slow", "tools/call", wait), request("fast", "ping")))
        wire.send(b"[" + batch + b"]")
        wire.request("ping")
        wire.send(
            b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"slow"}}'
        )
        answers = json.loads(wire.receive_line())
        assert [answer["id"] for answer in answers] == ["fast"]
