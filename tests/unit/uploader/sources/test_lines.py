"""A line as it is read: each field under its name, whatever else or else-typed stands there."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from uploader.sources import lines as module
from uploader.sources.lines import (
    UNREADABLE,
    Block,
    Created,
    Detail,
    Hunk,
    Line,
    Message,
    Part,
    Served,
    Usage,
    decode_known,
    mend,
    read_document,
    read_line,
    unknown_fields,
)

FIELDS = {
    "type": ("type", "user"),
    "subtype": ("subtype", "init"),
    "isSidechain": ("is_sidechain", True),
    "cwd": ("cwd", "/srv"),
    "sessionId": ("session", "s1"),
    "session_id": ("session_snake", "s2"),
    "version": ("version", "2.0"),
    "entrypoint": ("entry_point", "cli"),
    "agentId": ("agent", "a1"),
    "requestId": ("request", "q1"),
    "request_id": ("request_snake", "q2"),
    "isApiErrorMessage": ("is_error", True),
    "error": ("error", {"status": 429}),
    "timestamp": ("timestamp", "2026-03-01"),
    "_audit_timestamp": ("audit_timestamp", "2026-03-02"),
    "toolUseResult": ("detail", "text"),
    "isMeta": ("is_meta", True),
    "isCompactSummary": ("is_summary", True),
    "isSynthetic": ("is_synthetic", True),
    "forkedFrom": ("forked_from", {}),
    "parent_tool_use_id": ("parent_call", "t1"),
}
NAMES = [*(ours for ours, _ in FIELDS.values()), "message"]


def raw(document: Any) -> bytes:
    return json.dumps(document).encode()


def said(line: Line) -> dict[str, Any]:
    """What a line says, without what it does not."""
    return {name: value for name in NAMES if (value := getattr(line, name)) is not None}


@pytest.mark.parametrize("theirs", FIELDS)
def test_each_field_is_read_under_its_name_and_may_be_missing(theirs: str) -> None:
    ours, value = FIELDS[theirs]
    for read in (decode_known, read_line):
        assert said(read(raw({theirs: value}))) == {ours: value}
    if ours != theirs:
        assert said(read_line(raw({ours: value}))) == {}
    assert said(read_line(b"{}")) == {}


def test_a_message_is_read_with_all_that_stands_in_it() -> None:
    usage = {
        "input_tokens": 0,
        "cache_creation_input_tokens": 1,
        "cache_read_input_tokens": 2,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
        "output_tokens": 2**53 - 1,
        "server_tool_use": {"web_search_requests": 6},
        "service_tier": "standard",
        "speed": "fast",
    }
    blocks = [
        {"type": "text", "text": "Hi", "id": "b", "name": "n", "input": [1], "is_error": True},
        {"type": "x", "thinking": "hm", "tool_use_id": "t", "content": [{"text": "a"}, 5, "b"]},
        "odd",
        None,
    ]
    message = {"model": "opus", "id": "m1", "content": blocks, "stop_reason": "end", "usage": usage}
    patch = {"structuredPatch": [{"lines": ["+a", 5]}, 7]}
    for read in (decode_known, read_line):
        line = read(raw({"message": message, "toolUseResult": patch}))
        assert line.message == Message(
            model="opus",
            id="m1",
            content=[
                Block(type="text", text="Hi", id="b", name="n", input=[1], is_error=True),
                Block(type="x", thinking="hm", tool_use_id="t", content=[Part("a"), 5, "b"]),
                "odd",
                None,
            ],
            stop_reason="end",
            usage=Usage(0, 1, 2, Created(3, 4), 2**53 - 1, Served(6), "standard", "fast"),
        )
        assert line.detail == Detail([Hunk(["+a", 5]), 7])


@pytest.mark.parametrize("count", [-1, 2**53, 1.5, True, "7"])
def test_a_count_is_a_number_that_every_engine_holds(count: Any) -> None:
    usage = {"input_tokens": count, "output_tokens": 7, "cache_creation": {"x": 1}}
    line = read_line(raw({"cwd": "/srv", "message": {"id": "m", "usage": usage}}))
    assert line.message == Message(id="m", usage=Usage(output_tokens=7, cache_creation=Created()))
    assert line.cwd == "/srv"


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"cwd": 5, "sessionId": "s"}, {"session": "s"}),
        ({"message": "odd", "cwd": "c"}, {"cwd": "c"}),
        ({"message": {"id": 5, "model": "m"}}, {"message": Message(model="m")}),
        ({"message": {"content": 5, "id": "m"}}, {"message": Message(id="m")}),
        (
            {"message": {"content": [{"type": "text", "text": 5}, "odd", {"content": [5, {}]}]}},
            {"message": Message(content=[Block(type="text"), "odd", Block(content=[5, Part()])])},
        ),
        (
            {"message": {"content": [{"content": [{"text": 5}, {"text": "a"}]}]}},
            {"message": Message(content=[Block(content=[Part(), Part("a")])])},
        ),
        ({"message": {"usage": 5}}, {"message": Message()}),
        (
            {"message": {"usage": {"cache_creation": 5, "server_tool_use": {}}}},
            {"message": Message(usage=Usage(server_tool_use=Served()))},
        ),
        ({"toolUseResult": {"structuredPatch": 5}}, {"detail": Detail()}),
        (
            {"toolUseResult": {"structuredPatch": [{"lines": 5}, [1]]}, "isMeta": 1},
            {"detail": Detail([Hunk(), [1]])},
        ),
        ({"toolUseResult": 5, "cwd": "c"}, {"cwd": "c"}),
        ({"cwd": ["c"], "usage": {"input_tokens": 1}}, {}),
    ],
)
def test_a_value_of_another_type_is_left_out_and_its_neighbours_are_read(
    document: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert said(read_line(raw(document))) == expected


def test_a_line_is_known_where_all_its_fields_are() -> None:
    known = {"uuid": "u", "parentUuid": None, "gitBranch": ["x"], "mcpMeta": {}}
    assert said(decode_known(raw({**known, "cwd": "/srv"}))) == {"cwd": "/srv"}
    with pytest.raises(msgspec.ValidationError):
        decode_known(raw({"brandNew": 1}))
    assert set(unknown_fields(raw({**known, "brandNew": 1, "cwd": 5}))) == {"brandNew"}
    assert not unknown_fields(b"[]")
    assert not unknown_fields(b"{torn")
    assert set(module._PASSED_BY) <= module._NAMES


def test_what_claude_code_has_written_since_august_2026_is_known() -> None:
    """As versions 2.1.215 to 2.1.263 do; else each line of an answer would be read three times."""
    written = {"type": "assistant", "effort": "high", "apiBlockIndex": 1, "userType": "external"}
    assert said(decode_known(raw(written))) == {"type": "assistant"}


@pytest.mark.parametrize("line", [b"{torn", b"[]", b"5", b'{"cwd": "\xff"}', b"{" * 100_000])
def test_what_is_no_object_in_json_is_not_read(line: bytes) -> None:
    with pytest.raises(UNREADABLE):
        read_line(line)


@pytest.mark.parametrize(
    ("line", "is_ended", "problem", "cwd"),
    [
        (b"{torn", True, "a line that is no JSON", None),
        (b"{torn", False, None, None),
        (b'{"cwd": "lat\xefn"}', True, "a line that is no UTF-8, read all the same", "lat\ufffdn"),
        (b'{"cwd": "lat\xefn"}', False, None, None),
        (b'{"cwd": "\\ud83d"}', True, "a line that is no UTF-8, read all the same", "?"),
        (b"[1]", True, "a line that is no JSON object", None),
        (b" \t\r\n\0", True, None, None),
        (b"", True, None, None),
        (b"\0x", True, "a line that is no JSON", None),
        (b"[" * 100_000, True, "a line that is no JSON", None),
    ],
)
def test_what_cannot_be_read_is_mended_or_told(
    line: bytes, is_ended: bool, problem: str | None, cwd: str | None
) -> None:
    mended = mend(line, is_ended=is_ended)
    assert mended.problem == problem
    assert (mended.line.cwd if mended.line else None) == cwd
    if mended.line is None:
        assert mended.raw == line
    else:
        assert json.loads(mended.raw) == {"cwd": cwd}


@pytest.mark.parametrize(
    ("line", "document"),
    [
        (b'{"a": [1, "\xc3\xb6"]}', {"a": [1, "ö"]}),
        (b"[1]", {}),
        (b"{torn", {}),
        (b'{"a": "lat\xefn"}', {"a": "lat\ufffdn"}),
        (b'{"a": "\\ud83d"}', {"a": "?"}),
        (b"[" * 100_000, {}),
    ],
)
def test_all_of_a_line_is_read_where_it_is_asked_for(line: bytes, document: Any) -> None:
    assert read_document(line) == document
