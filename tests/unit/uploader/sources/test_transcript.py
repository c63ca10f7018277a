"""What the lines of a transcript say, fact by fact: each form of a line, each bound, and what is
remembered from one line to the next.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from uploader.sources.claude_export import MAX_TEXT_BYTES
from uploader.sources.facts import Fact, Facts, digest
from uploader.sources.protocol import Findings, HistoryFile
from uploader.sources.transcript import TranscriptReader, timestamp

PROJECT = {"source": "claude_code", "client": "claude_code", "project": "atlas"}
"""The features of everything that is said in a file of Claude Code's, in one folder."""
AUDIT: dict[str, Any] = {"audit": True, "source_system": "cowork", "client": "cowork"}


def at(second: float) -> str:
    """A moment as the contract has it."""
    return f"2026-03-01T09:00:{second:09.6f}Z"


def line(kind: str, second: float = 1, **more: Any) -> dict[str, Any]:
    """A line of a transcript; what is None in `more` is left out."""
    whole = {
        "type": kind,
        "timestamp": f"2026-03-01T09:00:{second:06.3f}Z",
        "sessionId": "s1",
        "cwd": "/home/ada/atlas",
        **more,
    }
    return {name: value for name, value in whole.items() if value is not None}


def asked(content: Any, second: float = 1, **more: Any) -> dict[str, Any]:
    return line("user", second, message={"role": "user", "content": content}, **more)


def answered(
    content: Any = "Hello",
    second: float = 2,
    *,
    id: str | None = "m1",
    usage: Mapping[str, Any] | None = None,
    model: str | None = "opus",
    stop_reason: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    message: dict[str, Any] = {"content": content}
    given = {"id": id, "model": model, "usage": usage, "stop_reason": stop_reason}
    message |= {name: value for name, value in given.items() if value is not None}
    return line("assistant", second, message=message, **more)


class Read:
    """A file with these lines, read to its end."""

    def __init__(
        self,
        *lines: Mapping[str, Any] | bytes,
        name: str = "stem.jsonl",
        source_system: Any = "claude_code",
        client: str = "claude_code",
        title: str | None = None,
        session_id: str | None = None,
        audit: bool = False,
        alone: bool = True,
        **options: Any,
    ) -> None:
        file = HistoryFile(Path(name), source_system, client, title, session_id, audit, alone)
        self.facts, self.findings = Facts(), Findings()
        self.reader = TranscriptReader(file, self.facts, self.findings, **options)
        for one in lines:
            self.reader.read(one if isinstance(one, bytes) else orjson.dumps(one))

    def of(self, activity: str) -> list[Fact]:
        """What is known of an activity, in the order of its moments."""
        found = [fact for fact in self.facts.known.values() if fact.activity == activity]
        return sorted(found, key=lambda fact: fact.ts)

    def one(self, activity: str) -> Fact:
        (fact,) = self.of(activity)
        return fact

    @property
    def activities(self) -> set[str]:
        return {activity for activity, _ in self.facts.known}


# -- when and where


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        (None, None),
        ("20260301", None),
        ("2026-03-01", "2026-03-01T00:00:00.000000Z"),
        ("2026-03-01T09:00:00.123Z", "2026-03-01T09:00:00.123000Z"),
        ("2026-03-01T09:00:00.5Z", "2026-03-01T09:00:00.500000Z"),
        ("2026-03-01T09:00:00.123456Z", "2026-03-01T09:00:00.123456Z"),
        ("2026-03-01T09:00:00.1234", "2026-03-01T09:00:00.123400Z"),
        ("2026-03-01T09:00:00+0000", "2026-03-01T09:00:00.000000Z"),
        ("2026-03-01T09:00:00", "2026-03-01T09:00:00.000000Z"),
        ("2026-03-01T10:30:00.25+01:30", "2026-03-01T09:00:00.250000Z"),
        ("2026-03-01 09:00:00.123Z", "2026-03-01T09:00:00.123000Z"),
        ("2026-W09-7T09:00:00.123Z", "2026-03-01T09:00:00.123000Z"),
        ("0999-12-31T23:59:59.999Z", "0999-12-31T23:59:59.999000Z"),
        ("0999-12-31T23:59:59+00:00", "0999-12-31T23:59:59.000000Z"),
        ("2026-03-01T09:00:00.1234567890123456789Z", "2026-03-01T09:00:00.123456Z"),
        ("2026-03-01T09:00:00.12345678901234567890Z", None),
        ("2026-02-30T09:00:00.123Z", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("yesterday at noon", None),
    ],
)
def test_a_moment_is_told_as_the_contract_has_it(written: str | None, moment: str | None) -> None:
    assert timestamp(written) == moment


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the system's zone stays as it is")
def test_a_moment_without_a_zone_is_in_utc_wherever_the_computer_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    try:
        with monkeypatch.context() as there:
            there.setenv("TZ", "Asia/Tokyo")
            time.tzset()
            assert timestamp("2026-03-01T09:00:00") == "2026-03-01T09:00:00.000000Z"
    finally:
        time.tzset()


