"""What one exported conversation becomes: each record whole, each form of a message, each bound."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson
import pytest

from cdesk.contract.records import MAX_FEATURE_BYTES, Record
from uploader.sources.claude_export import (
    MAX_TEXT_BYTES,
    NAMESPACE,
    Tally,
    conversation_records,
    fit_text,
    is_conversation,
    last_part,
)

SOURCE = {"source": "claude_export"}


def at(second: int) -> str:
    return f"2026-01-31T12:00:{second:02d}.000000Z"


def said(sender: Any, second: int = 1, **more: Any) -> dict[str, Any]:
    message = {
        "uuid": f"u{second}",
        "sender": sender,
        "created_at": f"2026-01-31T12:00:{second:02d}Z",
    }
    return {name: value for name, value in {**message, **more}.items() if value is not ...}


def human(second: int = 1, **more: Any) -> dict[str, Any]:
    return said("human", second, **more)


def assistant(*content: Any, second: int = 2, **more: Any) -> dict[str, Any]:
    return said("assistant", second, **{"content": list(content), **more})


class Read:
    """A conversation with these messages, as it comes in."""

    def __init__(
        self,
        *messages: Any,
        include_text: bool = False,
        project: str | None = None,
        **changes: Any,
    ) -> None:
        conversation = {
            **{"uuid": "c1", "created_at": "2026-01-31T13:00:00+01:00"},
            **{"chat_messages": list(messages), **changes},
        }
        conversation = {key: one for key, one in conversation.items() if one is not ...}
        assert is_conversation(conversation)
        self.tally = Tally()
        self.records: list[Record] = list(
            conversation_records(
                conversation,
                where="conversation 7",
                customer="ada",
                include_text=include_text,
                tally=self.tally,
                project=project,
            )
        )

    @property
    def told(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """(activity, ts, features) of each record."""
        return [
            (one["activity"].removeprefix("cdesk."), one["ts"], one["feature_json"])
            for one in self.records
        ]

    def of(self, activity: str) -> list[Mapping[str, Any]]:
        return [features for name, _, features in self.told if name == activity]

    def one(self, activity: str) -> Mapping[str, Any]:
        (features,) = self.of(activity)
        return features


def own_id(*name: object) -> str:
    return str(uuid.uuid5(NAMESPACE, json.dumps(name)))


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


# -- conversations


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"uuid": "c", "chat_messages": []}, True),
        ({"uuid": "c", "chat_messages": {}}, False),
        ({"uuid": 5, "chat_messages": []}, False),
        ({"chat_messages": []}, False),
        ({"uuid": "c"}, False),
        ([], False),
        (None, False),
    ],
)
def test_a_conversation_has_an_id_and_messages(value: object, expected: bool) -> None:
    assert is_conversation(value) is expected


def test_every_record_of_a_conversation_names_it_and_keeps_its_id() -> None:
    call = {"type": "tool_use", "name": "bash"}
    read = Read(
        human(1, uuid=..., files=[{"file_name": "a.py"}]),
        assistant(call, call, files=[{"file_name": "b.py"}]),
    )
    assert [record["id"] for record in read.records] == [
        own_id("c1", "session_started"),
        own_id("c1", "user_asked", "message", 1),
        own_id("c1", "file_read", "message", 1, "files", 0),
        own_id("c1", "tool_called", "u2", "tool_use", 0),
        own_id("c1", "tool_called", "u2", "tool_use", 1),
        own_id("c1", "claude_responded", "u2"),
        own_id("c1", "file_written", "u2", "files", 0),
    ]
    tag = "cdesk_" + uuid.uuid5(NAMESPACE, '["tag", "c1"]').hex[:8]
    for record in read.records:
        assert (record["session_id"], record["customer"]) == ("c1", "ada")
        assert (record["query_tag"], record["source_system"]) == (tag, "claude_export")
    for odd in ("", 5, None):
        assert Read(human(1, uuid=odd)).records[1]["id"] == own_id("c1", "user_asked", "message", 1)


def test_a_conversation_begins_when_it_was_made_or_with_its_first_message() -> None:
    assert Read(human(1)).told[0] == (
        *("session_started", at(0)),
        {**SOURCE, "title_length": 0},
    )
    for odd in (..., "yesterday", 7, "0001-01-01T00:00:00+01:00"):
        assert Read(human(5), human(4), created_at=odd).told[0][1] == at(5)
    nothing = Read(created_at="yesterday")
    assert nothing.records == []
    assert nothing.tally.reasons == ["conversation 7: its created_at is 'yesterday'"]
    assert Read(created_at=...).tally.reasons == ["conversation 7: its created_at is missing"]


def test_a_conversation_has_its_model_project_and_where_it_is_asked_for_title() -> None:
    named: dict[str, Any] = {"name": "My title", "model": "m" * 201}
    own = {**SOURCE, "title_length": 8, "model": "m" * 200}
    assert Read(**named).one("session_started") == own
    assert Read(**named, project="atlas").one("session_started") == {**own, "project": "atlas"}
    titled = Read(**named, include_text=True)
    assert titled.one("session_started") == {**own, "title": "My title"}
    assert titled.tally.cut == 0
    for odd in (None, 5, ["t"]):
        told = Read(name=odd, include_text=True).one("session_started")
        assert told == {**SOURCE, "title_length": 0}
    assert "title" not in Read(name="", include_text=True).one("session_started")


@pytest.mark.parametrize(("length", "is_told"), [(0, False), (1, True), (255, True), (256, False)])
def test_a_conversations_id_has_a_length_that_a_record_holds(length: int, is_told: bool) -> None:
    read = Read(human(), uuid="c" * length)
    assert bool(read.records) is is_told
    expected = [] if is_told else [f"conversation 7: its uuid has {length} characters"]
    assert read.tally.reasons == expected
    assert read.tally.left_out == len(expected)


def test_messages_that_are_none_are_told_with_their_place_and_their_neighbours_come_in() -> None:
    long = "x" * 38
    read = Read(
        "odd",
        said("system"),
        said(...),
        human(created_at=7),
        human(created_at=...),
        said(long),
        said(long + "x"),
        human(3),
    )
    assert read.tally.reasons == [
        "conversation 7, message 1: it is no object",
        "conversation 7, message 2: its sender is 'system'",
        "conversation 7, message 3: its sender is missing",
        "conversation 7, message 4: its created_at is 7",
        "conversation 7, message 5: its created_at is missing",
        f"conversation 7, message 6: its sender is '{long}'",
        f"conversation 7, message 7: its sender is '{long}…",
    ]
    assert read.tally.left_out == 7
    assert [(name, ts) for name, ts, _ in read.told] == [
        ("session_started", at(0)),
        ("user_asked", at(3)),
    ]


def test_the_first_ten_reasons_are_kept_and_all_counted() -> None:
    tally = Tally()
    for number in range(12):
        tally.leave_out("here", str(number))
    assert tally.left_out == 12
    assert tally.reasons == [f"here: {number}" for number in range(10)]


# -- questions and answers


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({}, ""),
        ({"text": "Hi"}, "Hi"),
        ({"text": 5}, ""),
        ({"text": "Hi", "content": [text("one"), text(""), text("two")]}, "one\n\ntwo"),
        ({"text": "Hi", "content": [{"type": "text", "text": 5}]}, ""),
        ({"text": "Hi", "content": [{"type": "hologram"}]}, "Hi"),
        ({"text": "Hi", "content": [{"type": "thinking", "thinking": "hm"}]}, ""),
        ({"content": "as text"}, "as text"),
        ({"content": {"type": "text", "text": "alone"}}, "alone"),
        ({"content": [' [{"type":"text","text":"in text"}]', "", "odd"]}, "in text\n\nodd"),
        ({"content": "[]", "text": "Hi"}, "Hi"),
        ({"content": "[{}]"}, "[{}]"),
        ({"content": '["type"]'}, '["type"]'),
        ({"content": "{}"}, "{}"),
    ],
)
def test_a_question_is_what_its_content_says_or_its_text(
    message: dict[str, Any], told: str
) -> None:
    own = {**SOURCE, "length": len(told), "attachments": 0}
    assert Read(human(1, **message)).told[1:] == [("user_asked", at(1), own)]
    asked = Read(human(1, **message), include_text=True).one("user_asked")
    assert asked == {**own, "question": told}


@pytest.mark.parametrize(
    ("content", "given", "told"),
    [
        ([text("a"), text("b")], "", "a\n\nb"),
        ([{"type": "hologram"}], "placeholder", ""),
        (None, "Yes.", "Yes."),
        ([], "Yes.", "Yes."),
        ([], None, ""),
    ],
)
def test_an_answer_is_what_its_content_says_or_its_text(
    content: Any, given: Any, told: str
) -> None:
    message = assistant(content=content, text=given)
    own = {**SOURCE, "length": len(told), "thinking_length": 0, "tool_calls": 0}
    assert Read(message).told[1:] == [("claude_responded", at(2), own)]
    answered = Read(message, include_text=True).one("claude_responded")
    assert answered == {**own, "response": told}


def test_an_answer_has_its_own_model_or_the_conversations_and_what_it_thought() -> None:
    thought = {"type": "thinking", "thinking": "hmm"}
    read = Read(assistant(thought, {"type": "redacted_thinking"}, thought), model="opus")
    own = {"length": 0, "thinking_length": 8, "tool_calls": 0, "model": "opus"}
    assert read.one("claude_responded") == {**SOURCE, **own}
    assert Read(assistant(model="own"), model="opus").one("claude_responded")["model"] == "own"
    assert "model" not in Read(assistant(model=5)).one("claude_responded")


@pytest.mark.parametrize(
    ("content", "reasons"),
    [
        (7, ["its content is 7"]),
        ([7, None, [], ""], ["a block of its content is 7", "a block of its content is missing",
                             "a block of its content is []", "a block of its content is ''"]),
        ([{}, {"type": 5}], ["the type of a block of its content is missing",
                             "the type of a block of its content is 5"]),
        ([{"type": "token_budget"}, {"type": "redacted_thinking"}], []),
    ],
)  # fmt: skip
def test_content_that_is_not_known_is_told(content: Any, reasons: list[str]) -> None:
    read = Read(assistant(content=content))
    assert read.tally.reasons == [f"conversation 7, message 1: {one}" for one in reasons]


def test_texts_beyond_what_a_record_holds_are_cut_and_counted() -> None:
    long = "x" * (MAX_TEXT_BYTES - 1)
    read = Read(human(text=long), name=long, include_text=True)
    assert read.tally.cut == 2
    for name, feature in (("session_started", "title"), ("user_asked", "question")):
        assert read.one(name)[feature].endswith(f" … [cut: {len(long):,} characters in all]")
    assert Read(human(text=long[1:]), include_text=True).tally.cut == 0
    assert MAX_TEXT_BYTES == MAX_FEATURE_BYTES - 4_096


def test_what_the_contract_refuses_is_left_out_and_told() -> None:
    long = "x" * (MAX_TEXT_BYTES - 2)
    read = Read(human(1), name=long, project="p" * 4_096, include_text=True)
    assert [name for name, _, _ in read.told] == ["user_asked"]
    (reason,) = read.tally.reasons
    assert reason.startswith("conversation 7: feature_json")


# -- tools


def call(**more: Any) -> dict[str, Any]:
    return {"type": "tool_use", "name": "bash", "input": {}, **more}


def result(**more: Any) -> dict[str, Any]:
    return {"type": "tool_result", **more}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, {"tool": "bash", "input_length": 2}),
        ({"name": None}, {"tool": "unknown", "input_length": 2}),
        ({"name": "n" * 201}, {"tool": "n" * 200, "input_length": 2}),
        ({"input": {"é": Decimal("0.5")}}, {"tool": "bash", "input_length": 12}),
        ({"input": None}, {"tool": "bash", "input_length": 4}),
    ],
)
def test_a_call_is_told_by_its_tool_and_length(given: dict[str, Any], told: dict[str, Any]) -> None:
    read = Read(assistant(call(**given)))
    assert read.told[1] == ("tool_called", at(2), {**SOURCE, "outcome": "ok", **told})
    assert read.one("claude_responded")["tool_calls"] == 1


def test_an_input_that_nests_too_deep_has_no_length() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert Read(assistant(call(input=deep))).one("tool_called")["input_length"] is None
    while deep:
        deep = deep.pop()  # taken apart here: to free it whole goes as deep


@pytest.mark.parametrize(
    ("start", "stop", "answered", "ts", "latency"),
    [
        (3, 4, 6, 3, 2_000.0),
        (3, 4, 4, 3, 0.0),
        (3, 5, 4, 3, None),
        (3, None, 4, 3, None),
        (3, 4, None, 3, None),
        (None, 4, 6, 2, 2_000.0),
    ],
)
def test_a_call_took_from_its_end_to_the_start_of_its_result(
    start: int | None, stop: int | None, answered: int | None, ts: int, latency: float | None
) -> None:
    given = {"start_timestamp": start, "stop_timestamp": stop}
    times = {name: at(second) for name, second in given.items() if second is not None}
    begun = {"start_timestamp": at(answered)} if answered is not None else {}
    read = Read(assistant(call(id="t", **times), result(tool_use_id="t", **begun)))
    _, told_at, features = read.told[1]
    assert (told_at, features.get("latency_ms")) == (at(ts), latency)


A, B = {"id": "a", "name": "bash"}, {"id": "b", "name": "bash"}
OLD, READ = {"name": "bash"}, {"name": "read"}


@pytest.mark.parametrize(
    ("blocks", "outcomes"),
    [
        ([call(**A), call(**B), result(tool_use_id="b", is_error=True)], ["ok", "error"]),
        ([call(**A), call(**B), result(tool_use_id="a", is_error=True)], ["error", "ok"]),
        ([call(**A), result(tool_use_id="a", is_error=False)], ["ok"]),
        ([call(**A), result(tool_use_id="a", is_error="odd")], ["ok"]),
        ([call(**A), result(tool_use_id="z", is_error=True)], ["ok"]),
        ([call(**A), result(tool_use_id="z", name="bash", is_error=True)], ["error"]),
        ([call(**OLD), call(**READ), result(name="read", is_error=True)], ["ok", "error"]),
        ([call(**OLD), call(**A), result(name="zsh", is_error=True)], ["ok", "ok"]),
        ([call(name=None), call(**A), result(name="zsh", is_error=True)], ["error", "ok"]),
        ([call(**OLD), call(**A), result(tool_use_id="z", is_error=True)], ["error", "ok"]),
        ([call(**OLD), result(is_error=True)], ["error"]),
        ([result(is_error=True), call(**OLD)], ["ok"]),
        ([call(**OLD), result(), call(**OLD), result(is_error=True)], ["ok", "error"]),
        ([call(**OLD), call(**READ), result(is_error=True)], [None, None]),
        ([call(**OLD), call(**READ), result(is_error=False)], ["ok", "ok"]),
        ([call(**OLD), call(**READ), result(is_error=True), result()], [None, None]),
        (
            [call(**OLD), call(**OLD), call(**READ), result(name="bash", is_error=True),
             result(name="bash", is_error=True), result(is_error=True)],
            [None, None, "error"],
        ),
        (
            [call(**OLD), call(**OLD), call(**READ), result(name="bash", is_error=True),
             result(is_error=True)],
            [None, None, None],
        ),
    ],
)  # fmt: skip
def test_a_call_ended_as_its_result_says_where_it_is_clear_whose_it_is(
    blocks: list[Any], outcomes: list[str | None]
) -> None:
    told = Read(assistant(*blocks)).of("tool_called")
    assert [one.get("outcome") for one in told] == outcomes


# -- files


@pytest.mark.parametrize(
    ("item", "told", "path"),
    [
        ({}, {}, None),
        ({"file_name": "/srv/Plan.PDF"}, {"kind": "pdf"}, "Plan.PDF"),
        ({"file_name": "a.pdf", "file_type": "T" * 201}, {"kind": "T" * 200}, "a.pdf"),
        ({"file_name": "a." + "e" * 17}, {"kind": "e" * 16}, "a." + "e" * 17),
        ({"file_name": "a"}, {}, "a"),
        ({"file_name": "n" * 801}, {}, "n" * 661 + " … [cut: 801 characters in all]"),
        ({"file_name": 5, "file_type": "txt"}, {"kind": "txt"}, None),
        ({"file_size": 0}, {"bytes": 0}, None),
        ({"file_size": 2**53 - 1}, {"bytes": 2**53 - 1}, None),
        ({"file_size": 2**53}, {}, None),
        ({"file_size": -1}, {}, None),
        ({"file_size": True}, {}, None),
        ({"file_size": 1.5}, {}, None),
        ({"file_size": "9"}, {}, None),
        ({"extracted_content": "abc"}, {"content_length": 3}, None),
        ({"extracted_content": ["abc"]}, {}, None),
    ],
)
def test_a_file_is_told_by_its_kind_and_sizes(
    item: dict[str, Any], told: dict[str, Any], path: str | None
) -> None:
    own = {**SOURCE, "kind": None, "bytes": None, "content_length": 0, **told}
    for message, activity in ((human(2), "file_read"), (assistant(), "file_written")):
        message = {**message, "attachments": [item]}
        assert Read(message).told[-1 if activity == "file_written" else 2] == (
            *(activity, at(2)),
            own,
        )
        named = Read(message, include_text=True).one(activity)
        if path is not None and "[cut" in path:
            assert named["path"].endswith(path[-30:])
            continue
        assert named == ({**own, "path": path} if path is not None else own)


def test_each_file_comes_in_once_under_its_number_among_all_that_are_listed() -> None:
    def ids(**lists: Any) -> list[str]:
        read = Read(human(1, **lists))
        attachments = read.one("user_asked")["attachments"]
        found = [record["id"] for record in read.records[2:]]
        assert len(found) == attachments
        return found

    a, b, nameless = {"file_name": "a"}, {"file_name": "b"}, {"file_name": ""}
    own = [own_id("c1", "file_read", "u1", kind, number) for kind, number in (
        ("attachments", 0), ("attachments", 1), ("files", 4), ("files", 5), ("files_v2", 8),
    )]  # fmt: skip
    found = ids(
        attachments=[a, nameless],
        files=["odd", a, b, a, nameless],
        files_v2=[b, a, {"file_name": "c"}],
    )
    assert found[:2] == own[:2]
    assert found == [
        own_id("c1", "file_read", "u1", "attachments", 0),
        own_id("c1", "file_read", "u1", "attachments", 1),
        own_id("c1", "file_read", "u1", "files", 3),
        own_id("c1", "file_read", "u1", "files", 4),
        own_id("c1", "file_read", "u1", "files", 5),
        own_id("c1", "file_read", "u1", "files_v2", 8),
    ]
    assert ids(files={"file_name": "a"}) == ids(files="nothing") == ids(files="[torn") == []
    assert len(ids(files=' [{"file_name": "a"}]')) == 1
    assert len(ids(files=[{"file_name": 5}], files_v2=[{"file_name": 5}])) == 2


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("b.txt", "b.txt"),
        ("/srv/a/b.txt", "b.txt"),
        ("a/b/", "b"),
        ("a/.", "a"),
        ("a/..", ".."),
        ("/", ""),
        ("", ""),
        (".", ""),
        ("a:b/c", "c"),
        ("C:b.txt", "C:b.txt"),
        ("C:\\a\\b.txt", "b.txt"),
        ("a/b\\c.txt", "c.txt"),
        ("C:/", ""),
        ("C:/.", ""),
        ("CC:/", "CC:"),
    ],
)
def test_of_a_path_the_name_at_its_end_is_told_on_whatever_system_it_lay(
    path: str, name: str
) -> None:
    assert last_part(path) == name


# -- cutting


@pytest.mark.parametrize(
    ("text", "limit", "fitted"),
    [
        ("abc", 5, "abc"),
        ("abc", 4, " … [cut: 3 characters in all]"),
        ("\0" * 20, 122, "\0" * 20),
        ("é" * 20, 42, "é" * 20),
        ("\ud83d", 100, "?"),
        ("x" * 100, 101, "x" * 57 + " … [cut: 100 characters in all]"),
        ("x" * 5_000, 1, " … [cut: 5,000 characters in all]"),
    ],
)
def test_a_text_that_is_cut_says_how_long_it_was(text: str, limit: int, fitted: str) -> None:
    assert fit_text(text, limit) == fitted


@pytest.mark.parametrize("limit", [118, 119, 120, 121, 200])
def test_a_text_of_control_characters_fits_by_what_they_take_in_json(limit: int) -> None:
    fitted = fit_text("\0" * 20, limit)
    assert len(orjson.dumps(fitted)) <= limit
    assert (fitted == "\0" * 20) is (limit >= 122)
