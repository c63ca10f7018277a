"""Credentials at the door: no record is written with one, whoever makes it."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import orjson
import pytest

from cdesk.contract.catalog import Parameter, Template
from cdesk.contract.records import (
    MAX_FEATURE_BYTES,
    encode,
    make_record,
    parse_line,
    without_credentials,
)
from cdesk.core.clock import IdSource
from cdesk.core.errors import CdeskError, InvalidField
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import open_state
from cdesk.state.kill_switch import read_switch, turn_on
from tests.integration.shim.harness import ERAS, connect
from uploader.quarantine import Quarantine, QuarantinedLine
from uploader.sources.history import import_file

TOKEN = "gh" + "p_" + "a1B2" * 9
PASSWORD = "Tr0ub4dor" + "&3xyz"
IDS = IdSource()


def record(kind: Any, **fields: Any) -> dict[str, Any]:
    return make_record(
        kind,
        id=IDS.uuid7(),
        ts="2026-01-31T12:00:00.000000Z",
        customer="ada@example.com",
        session_id=None,
        query_tag="cdesk_00000000",
        fields=fields,
    )


def event(**changes: Any) -> dict[str, Any]:
    fields = {
        "anonymous_customer_id": None,
        "activity": "cdesk.user_asked",
        "feature_json": {},
        "link": None,
        "revenue_impact": None,
    }
    return record("event", **fields | changes)


def test_a_line_holds_no_credential() -> None:
    line = encode(
        event(
            feature_json={"question": f"why is {TOKEN} refused?", "headers": {"X-Api-Key": "abc"}},
            link=f"https://ada:{PASSWORD}@example.com/x",
        )
    )
    assert TOKEN.encode() not in line
    assert PASSWORD.encode() not in line
    kept = parse_line(line)
    assert kept["feature_json"] == {
        "question": "why is [secret:github_token] refused?",
        "headers": {"X-Api-Key": "[secret:api_key]"},
    }
    assert kept["link"] == "https://ada:[secret:password]@example.com/x"


def test_personal_data_is_recorded_as_it_was_written() -> None:
    written = event(feature_json={"question": "mail ada@example.com or call +49 170 1234567"})
    assert parse_line(encode(written)) == written


def test_an_insight_holds_no_credential() -> None:
    insight = record(
        "insight",
        subject=f"password={PASSWORD}",
        metric="rows",
        value=TOKEN,
        provenance_query_hash=None,
    )
    kept = parse_line(encode(insight))
    assert kept["subject"] == "password=[secret:password]"
    assert kept["value"] == "[secret:github_token]"


@pytest.mark.parametrize(
    ("subject", "metric", "value", "kept"),
    [
        ("prod db", "password", PASSWORD, "[secret:password]"),
        ("billing", "API key", PASSWORD, "[secret:api_key]"),
        ("wifi password", "value", PASSWORD, "[secret:password]"),
        ("door", "pin", 482_913, "[secret:security_code]"),
        ("wifi password", "last changed", "2026-01-31", "2026-01-31"),
        ("vault", "api keys", 12, 12),
        ("atlas", "output tokens", 48_213, 48_213),
    ],
)
def test_a_metric_names_a_credential_as_a_key_does(
    subject: str, metric: str, value: str | int, kept: str | int
) -> None:
    insight = record(
        "insight", subject=subject, metric=metric, value=value, provenance_query_hash=None
    )
    assert parse_line(encode(insight))["value"] == kept


@pytest.mark.parametrize("kind", ["event", "insight"])
def test_a_session_id_of_another_program_holds_no_credential(kind: str) -> None:
    made = (
        event()
        if kind == "event"
        else record("insight", subject="a", metric="b", value=1, provenance_query_hash=None)
    )
    assert parse_line(encode(made | {"session_id": TOKEN}))["session_id"] == "[secret:github_token]"
    for harmless in (IDS.uuid7(), "conversation 12", "a1b2c3d4e5f6a7b8c9d0"):
        assert parse_line(encode(made | {"session_id": harmless}))["session_id"] == harmless


@pytest.mark.parametrize("field", ["customer", "anonymous_customer_id"])
def test_a_credential_is_no_identity_of_an_imported_record(
    field: str, state_home: StateDirectory, tmp_path: Path
) -> None:
    path = tmp_path / "records.ndjson"
    path.write_bytes(orjson.dumps(event() | {field: TOKEN}) + b"\n")
    with pytest.raises(CdeskError, match=f"{field}: is a credential") as refused:
        import_file(path, home=state_home, customer="ada@example.com", landed=lambda _: {})
    assert TOKEN not in str(refused.value)


def test_a_replayed_line_holds_no_credential_and_any_other_is_as_it_was(
    state_home: StateDirectory,
) -> None:
    harmless = orjson.dumps(event(feature_json={"n": 1.50}), option=orjson.OPT_SORT_KEYS).decode()
    raws = [orjson.dumps(event(feature_json={"question": TOKEN})).decode(), harmless]
    with (
        closing(open_state(state_home.state_db)) as state,
        closing(QueueWriter(state_home.queue)) as queue,
    ):
        room = Quarantine(Mock(), Mock(), state, customer="ada@example.com")
        lines = [
            QuarantinedLine(f"q-{n}", "quarantine", "newer_version", None, raw, "x", n, "", None)
            for n, raw in enumerate(raws)
        ]
        done = room.replay(lines, queue, now="2026-01-31T12:00:00.000000Z")
    assert [one.verdict for one in done] == ["replayed", "replayed"]
    (path,) = state_home.queue.glob("*.ndjson")
    first, second = path.read_text().splitlines()
    assert json.loads(first)["feature_json"] == {"question": "[secret:github_token]"}
    assert second == harmless


def test_what_stands_in_for_credentials_keeps_the_limits() -> None:
    many = "pw=abcd " * (MAX_FEATURE_BYTES // 9)
    with pytest.raises(InvalidField, match="feature_json"):
        encode(event(feature_json={"question": many}))


def test_fields_without_credentials_come_back_as_they_are() -> None:
    fields = {"subject": "atlas", "metric": "open questions", "value": 3}
    assert without_credentials("insight", fields) is fields


def test_a_parameter_is_searched_for_as_it_was_recorded() -> None:
    template = Template(
        name="insights",
        description="",
        scope="customer",
        parameters=(Parameter(name="subject", type="string"),),
        sql="select 1",
        binds=(),
        example={},
        hash="",
    )
    assert template.check_params({"subject": f"password={PASSWORD}"}) == {
        "subject": "password=[secret:password]"
    }


def test_the_shim_writes_no_credential_anywhere(state_home: StateDirectory) -> None:
    async def run() -> None:
        async with connect(state_home, ERAS[0]) as client:
            await client.call_tool(
                "log_event",
                {"activity": "cdesk.user_asked", "feature_json": {"question": TOKEN}},
            )
            await client.call_tool(
                "log_insight", {"subject": TOKEN, "metric": "m", "value": f"password={PASSWORD}"}
            )
            context = await client.call_tool("get_context", {})
            assert "[secret:password]" in str(context.structured_content)

    asyncio.run(run())
    files = [path for path in state_home.root.rglob("*") if path.is_file()]
    assert any(b"[secret:github_token]" in path.read_bytes() for path in files)
    for path in files:
        content = path.read_bytes()
        assert TOKEN.encode() not in content, path
        assert PASSWORD.encode() not in content, path


def test_an_import_brings_no_credential_in(state_home: StateDirectory, tmp_path: Path) -> None:
    source = tmp_path / "events.ndjson"
    source.write_bytes(
        orjson.dumps(event(feature_json={"question": f"{TOKEN} {PASSWORD}", "pwd": PASSWORD}))
        + b"\n"
    )
    export = tmp_path / "conversations.json"
    message = {
        "uuid": "3f0c6a52-6a57-4f6a-9d5e-222222222222",
        "sender": "human",
        "created_at": "2026-01-31T13:00:01+01:00",
        "text": f"use {TOKEN}",
        "content": [{"type": "text", "text": f"use {TOKEN}"}],
    }
    conversation = {
        "uuid": "3f0c6a52-6a57-4f6a-9d5e-111111111111",
        "name": "keys",
        "created_at": "2026-01-31T12:00:00.123456+00:00",
        "updated_at": "2026-01-31T12:05:00.000000Z",
        "chat_messages": [message],
    }
    export.write_text(json.dumps([conversation]), encoding="utf-8")
    for path in (source, export):
        import_file(
            path,
            home=state_home,
            customer="ada@example.com",
            landed=lambda _: {},
            include_text=True,
        )
    lines = b"".join(path.read_bytes() for path in state_home.queue.glob("*.ndjson"))
    assert lines.count(b"[secret:github_token]") == 2
    assert TOKEN.encode() not in lines
    assert b'"pwd":"[secret:password]"' in lines


def test_the_reason_of_the_kill_switch_holds_no_credential(state_home: StateDirectory) -> None:
    with closing(open_state(state_home.state_db)) as state:
        turn_on(state, state_home, reason=f"leaked {TOKEN}", now="2026-01-31T12:00:00.000000Z")
        assert read_switch(state, None).reason == "leaked [secret:github_token]"
    assert TOKEN.encode() not in state_home.kill_switch.read_bytes()