@pytest.mark.parametrize(
    ("more", "file", "session", "about"),
    [
        ({}, {}, (False, "s1"), {}),
        ({"session_id": "snake"}, {"session_id": "given"}, (False, "s1"), {}),
        ({"sessionId": None, "session_id": "snake"}, {"session_id": "g"}, (False, "snake"), {}),
        ({"sessionId": None}, {"session_id": "given"}, (False, "given"), {}),
        ({"sessionId": None}, {}, (False, "stem"), {}),
        ({"sessionId": None}, {"name": "a\udcff.jsonl"}, (False, "a?"), {}),
        ({"sessionId": "x" * 256}, {}, (False, "x" * 255), {}),
        ({"forkedFrom": {"sessionId": "s0"}}, {}, (True, "s1"), {}),
        ({"agentId": "a" * 201}, {}, (False, "s1"), {"agent": "a" * 200}),
        ({"isSidechain": True}, {}, (False, "s1"), {"is_sidechain": True}),
        ({"parent_tool_use_id": "t1"}, {}, (False, "s1"), {"is_sidechain": True}),
        ({"isSidechain": False}, {}, (False, "s1"), {}),
        ({"cwd": "C:\\work\\diary"}, {}, (False, "s1"), {"project": "diary"}),
        ({"cwd": "/"}, {}, (False, "s1"), {"project": "unknown"}),
        ({"cwd": "/srv/" + "p" * 201}, {}, (False, "s1"), {"project": "p" * 200}),
    ],
)
def test_a_line_says_in_which_conversation_and_project_it_stands(
    more: dict[str, Any], file: dict[str, Any], session: tuple[bool, str], about: dict[str, Any]
) -> None:
    fact = Read(answered(**more), **file).one("claude_responded")
    assert fact.session == session
    assert fact.features == {**PROJECT, "model": "opus", **about}


def test_where_a_line_does_not_say_where_it_stands_the_one_before_counts() -> None:
    bare: dict[str, Any] = {"sessionId": None, "cwd": None}
    read = Read(
        asked("a", 1, sessionId="s2"), asked("b", 2, **bare), asked("c", 3, sessionId=None, cwd="")
    )
    facts = read.of("user_asked")
    assert [fact.session for fact in facts] == [(False, "s2")] * 3
    assert [fact.features["project"] for fact in facts] == ["atlas"] * 3
    moved = Read(asked("a", 1), asked("b", 2, cwd="/srv/notes"), asked("c", 3, cwd=None))
    assert [fact.features["project"] for fact in moved.of("user_asked")] == [
        "atlas",
        "notes",
        "notes",
    ]
    assert "project" not in Read(asked("a", cwd=None)).one("user_asked").features


def test_a_line_without_a_time_is_counted_and_of_the_sdks_stream_takes_the_one_before() -> None:
    timeless = asked("b", timestamp=None)
    transcript = Read(asked("a", 1), timeless, timeless)
    assert [fact.ts for fact in transcript.of("user_asked")] == [at(1)]
    assert transcript.findings.bad_lines == {"a line without a time": 2}
    stream = Read(timeless, asked("a", 1), timeless, **AUDIT)
    assert [fact.ts for fact in stream.of("user_asked")] == ["~" + at(1)] * 2
    assert stream.findings.bad_lines == {"a line without a time": 1}
    own: dict[str, Any] = {"timestamp": None, "_audit_timestamp": "2026-03-01T09:00:05Z"}
    assert Read(asked("a", **own)).one("user_asked").ts == at(5)
    both = asked("a", 4, _audit_timestamp="2026-03-01T09:00:05Z")
    assert Read(both).one("user_asked").ts == at(4)


# -- conversations


def test_a_conversation_is_told_with_what_its_lines_say_of_it() -> None:
    said = {"entrypoint": "c" * 201, "version": "v" * 201}
    started = Read(asked("a", 1, **said), title="t" * 201).one("session_started")
    assert (started.key, started.ts, started.session) == ("s1", at(1), (False, "s1"))
    assert started.features == {
        **PROJECT,
        "entry_point": "c" * 200,
        "client_version": "v" * 200,
        "title_given": "t" * 200,
    }
    assert Read(asked("a", 1)).one("session_started").features == PROJECT


def test_a_conversation_began_with_its_earliest_line_and_has_its_first_model() -> None:
    read = Read(
        answered(second=5, model="sonnet", id="m1"),
        answered(second=3, model="opus", id="m2"),
        answered(second=4, model="opus", id="m3"),
        asked("late", 6),
        answered(second=2, model="opus", id="m4"),
    )
    started = read.one("session_started")
    assert started.ts == at(2)
    # The model of the first line that named one; times before it come from lines out of order.
    assert started.features == {**PROJECT, "model_at": [at(5), "opus"]}
    assert read.reader.context["model_at"] == at(5)


def test_an_agent_begins_in_its_conversation() -> None:
    read = Read(asked("do", 3, agentId="a1", isSidechain=True), answered(second=2, agentId="a1"))
    agent = read.one("agent_started")
    assert (agent.key, agent.ts, agent.session) == ("a1", at(2), (False, "s1"))
    assert agent.features == {**PROJECT, "agent": "a1", "is_sidechain": True}
    assert read.one("session_started").features == {**PROJECT, "model_at": [at(2), "opus"]}
    assert read.activities == {"session_started", "agent_started", "claude_responded"}


def test_a_fork_began_with_its_own_first_line_and_not_with_what_was_copied() -> None:
    copied: dict[str, Any] = {"forkedFrom": {"sessionId": "s0"}}
    alone = Read(asked("a", 2, **copied), answered(second=3, **copied))
    alone.reader.last()
    started = alone.one("session_started")
    assert (started.ts, started.session) == ("~~" + at(2), (False, "s1"))
    assert started.features == {**PROJECT, "is_forked": True, "model_at": [at(3), "opus"]}
    read = Read(asked("b", 5), asked("a", 2, **copied), asked("c", 6), asked("d", 9, **copied))
    read.reader.last()
    started = read.one("session_started")
    assert (started.ts, started.session) == (at(5), (False, "s1"))
    assert started.features == {**PROJECT, "is_forked": True, "last_at": at(6)}


def test_a_conversation_was_written_to_last_by_its_latest_line() -> None:
    read = Read(asked("a", 2), asked("b", 9), asked("c", 1), asked("d", 9))
    read.reader.last()
    started = read.one("session_started")
    assert (started.ts, started.features) == (at(1), {**PROJECT, "last_at": at(9)})
    two = Read(asked("a", 2), asked("b", 5, sessionId="s2"), asked("c", 7, sessionId="s2"))
    two.reader.last()
    assert [(fact.key, fact.ts, fact.features) for fact in two.of("session_started")] == [
        ("s1", at(2), PROJECT),
        ("s2", at(5), {**PROJECT, "last_at": at(7)}),
    ]
    nothing = Read()
    nothing.reader.last()
    assert nothing.activities == set()
    stream = Read(line("system", 3, subtype="init"), asked("", 4), **AUDIT)
    stream.reader.last()
    assert stream.one("session_started").features["last_at"] == at(4)


@pytest.mark.parametrize(
    ("kind", "field", "feature"),
    [
        ("custom-title", "customTitle", "title_custom"),
        ("ai-title", "aiTitle", "title_generated"),
        ("agent-name", "agentName", "title_given"),
        ("summary", "summary", "title_summary"),
    ],
)
def test_titles_name_their_conversation(kind: str, field: str, feature: str) -> None:
    title = {"type": kind, field: "n" * 201, "leafUuid": "u"}
    read = Read(asked("a", 1, sessionId="s2"), title, {**title, "sessionId": "s3"})
    told = {fact.key: fact for fact in read.of("session_started")}
    assert told["s2"].features == {**PROJECT, feature: "n" * 200}
    assert told["s3"].features == {
        "source": "claude_code",
        "client": "claude_code",
        feature: "n" * 200,
    }
    assert (told["s3"].ts, told["s3"].session) == (at(1), (False, "s3"))
    # Neither one without a conversation or a moment, nor one that is empty.
    for lines in ([title], [{**title, "sessionId": "s3"}], [asked("a"), {**title, field: ""}]):
        assert all(feature not in fact.features for fact in Read(*lines).of("session_started"))


# -- what is excluded


def test_of_an_excluded_folder_nothing_is_told_and_its_conversations_are_noted() -> None:
    excluded: set[str] = set()
    read = Read(
        asked("a", 1, cwd="/srv/diary"),
        {"type": "custom-title", "customTitle": "Secret"},
        answered(second=2, cwd=None),
        excluded=lambda cwd: cwd.endswith("diary"),
        excluded_sessions=excluded,
    )
    read.reader.last()
    assert (read.activities, excluded) == (set(), {"s1"})
    assert read.reader.context["excluded"] is True
    read.reader.read(orjson.dumps(asked("b", 3)))  # the person has changed the folder
    assert read.one("user_asked").features["project"] == "atlas"
    assert "excluded" not in read.reader.context


def test_what_another_file_excludes_is_told_by_none_that_does_not_say_where_it_was() -> None:
    excluded = {"s1"}
    title = {"type": "custom-title", "customTitle": "Secret", "sessionId": "s1"}
    stream = Read(asked("a", 1, cwd=None), title, excluded_sessions=excluded)
    stream.reader.last()
    assert stream.activities == set()
    other = Read(asked("a", 1, sessionId="s2"), title, excluded_sessions=excluded)
    assert [fact.key for fact in other.of("session_started")] == ["s2"]
    own = Read(asked("a", 1), title, excluded_sessions=excluded)
    own.reader.last()
    assert own.one("session_started").features["last_at"] == at(1)
    free = Read(asked("a", 1, cwd=None, sessionId="s2"), excluded_sessions=excluded)
    free.reader.last()
    assert free.activities == {"user_asked", "session_started"}


# -- questions


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "fine"}


@pytest.mark.parametrize(
    ("content", "length", "attachments"),
    [
        ("Hi", 2, 0),
        (" Hi\n", 4, 0),
        ([text("one"), text("two")], 7, 0),
        ([text("look"), {"type": "image"}, {"type": "document"}], 4, 2),
        ([{"type": "image"}], 0, 1),
        ([{"type": "text"}, text("b")], 1, 0),
        (["odd", text("b"), {"type": "hologram"}, text("c")], 3, 0),
        ("<command-name></command-name> and more", 38, 0),
        ("say <system-reminder>", 21, 0),
    ],
)
def test_a_question_has_its_length_and_attachments(
    content: Any, length: int, attachments: int
) -> None:
    fact = Read(asked(content)).one("user_asked")
    assert (fact.ts, fact.session) == (at(1), (False, "s1"))
    assert fact.features == {**PROJECT, "length": length, "attachments": attachments}
    whole = content if isinstance(content, str) else None
    if whole is not None:
        assert fact.key == digest([at(1), whole, attachments])


@pytest.mark.parametrize(
    ("content", "more"),
    [
        (None, {}),
        ("", {}),
        ([], {}),
        ([{"type": "text"}], {}),
        ([RESULT], {}),
        ([RESULT, text("what came with it")], {}),
        ("injected", {"isMeta": True}),
        ("summed up", {"isCompactSummary": True}),
        ("for an agent", {"isSidechain": True}),
        ("  <system-reminder>x</system-reminder>", {}),
        ("<local-command-stdout>", {}),
        ("<local-command-stderr>", {}),
        ("<local-command-caveat>", {}),
        ("<bash-input>ls</bash-input>", {}),
        ("<bash-stdout>", {}),
        ("<bash-stderr>", {}),
        ("<task-notification>", {}),
        ("Caveat: The messages below were generated by the user while running local commands", {}),
        ("Base directory for this skill: /x", {}),
    ],
)
def test_what_no_person_wrote_is_no_question(content: Any, more: dict[str, Any]) -> None:
    read = Read(asked(content, **more))
    assert "user_asked" not in read.activities
    assert not read.findings.unknown


@pytest.mark.parametrize(
    ("file", "more", "is_told"),
    [
        (AUDIT, {}, True),
        ({**AUDIT, "alone": False}, {}, False),
        ({"alone": False}, {}, True),
        (AUDIT, {"isSynthetic": True}, False),
        ({}, {"isSynthetic": True}, True),
    ],
)
def test_the_sdks_stream_tells_a_question_where_no_transcript_has_it(
    file: dict[str, Any], more: dict[str, Any], is_told: bool
) -> None:
    assert ("user_asked" in Read(asked("Hi", **more), **file).activities) is is_told


def test_a_command_is_told_by_its_name_alone() -> None:
    written = "<command-message>x</command-message>\n<command-name>/compact</command-name>"
    for before in ("", "<local-command-caveat>"):
        fact = Read(asked(before + written)).one("user_asked")
        assert fact.features["slash_command"] == "compact"


@pytest.mark.parametrize(
    "content",
    [
        "[Request interrupted by user]",
        "\n [Request interrupted by user for tool use]",
        [RESULT, text("[Request interrupted by user]")],
    ],
)
def test_an_interruption_is_an_error_and_no_question(content: Any) -> None:
    read = Read(asked(content))
    error = read.one("error_encountered")
    assert error.features == {**PROJECT, "where": "conversation", "error_code": "interrupted"}
    said = content if isinstance(content, str) else content[1]["text"]
    assert error.key == digest([at(1), "interrupted", said])
    assert (error.ts, error.session) == (at(1), (False, "s1"))
    assert "user_asked" not in read.activities


def test_texts_are_taken_in_where_they_are_asked_for_and_cut_to_what_a_record_holds() -> None:
    def question(content: Any, **options: Any) -> Any:
        return Read(asked(content), **options).one("user_asked").features.get("question")

    assert question("Hi") is None
    assert question("Hi", include_text=True) == "Hi"
    assert question([{"type": "image"}], include_text=True) is None
    long = question("x" * (MAX_TEXT_BYTES + 1), include_text=True)
    assert long.endswith(f" … [cut: {MAX_TEXT_BYTES + 1:,} characters in all]")
    most = MAX_TEXT_BYTES // 4
    blocks = [text("a"), text("b" * most), {"type": "thinking", "thinking": "hm"}, text("")]
    with_text = Read(answered(blocks), include_text=True).one("claude_responded").blocks
    assert with_text[digest(["text", "a"])] == ["text", 1, at(2), "a"]
    assert with_text[digest(["text", "b" * most])][3].endswith("characters in all]")
    assert with_text[digest(["thinking", "hm"])] == ["thinking", 2, at(2)]
    assert with_text[digest(["text", ""])] == ["text", 0, at(2)]


# -- tools


def call(**more: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": "t1", "name": "Bash", "input": {}, **more}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, {"tool": "Bash", "input_length": 2}),
        ({"name": None}, {"tool": "unknown", "input_length": 2}),
        ({"name": "n" * 201}, {"tool": "n" * 200, "input_length": 2}),
        ({"input": {"a": "é"}}, {"tool": "Bash", "input_length": 10}),
        ({"input": "file_path"}, {"tool": "Bash", "input_length": 11}),
        (
            {"name": "mcp__cdesk__log__event"},
            {"tool": "log__event", "server": "cdesk", "input_length": 2},
        ),
        ({"name": "mcp__cdesk"}, {"tool": "mcp__cdesk", "input_length": 2}),
        ({"name": "mcp____x"}, {"tool": "mcp____x", "input_length": 2}),
        ({"name": "a__b__c"}, {"tool": "a__b__c", "input_length": 2}),
    ],
)
def test_a_call_is_told_by_its_tool_and_length(given: dict[str, Any], said: dict[str, Any]) -> None:
    fact = Read(answered([call(**given)])).one("tool_called")
    assert (fact.key, fact.ts, fact.session) == ("t1", at(2), (False, "s1"))
    assert fact.features == {**PROJECT, "called": at(2), **said}


@pytest.mark.parametrize(
    ("tool", "given", "said"),
    [
        ("Read", {"file_path": "/srv/a.tar.GZ"}, {"file": "a.tar.GZ", "kind": "gz"}),
        ("Read", {"notebook_path": "a.x"}, {"file": "a.x", "kind": "x"}),
        ("Read", {"file_path": "b.py", "notebook_path": "a.x"}, {"file": "b.py", "kind": "py"}),
        ("Read", {"file_path": "a.b"}, {"file": "a.b", "kind": "b"}),
        ("Read", {"file_path": ".env"}, {"file": ".env", "kind": "none"}),
        ("Read", {"file_path": "a."}, {"file": "a.", "kind": "none"}),
        ("Read", {"file_path": "LICENSE"}, {"file": "LICENSE", "kind": "none"}),
        ("Read", {"file_path": "a." + "k" * 16}, {"file": "a." + "k" * 16, "kind": "k" * 16}),
        ("Read", {"file_path": "a." + "k" * 17}, {"file": "a." + "k" * 17, "kind": "none"}),
        ("Read", {"file_path": "n" * 201}, {"file": "n" * 200, "kind": "none"}),
        ("Read", {"file_path": "/"}, {"file": "unknown", "kind": "none"}),
        ("Read", {"file_path": ""}, {}),
        ("Read", {"file_path": 5}, {}),
        ("Write", {"content": "a\nb"}, {}),
        (
            "Write",
            {"file_path": "a", "content": "a\nb"},
            {"file": "a", "kind": "none", "lines_added": 2, "lines_removed": 0},
        ),
        (
            "Edit",
            {"file_path": "a", "new_string": "a\nb\n", "old_string": "c"},
            {"file": "a", "kind": "none", "lines_added": 2, "lines_removed": 1},
        ),
        (
            "Edit",
            {"file_path": "a", "new_string": "", "old_string": 7},
            {"file": "a", "kind": "none", "lines_added": 0, "lines_removed": 0},
        ),
        (
            "NotebookEdit",
            {"notebook_path": "a", "new_source": "x"},
            {"file": "a", "kind": "none", "lines_added": 1, "lines_removed": 0},
        ),
        (
            "MultiEdit",
            {
                "file_path": "a",
                "content": "not\nread",
                "edits": [
                    {"new_string": "a\nb", "old_string": "c"},
                    "odd",
                    {"new_string": "d", "old_string": "e\nf"},
                ],
            },
            {"file": "a", "kind": "none", "lines_added": 3, "lines_removed": 3},
        ),
        (
            "MultiEdit",
            {"file_path": "a", "edits": {"new_string": "a"}},
            {"file": "a", "kind": "none", "lines_added": 0, "lines_removed": 0},
        ),
    ],
)
def test_a_call_of_a_file_is_told_by_its_name_kind_and_changed_lines(
    tool: str, given: dict[str, Any], said: dict[str, Any]
) -> None:
    fact = Read(answered([call(name=tool, input=given)])).one("tool_called")
    length = len(orjson.dumps(given))
    assert fact.features == {
        **PROJECT,
        "called": at(2),
        "tool": tool,
        "input_length": length,
        **said,
    }


LOGGED = "0190a5f0-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("result", "detail", "said"),
    [
        ({"content": "fine"}, None, {"outcome": "ok", "output_length": 4}),
        ({"content": None}, None, {"outcome": "ok", "output_length": 0}),
        ({"is_error": False, "content": []}, None, {"outcome": "ok", "output_length": 0}),
        ({"is_error": True, "content": "no"}, None, {"outcome": "error", "output_length": 2}),
        (
            {"content": [text("one"), "odd", {"type": "image"}, text("two")]},
            None,
            {"outcome": "ok", "output_length": 7},
        ),
        ({"content": [text("one")]}, None, {"outcome": "ok", "output_length": 3}),
        (
            {"content": json.dumps({"activity_id": LOGGED})},
            None,
            {"outcome": "ok", "output_length": 55, "logged": LOGGED},
        ),
        ({"content": "an _id of none"}, None, {"outcome": "ok", "output_length": 14}),
        ({"content": ""}, "a text", {"outcome": "ok", "output_length": 0}),
        ({"content": ""}, ["a list"], {"outcome": "ok", "output_length": 0}),
        ({"content": ""}, {"structuredPatch": []}, {"outcome": "ok", "output_length": 0}),
        (
            {"content": ""},
            {"structuredPatch": [{"lines": [" kept"]}, {"lines": None}, "odd"]},
            {"outcome": "ok", "output_length": 0},
        ),
        (
            {"content": ""},
            {"structuredPatch": [{"lines": ["+a", "+b", " c", 5]}, {"lines": ["+d"]}]},
            {
                "outcome": "ok",
                "output_length": 0,
                "patch_lines_added": 3,
                "patch_lines_removed": 0,
            },
        ),
        (
            {"content": ""},
            {"structuredPatch": [{"lines": ["-a", "-b"]}]},
            {
                "outcome": "ok",
                "output_length": 0,
                "patch_lines_added": 0,
                "patch_lines_removed": 2,
            },
        ),
    ],
)
def test_a_result_is_told_by_its_outcome_length_and_patch(
    result: dict[str, Any], detail: Any, said: dict[str, Any]
) -> None:
    content = [{"type": "tool_result", "tool_use_id": "t1", **result}]
    fact = Read(asked(content, 3, toolUseResult=detail)).one("tool_called")
    assert (fact.key, fact.ts, fact.session) == ("t1", at(3), (False, "s1"))
    assert fact.features == {**PROJECT, "answered": at(3), **said}


def test_calls_and_results_without_an_id_are_counted_and_what_stands_beside_them_taken_in() -> None:
    read = Read(
        answered([call(id=""), "odd", call(id="t2"), text("fine")]),
        asked([{"type": "tool_result"}, {**RESULT, "tool_use_id": "t2"}], 3),
    )
    assert read.one("tool_called").key == "t2"
    assert read.one("tool_called").features["outcome"] == "ok"
    assert digest(["text", "fine"]) in read.one("claude_responded").blocks
    assert read.findings.unknown == {
        "tool_use without id": 1,
        "tool_result without tool_use_id": 1,
        "block type str": 1,
    }


# -- answers


@pytest.mark.parametrize(
    ("content", "blocks"),
    [
        ("Hello", {("text", "Hello"): ["text", 5, at(2)]}),
        ("", {}),
        (None, {}),
        (
            [
                text("Hello"),
                {"type": "text"},
                {"type": "thinking", "thinking": "hm", "text": "not read"},
                {"type": "redacted_thinking", "data": "x"},
            ],
            {
                ("text", "Hello"): ["text", 5, at(2)],
                ("text", ""): ["text", 0, at(2)],
                ("thinking", "hm"): ["thinking", 2, at(2)],
                ("redacted_thinking", ""): ["thinking", 0, at(2)],
            },
        ),
        (
            [
                call(),
                call(type="server_tool_use", id="t2"),
                call(type="mcp_tool_use", id="t3"),
                {"type": "web_search_tool_result"},
            ],
            {
                ("tool_use", "t1"): ["tool", 0, at(2)],
                ("server_tool_use", "t2"): ["tool", 0, at(2)],
                ("mcp_tool_use", "t3"): ["tool", 0, at(2)],
            },
        ),
    ],
)
def test_an_answer_is_told_by_its_blocks(
    content: Any, blocks: dict[tuple[str, str], list[Any]]
) -> None:
    read = Read(answered(content))
    fact = read.one("claude_responded")
    assert fact.blocks == {digest([*name]): block for name, block in blocks.items()}
    assert len(read.of("tool_called")) == sum(block[0] == "tool" for block in blocks.values())
    assert not read.findings.unknown


USAGE = {"input_tokens": 5, "output_tokens": 7}


@pytest.mark.parametrize(
    ("more", "key", "asked_by"),
    [
        ({"requestId": "q1", "request_id": "q2"}, "m:m1", "q1"),
        ({"request_id": "q2"}, "m:m1", "q2"),
        ({}, "m:m1", None),
        ({"id": None, "usage": USAGE, "requestId": "q1"}, "r:q1", "q1"),
        (
            {"id": None, "usage": USAGE, "requestId": ""},
            "l:" + digest([at(2), {"input_tokens": 5, "output_tokens": 7, "model": "opus"}]),
            None,
        ),
    ],
)
def test_an_answer_is_known_by_its_id_its_request_or_what_it_says(
    more: dict[str, Any], key: str, asked_by: str | None
) -> None:
    fact = Read(answered(**more)).one("claude_responded")
    assert (fact.key, fact.request, fact.ts, fact.session) == (key, asked_by, at(2), (False, "s1"))


def test_an_answer_without_an_id_and_counts_is_counted_as_unknown() -> None:
    read = Read(answered(id=None))
    assert read.activities == {"session_started"}
    assert read.findings.unknown == {"answer without id and usage": 1}


COUNTS = {
    "input_tokens": (0, "input_tokens"),
    "output_tokens": (1, "output_tokens"),
    "cache_read_input_tokens": (2, "cache_read_tokens"),
    "cache_creation_input_tokens": (3, "cache_creation_tokens"),
    "service_tier": ("t" * 201, "service_tier"),
    "speed": ("s" * 201, "speed"),
}


def test_an_answer_has_the_counts_that_its_usage_names() -> None:
    def told(**usage: Any) -> dict[str, Any]:
        features = Read(answered(usage=usage, model=None)).one("claude_responded").features
        return {name: value for name, value in features.items() if name not in PROJECT}

    assert told() == {}
    for theirs, (value, ours) in COUNTS.items():
        assert told(**{theirs: value}) == {ours: value[:200] if isinstance(value, str) else value}
    assert told(service_tier="", speed="") == {}
    assert told(cache_creation={"ephemeral_5m_input_tokens": 4}) == {"cache_creation_5m_tokens": 4}
    assert told(cache_creation={"ephemeral_1h_input_tokens": 0}) == {"cache_creation_1h_tokens": 0}
    assert told(server_tool_use={"web_search_requests": 0}) == {"web_searches": 0}
    assert told(server_tool_use={}) == {}


def test_an_answer_has_its_model_and_why_it_stopped() -> None:
    fact = Read(answered(model="m" * 201, stop_reason="s" * 201)).one("claude_responded")
    assert fact.features == {**PROJECT, "model": "m" * 200, "stop_reason": "s" * 200}
    bare = Read(answered(model="")).one("claude_responded")
    assert bare.features == PROJECT


def test_each_answer_keeps_its_counts_whatever_the_line_before_it_counted() -> None:
    grown = {"input_tokens": 5, "output_tokens": 9, "cache_read_input_tokens": 1}
    read = Read(
        answered(second=2, id="m1", usage=USAGE),
        answered(second=3, id="m1", usage={"input_tokens": 5, "output_tokens": 8}),
        answered(second=4, id="m1", usage=grown),
        answered(second=5, id="m2", usage=grown),
        answered(second=6, id=None, usage=grown, requestId="q1"),
        answered(second=7, id=None, usage=grown, requestId="q2"),
        answered(second=8, id="m3", usage={"input_tokens": 5}),
    )
    counts = {"input_tokens": 5, "output_tokens": 9, "cache_read_tokens": 1, "model": "opus"}
    assert {fact.key: fact.features for fact in read.of("claude_responded")} == {
        "m:m1": {**PROJECT, **counts},
        "m:m2": {**PROJECT, **counts},
        "r:q1": {**PROJECT, **counts},
        "r:q2": {**PROJECT, **counts},
        "m:m3": {**PROJECT, "input_tokens": 5, "model": "opus"},
    }


@pytest.mark.parametrize(
    ("question", "answer", "latency"), [(1, 3.5, 2500.0), (3, 3, 0.0), (4, 3, None)]
)
def test_the_first_answer_behind_a_question_says_how_long_it_took(
    question: float, answer: float, latency: float | None
) -> None:
    read = Read(
        asked("Hi", question), answered(second=answer, id="m1"), answered(second=9, id="m2")
    )
    told = {fact.key: fact.features.get("latency_ms") for fact in read.of("claude_responded")}
    assert told == {"m:m1": latency, "m:m2": None}


# -- errors


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("API Error: Rate limit reached", "rate_limit"),
        ("You've hit your weekly limit", "rate_limit"),
        ("429 Too Many Requests", "rate_limit"),
        ("Overloaded", "overloaded"),
        ("Please run /login", "authentication"),
        ("Credit balance is too low", "credit"),
        ("Prompt is too long", "prompt_too_long"),
        ("Request timed out", "connection"),
        ("API Error: 503", "api_error"),
        ("x" * 1_991 + "api error", "api_error"),
        ("x" * 1_992 + "api error", None),
        ("No response requested.", None),
    ],
)
def test_a_synthetic_message_is_an_error_of_a_kind(said: str, code: str | None) -> None:
    read = Read(answered([text(said)], model="<synthetic>", usage=USAGE))
    assert "claude_responded" not in read.activities
    assert read.one("session_started").features == PROJECT
    errors = read.of("error_encountered")
    if code is None:
        assert errors == []
        return
    (error,) = errors
    assert error.features == {**PROJECT, "where": "api", "error_code": code}
    assert (error.key, error.ts) == (digest([at(2), code, said]), at(2))
    assert error.session == (False, "s1")


def test_an_error_of_the_api_is_told_by_its_own_name_first() -> None:
    failed: dict[str, Any] = {"isApiErrorMessage": True, "error": "e" * 201}
    read = Read(answered("Overloaded", **failed))
    error = read.one("error_encountered")
    assert error.features["error_code"] == "e" * 200
    assert error.key == digest([at(2), "e" * 200, "Overloaded"])
    assert read.one("session_started").features["model_at"] == [at(2), "opus"]
    assert "claude_responded" not in read.activities


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (None, "api_error", ""),
        ("overloaded", "overloaded", "overloaded"),
        ({"status": 429}, "rate_limit", "{'status': 429}"),
        ("x" * 2_001, "api_error", "x" * 2_000),
    ],
)
def test_a_line_of_the_system_tells_of_an_error(error: Any, code: str, shown: str) -> None:
    fact = Read(line("system", subtype="api_error", error=error)).one("error_encountered")
    assert fact.features == {**PROJECT, "where": "api", "error_code": code}
    assert (fact.key, fact.ts, fact.session) == (digest([at(1), shown]), at(1), (False, "s1"))


@pytest.mark.parametrize(
    ("info", "status"),
    [
        ({"status": "rejected"}, "rejected"),
        ({"status": "allowed_warning"}, "allowed_warning"),
        ({"status": "allowed"}, None),
        ({}, None),
        (None, None),
        ("odd", None),
    ],
)
def test_a_limit_that_was_reached_is_an_error(info: Any, status: str | None) -> None:
    read = Read(line("rate_limit_event", rate_limit_info=info))
    if status is None:
        assert read.activities == set()
        return
    fact = read.one("error_encountered")
    said = {"where": "api", "error_code": "rate_limit", "outcome": status}
    assert fact.features == {**PROJECT, **said}
    assert (fact.key, fact.ts) == (digest([at(1), "rate_limit", status]), at(1))
    assert fact.session == (False, "s1")


def test_a_limit_without_a_time_is_none() -> None:
    info = {"status": "rejected"}
    read = Read(line("rate_limit_event", rate_limit_info=info, timestamp=None))
    assert (read.activities, read.findings.bad_lines) == (set(), {"a line without a time": 1})


# -- what is summed up


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"compactMetadata": {"trigger": "auto", "preTokens": 9}}, {"tokens_before": 9}),
        ({"compact_metadata": {"trigger": "auto", "pre_tokens": 9}}, {"tokens_before": 9}),
        ({"compactMetadata": {"trigger": "auto", "preTokens": 0}}, {"tokens_before": 0}),
        (
            {"compactMetadata": {"trigger": "auto", "preTokens": 2**53 - 1}},
            {"tokens_before": 2**53 - 1},
        ),
        ({"compactMetadata": {"trigger": "auto", "preTokens": 2**53}}, {}),
        ({"compactMetadata": {"trigger": "auto", "preTokens": -1}}, {}),
        ({"compactMetadata": {"trigger": "auto", "preTokens": 1.5}}, {}),
        ({"compactMetadata": {"trigger": "auto", "preTokens": True}}, {}),
        ({"compactMetadata": {"trigger": "auto"}}, {}),
    ],
)
def test_a_context_that_was_compacted_is_told_with_its_size(
    details: dict[str, Any], said: dict[str, Any]
) -> None:
    for subtype in ("compact_boundary", "microcompact_boundary"):
        fact = Read(line("system", subtype=subtype, **details)).one("context_compacted")
        assert fact.features == {**PROJECT, "trigger": "auto", **said}
        assert (fact.key, fact.ts) == (digest([at(1), subtype]), at(1))
        assert fact.session == (False, "s1")


@pytest.mark.parametrize("details", [{}, {"compactMetadata": "odd"}, {"compactMetadata": {}}])
def test_a_context_that_was_compacted_is_told_without_its_size_where_no_line_has_it(
    details: dict[str, Any],
) -> None:
    fact = Read(line("system", subtype="compact_boundary", **details)).one("context_compacted")
    assert fact.features == PROJECT


def test_of_the_systems_other_lines_nothing_is_told() -> None:
    for subtype in ("turn_duration", None, 5):
        read = Read(line("system", subtype=subtype))
        assert (read.activities, read.findings) == (set(), Findings())
    timeless = Read(line("system", subtype="api_error", timestamp=None))
    assert (timeless.activities, timeless.findings.bad_lines.total()) == (set(), 1)


# -- lines that are not known


def test_bookkeeping_is_passed_by_and_what_is_unknown_counted() -> None:
    read = Read(
        line("attachment"),
        line("file-history-snapshot"),
        line("novelty"),
        line("novelty"),
        line(""),
        line("n" * 201),
        {"type": 5},
        {"timestamp": "2026-03-01T09:00:01Z"},
    )
    assert read.activities == set()
    assert read.findings.unknown == {
        "line type novelty": 2,
        "line type of no name": 2,
        "line type " + "n" * 200: 1,
        "line without a type": 1,
    }


def test_fields_that_are_not_known_are_counted_and_the_line_taken_in() -> None:
    read = Read(asked("a", 1, novelty=1), answered(second=2, novelty=1, other=2), asked("b", 3))
    assert read.findings.unknown == {
        "field novelty of user": 1,
        "field novelty of assistant": 1,
        "field other of assistant": 1,
    }
    assert len(read.of("user_asked")) == 2


@pytest.mark.parametrize("kind", ["user", "assistant"])
def test_a_message_that_has_none_is_counted(kind: str) -> None:
    read = Read(line(kind))
    assert read.activities == set()
    assert read.findings.bad_lines == {f"a line of type {kind} without a message": 1}


@pytest.mark.parametrize(
    ("block", "name"),
    [
        ({"type": "hologram"}, "hologram"),
        ({"type": "h" * 201}, "h" * 200),
        ({"type": ["text"]}, "dict"),
        ({}, "dict"),
        (5, "int"),
        (["text"], "list"),
    ],
)
def test_blocks_that_are_not_known_are_counted(block: Any, name: str) -> None:
    for said in (asked([block, text("x")]), answered([block, text("x")])):
        assert Read(said).findings.unknown == {f"block type {name}": 1}


def test_a_line_that_is_still_written_is_no_bad_one() -> None:
    read = Read(asked("whole"))
    half = orjson.dumps(asked("half", 2))[:-9]
    read.reader.read(half, is_ended=False)
    assert not read.findings.bad_lines
    read.reader.read(half)
    read.reader.read(half)
    assert read.findings.bad_lines == {"a line that is no JSON": 2}
    latin = orjson.dumps(asked("latin", 3)).replace(b"latin", b"lat\xefn")
    read.reader.read(latin, is_ended=False)
    assert len(read.of("user_asked")) == 1
    read.reader.read(latin)
    assert len(read.of("user_asked")) == 2


# -- going on where an earlier reader stopped


def test_a_later_reader_goes_on_with_what_an_earlier_one_remembered() -> None:
    """In two readers as in one, wherever the file is parted."""
    lines = [
        asked("a", 2),
        answered(second=3, id="m1", usage=USAGE),
        asked("b", 5, cwd=None, sessionId=None),
        answered(second=7, id="m2", cwd=None, sessionId=None, usage=USAGE),
        asked("c", 1, forkedFrom={}),
        asked("d", 9),
    ]

    def row(facts: Facts) -> list[Any]:
        return [
            (fact.activity, fact.key, fact.ts, fact.session, fact.features, fact.blocks)
            for fact in facts.known.values()
        ]

    whole = Read(*lines)
    whole.reader.last()
    for place in range(1, len(lines)):
        first = Read(*lines[:place])
        context = json.loads(json.dumps(first.reader.context))
        second = Read(*lines[place:], context=context)
        second.reader.last()
        for fact in second.facts.known.values():
            first.facts.note(
                fact.activity,
                fact.key,
                fact.ts,
                fact.session,
                fact.features,
                blocks=fact.blocks,
                request=fact.request,
            )
        assert sorted(row(first.facts), key=str) == sorted(row(whole.facts), key=str), place
    assert whole.reader.context == {
        "ts": at(9),
        "session": "s1",
        "cwd": "/home/ada/atlas",
        "project": "atlas",
        "own_ts": at(9),
        "own_first": at(2),
        "model_at": at(3),
        "asked": at(9),
    }
    assert Read().reader.context == {}


# -- lines of one answer after one another


READ_AND_CACHED = {"input_tokens": 9, "cache_read_input_tokens": 5}


@pytest.mark.parametrize(
    "second",
    [
        answered("b", 3, usage={**READ_AND_CACHED, "output_tokens": 7}, stop_reason="end_turn"),
        answered("b", 1, usage={**READ_AND_CACHED, "output_tokens": 7}),
        answered("b", 3, usage={**READ_AND_CACHED, "output_tokens": 1}, stop_reason="a"),
        answered("b", 3, usage={**READ_AND_CACHED, "output_tokens": 7}, stop_reason="z" * 300),
        answered("b", 3, usage=READ_AND_CACHED),
        answered("b", 3, usage={**READ_AND_CACHED, "input_tokens": 11, "output_tokens": 7}),
        answered("b", 3, usage={**READ_AND_CACHED, "output_tokens": 7}, model="sonnet"),
        answered("b", 3, usage={**READ_AND_CACHED, "output_tokens": 7}, model=None),
        answered("b", 3, usage={**READ_AND_CACHED, "output_tokens": 7}, requestId="r2"),
        answered("b", 3, usage={**READ_AND_CACHED, "output_tokens": 7}, sessionId="s0"),
        answered(
            "b", 3, usage={**READ_AND_CACHED, "output_tokens": 7}, agentId="a1", isSidechain=True
        ),
        answered("b", 3, usage=None, stop_reason="end_turn"),
        answered("a", 3, usage={**READ_AND_CACHED, "output_tokens": 7}),
        answered("b", 3, usage={**READ_AND_CACHED, "output_tokens": 7}, id="m2"),
    ],
)
def test_lines_of_an_answer_come_to_the_same_after_one_another_as_in_files_of_their_own(
    second: dict[str, Any],
) -> None:
    first = answered(
        "a", 2, usage={**READ_AND_CACHED, "output_tokens": 2}, stop_reason="m", requestId="r1"
    )
    second = {"requestId": "r1", **second}
    third = answered("c", 4, usage={**READ_AND_CACHED, "output_tokens": 8}, requestId="r1")
    together = Read(first, second, third).of("claude_responded")

    known: dict[str, Fact] = {}
    for one in (first, second, third):
        for fact in Read(one).of("claude_responded"):
            if fact.key in known:
                known[fact.key].join(fact)
            else:
                known[fact.key] = fact

    def said(fact: Fact) -> tuple[Any, ...]:
        return fact.key, fact.ts, fact.session, fact.features, fact.blocks, fact.request

    assert {fact.key: said(fact) for fact in together} == {
        key: said(fact) for key, fact in known.items()
    }
