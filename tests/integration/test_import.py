"""`cdesk import`: real export files into real queue files."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import ijson
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdesk.contract.records import (
    MAX_FEATURE_BYTES,
    MAX_LINE_BYTES,
    Kind,
    Record,
    encode,
    make_record,
    parse_line,
    proof_hash,
)
from cdesk.contract.vocabulary import SYSTEM_ACTIVITIES
from cdesk.core.clock import IdSource
from cdesk.core.errors import StateDirectoryError, WarehouseUnavailable
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk_app.cli.main import main
from tests.declared import assert_declared
from uploader.earlier_imports import as_readers_see
from uploader.import_index import ImportIndex
from uploader.sources.claude_export import fit_text
from uploader.sources.history import ImportRefused, ImportReport, import_file, parsed
from uploader.uploader import Uploader

SECRET = "the launch codes are 0000"


def exported(**changes: Any) -> dict[str, Any]:
    """One conversation as the export has it: a question with an attachment, an answer with a tool
    call that failed.
    """
    conversation = {
        "uuid": "3f0c6a52-6a57-4f6a-9d5e-111111111111",
        "name": f"About {SECRET}",
        "created_at": "2026-01-31T12:00:00.123456+00:00",
        "updated_at": "2026-01-31T12:05:00.000000Z",
        "account": {"uuid": "acc"},
        "chat_messages": [
            {
                "uuid": "3f0c6a52-6a57-4f6a-9d5e-222222222222",
                "sender": "human",
                "created_at": "2026-01-31T13:00:01+01:00",
                "text": f"What is {SECRET}?",
                "content": [{"type": "text", "text": f"What is {SECRET}?"}],
                "attachments": [
                    {
                        "file_name": "launch codes.PDF",
                        "file_type": "pdf",
                        "file_size": 1234,
                        "extracted_content": SECRET,
                    }
                ],
                "files": [{"file_name": "plan.png", "file_uuid": "f-1"}],
            },
            {
                "uuid": "3f0c6a52-6a57-4f6a-9d5e-333333333333",
                "sender": "assistant",
                "created_at": "2026-01-31T12:00:09Z",
                "model": "claude-sonnet-4-5",
                "text": "",
                "content": [
                    {"type": "thinking", "thinking": SECRET},
                    {
                        "type": "tool_use",
                        "id": "toolu_1",
                        "name": "web_search",
                        "input": {"q": SECRET, "big": 10**30, "ratio": 0.5},
                        "start_timestamp": "2026-01-31T12:00:02Z",
                        "stop_timestamp": "2026-01-31T12:00:03.500000Z",
                    },
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "is_error": True,
                        "content": SECRET,
                        "start_timestamp": "2026-01-31T12:00:05Z",
                    },
                    {"type": "text", "text": "I can't "},
                    {"type": "text", "text": "tell."},
                ],
                "attachments": [],
                "files": [],
            },
        ],
    }
    return {**conversation, **changes}


def nothing_landed(_names: Sequence[str]) -> Mapping[str, int]:
    return {}


@pytest.fixture
def run(state_home: StateDirectory, tmp_path: Path) -> Any:
    """Import a value (written as JSON), bytes (written as they are) or a path."""

    def run_import(source: object, **options: Any) -> ImportReport:
        path = tmp_path / "source"
        if isinstance(source, Path):
            path = source
        else:
            path.write_bytes(source if isinstance(source, bytes) else json.dumps(source).encode())
        options.setdefault("landed", nothing_landed)
        return import_file(path, home=state_home, customer="ada@example.com", **options)

    return run_import


def queued(home: StateDirectory) -> list[Record]:
    lines = [
        line
        for file in sorted(home.queue.iterdir())
        for line in file.read_bytes().splitlines(keepends=True)
    ]
    found = [parse_line(line) for line in lines]
    for record in found:
        if record["kind"] in ("event", "revision") and record["source_system"] == "claude_export":
            assert_declared(record["activity"], record["feature_json"])
    return found


def leftovers(home: StateDirectory) -> list[str]:
    return [
        path.name for path in home.root.rglob("*") if path.is_file() and path.name != "imports.db"
    ]


# -- the Claude export


def test_a_conversation_becomes_its_activities_with_the_times_of_the_export(
    run: Any, state_home: StateDirectory
) -> None:
    report = run([exported()])

    records = queued(state_home)
    assert [(record["activity"], record["ts"]) for record in records] == [
        ("cdesk.session_started", "2026-01-31T12:00:00.123456Z"),
        ("cdesk.user_asked", "2026-01-31T12:00:01.000000Z"),
        ("cdesk.file_read", "2026-01-31T12:00:01.000000Z"),
        ("cdesk.file_read", "2026-01-31T12:00:01.000000Z"),
        ("cdesk.tool_called", "2026-01-31T12:00:02.000000Z"),
        ("cdesk.claude_responded", "2026-01-31T12:00:09.000000Z"),
    ]
    assert {record["session_id"] for record in records} == {exported()["uuid"]}
    assert {record["customer"] for record in records} == {"ada@example.com"}
    assert len({record["query_tag"] for record in records}) == 1
    assert all(record["id"][14] == "5" for record in records)
    assert report.added == 6
    assert report.by_kind["cdesk.file_read"] == 2
    assert (report.first_ts, report.last_ts) == (records[0]["ts"], records[-1]["ts"])


def test_lengths_models_tools_and_file_kinds_go_in(run: Any, state_home: StateDirectory) -> None:
    run([exported()])

    features = [record["feature_json"] for record in queued(state_home)]
    assert features[1] == {"source": "claude_export", "length": len(SECRET) + 9, "attachments": 2}
    assert features[2] == {
        "source": "claude_export",
        "kind": "pdf",
        "bytes": 1234,
        "content_length": len(SECRET),
    }
    tool = features[4]
    assert (tool["tool"], tool["outcome"], tool["latency_ms"]) == ("web_search", "error", 1500.0)
    assert tool["input_length"] > len(SECRET)
    assert features[5] == {
        "source": "claude_export",
        "length": 15,
        "thinking_length": len(SECRET),
        "tool_calls": 1,
        "model": "claude-sonnet-4-5",
    }


def test_a_failed_tool_call_is_told_by_name_or_by_order(
    run: Any, state_home: StateDirectory
) -> None:
    def call(**more: str) -> dict[str, Any]:
        return {"type": "tool_use", "name": "bash", "input": {}, **more}

    def result(is_error: bool, **more: str) -> dict[str, Any]:
        return {"type": "tool_result", "is_error": is_error, **more}

    content = [
        *(call(), result(False), call(), result(True)),
        *(
            call(id="a"),
            call(id="b"),
            result(True, tool_use_id="a"),
            result(False, tool_use_id="b"),
        ),
    ]
    run([exported(chat_messages=[{**exported()["chat_messages"][1], "content": content}])])
    outcomes = [record["feature_json"]["outcome"] for record in queued(state_home)[1:5]]
    assert outcomes == ["ok", "error", "error", "ok"]


def answer(state_home: StateDirectory, run: Any, **changes: Any) -> list[dict[str, Any]]:
    """The features of an answer's records, made of the exported one with these changes."""
    run(
        [exported(chat_messages=[{**exported()["chat_messages"][1], **changes}])], include_text=True
    )
    return [record["feature_json"] for record in queued(state_home)[1:]]


@pytest.mark.parametrize(
    ("results", "outcomes"),
    [
        ([("read", True), ("bash", False)], ["ok", "error"]),
        ([("bash", False), ("read", False)], ["ok", "ok"]),
        ([(None, True), (None, False)], [None, None]),
        ([(None, False), (None, False)], ["ok", "ok"]),
        ([("bash", True), (None, False)], ["error", "ok"]),
        ([("other", True)], ["ok", "ok"]),
    ],
)
def test_results_of_parallel_calls_without_ids_go_by_the_tools_name_or_are_not_said(
    run: Any,
    state_home: StateDirectory,
    results: list[tuple[str | None, bool]],
    outcomes: list[str | None],
) -> None:
    content = [
        *({"type": "tool_use", "name": name, "input": {}} for name in ("bash", "read")),
        *(
            {"type": "tool_result", "is_error": error, **({"name": name} if name else {})}
            for name, error in results
        ),
    ]
    features = answer(state_home, run, content=content)
    assert [one.get("outcome") for one in features[:2]] == outcomes


def test_two_calls_of_one_tool_are_told_apart_by_nothing_but_an_id(
    run: Any, state_home: StateDirectory
) -> None:
    def result(error: bool) -> dict[str, Any]:
        return {"type": "tool_result", "name": "bash", "is_error": error}

    call = {"type": "tool_use", "name": "bash", "input": {}}
    content = [call, call, result(True), result(False), call, result(True)]
    features = answer(state_home, run, content=content)
    assert [one.get("outcome") for one in features[:3]] == [None, None, "error"]


@pytest.mark.parametrize(
    ("changes", "latency"),
    [
        ({"start_timestamp": "2026-01-31T12:00:05Z"}, 1500.0),
        ({"start_timestamp": "2026-01-31T12:00:03Z"}, None),
        ({"start_timestamp": None}, None),
        ({"start_timestamp": "2026-01-31T12:00:05Z", "tool_use_id": "another"}, None),
    ],
)
def test_a_tool_ran_from_the_end_of_its_call_to_the_start_of_its_result(
    run: Any, state_home: StateDirectory, changes: dict[str, Any], latency: float | None
) -> None:
    content = exported()["chat_messages"][1]["content"]
    content[2] = {**content[2], **changes}
    assert answer(state_home, run, content=content)[0].get("latency_ms") == latency


def test_a_placeholder_is_no_answer(run: Any, state_home: StateDirectory) -> None:
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "tool_use", "name": "bash"}]
    text = "This block is not supported on your current device yet."
    features = answer(state_home, run, content=content, text=text)[-1]
    assert (features["length"], features["response"], features["thinking_length"]) == (0, "", 2)
    for content in ([{"type": "hologram"}], '[{"type": "hologram"}]'):
        shutil.rmtree(state_home.queue)
        state_home.ensure()
        features = answer(state_home, run, content=content, text=text)[-1]
        assert (features["length"], features["response"]) == (0, "")


@pytest.mark.parametrize("content", [None, [], "", "[]"])
def test_where_content_is_missing_the_text_is_the_answer(
    run: Any, state_home: StateDirectory, content: object
) -> None:
    assert answer(state_home, run, content=content, text="Yes.")[-1]["response"] == "Yes."


@pytest.mark.parametrize(
    ("content", "response"),
    [
        ('[{"type": "text", "text": "Yes."}]', "Yes."),
        (' {"type": "text", "text": "Yes."}', "Yes."),
        ("Yes.", "Yes."),
        ("[sic] yes", "[sic] yes"),
        ('["a", "list"]', '["a", "list"]'),
        ('{"no": "block"}', '{"no": "block"}'),
        (["Yes.", {"type": "text", "text": "No."}], "Yes.\n\nNo."),
        (['{"type": "text", "text": "Yes."}', "No."], "Yes.\n\nNo."),
    ],
)
def test_content_may_be_json_in_text(
    run: Any, state_home: StateDirectory, content: object, response: str
) -> None:
    assert answer(state_home, run, content=content, text="")[-1]["response"] == response


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([{"type": "hologram"}], "message 1: the type of a block of its content is 'hologram'"),
        ([{"type": ["x"]}], "is ['x']"),
        ([{}], "is missing"),
        ([7], "a block of its content is 7"),
        (7, "its content is 7"),
    ],
)
def test_content_of_a_kind_never_seen_is_told(run: Any, content: object, said: str) -> None:
    report = run([exported(chat_messages=[{**exported()["chat_messages"][1], "content": content}])])
    assert (report.added, report.left_out) == (2, 1)
    assert said in report.reasons[0]


def test_a_file_in_two_lists_comes_in_once(run: Any, state_home: StateDirectory) -> None:
    attachment = {"file_name": "a.pdf", "file_size": 5, "extracted_content": "text"}
    files = [{"file_name": name, "file_uuid": name} for name in ("a.pdf", "b.png", "b.png", "")]
    question = {
        **exported()["chat_messages"][0],
        "attachments": [attachment],
        "files": files,
        "files_v2": [*files[:2], {"file_name": "c.txt"}],
    }
    run([exported(chat_messages=[question])], include_text=True)
    records = queued(state_home)
    assert records[1]["feature_json"]["attachments"] == 5
    paths = [record["feature_json"]["path"] for record in records[2:]]
    assert paths == ["a.pdf", "b.png", "b.png", "", "c.txt"]
    as_text = {name: json.dumps(question[name]) for name in ("attachments", "files", "files_v2")}
    report = run([exported(chat_messages=[{**question, **as_text}])], include_text=True)
    assert (report.added, report.known) == (0, len(records)), "lists may be JSON in text, too"
    assert records[2]["feature_json"]["bytes"] == 5


@pytest.mark.parametrize(
    ("given", "name", "kind"),
    [
        ("C:\\Users\\ada.l\\plan.PDF", "plan.PDF", "pdf"),
        ("/home/ada.l/notes", "notes", None),
        ("a.b/c.tar.gz", "c.tar.gz", "gz"),
        ("", "", None),
    ],
)
def test_of_a_path_the_name_comes_in_wherever_it_is_from(
    run: Any, state_home: StateDirectory, given: str, name: str, kind: str | None
) -> None:
    question = {**exported()["chat_messages"][0], "attachments": [], "files": []}
    run(
        [exported(chat_messages=[{**question, "files": [{"file_name": given}]}])], include_text=True
    )
    features = queued(state_home)[-1]["feature_json"]
    assert (features["path"], features["kind"]) == (name, kind)


def test_all_batches_of_a_zip_come_in(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    others = [exported(uuid=f"3f0c6a52-6a57-4f6a-9d5e-00000000000{number}") for number in range(4)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/conversations.json", b"\xef\xbb\xbf" + json.dumps(others[:1]).encode())
        archive.writestr("b/conversations.json", json.dumps(others[1:3]))
        archive.writestr("conversations-002.json", json.dumps([others[3], others[0]]))
        archive.writestr("__MACOSX/._conversations.json", b"\0\0")
        archive.writestr("__MACOSX/conversations.json", b"\0\0")
    seen: list[tuple[int, int]] = []
    report = run(path, progress=lambda done, total: seen.append((done, total)))
    assert (report.conversations, report.added) == (5, 4 * 6)
    assert report.known == 6, "the conversation that stands in two batches"
    assert seen[-1][0] == seen[-1][1]
    assert seen == sorted(seen)


@pytest.mark.parametrize("form", ["unpacked", "zips", "named one by one"])
def test_all_batches_of_a_folder_come_in(
    state_home: StateDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "projects.json").write_text("[]", encoding="utf-8")
    files = []
    for number in range(3):
        text = json.dumps([exported(uuid=f"3f0c6a52-6a57-4f6a-9d5e-{number:012d}")])
        file = folder / "deep" / f"conversations-{number}.json"
        if form == "zips":
            file = folder / f"batch-{number}.zip"
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("conversations.json", text)
        else:
            file.write_text(text, encoding="utf-8")
        files.append(str(file))
    named = files if form == "named one by one" else [str(folder)]
    assert main(["import", *named, "--json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [report["added"] for report in reports] == [6, 6, 6]
    assert len({record["id"] for record in queued(state_home)}) == 18
    assert main(["import", *named]) == 0
    assert capsys.readouterr().out.count("Nothing new of 1 conversations") == 3


def test_a_folder_without_any_history_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").touch()
    assert main(["import", str(tmp_path)]) == 1
    assert "holds neither an export of Claude's data" in capsys.readouterr().err


def test_a_damaged_batch_refuses_all(run: Any, state_home: StateDirectory, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("conversations.json", json.dumps([exported()]))
        archive.writestr("conversations_2.json", "{}")
    with pytest.raises(ImportRefused, match="of another shape"):
        run(path)
    assert leftovers(state_home) == []


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (exported(), "is one conversation; put"),
        ({"v": 1, "kind": "event", "id": "x"}, "jq -c"),
        ({"files": [{"url": "https://example.com/1.zip"}]}, "a list of links; download"),
        ([{"url": "https://example.com/1.zip"}], "a list of links; download"),
        (["https://example.com/1.zip"], "a list of links; download"),
        ([{"v": 1, "kind": "event", "id": "x"}], "jq -c"),
        ({"a": 1}, "JSON of another shape"),
    ],
)
def test_json_printed_over_several_lines_is_recognised(
    run: Any, state_home: StateDirectory, value: object, said: str, skip_bad: bool
) -> None:
    for mark in (b"", b"\xef\xbb\xbf"):
        source = mark + json.dumps(value, indent=2).encode()
        with pytest.raises(ImportRefused, match=said):
            run(source, skip_bad=skip_bad)
    assert leftovers(state_home) == []


def test_a_pretty_printed_export_comes_in(run: Any) -> None:
    assert run(json.dumps([exported()], indent=2).encode()).added == 6


def test_text_stays_out_unless_it_is_asked_for(run: Any, state_home: StateDirectory) -> None:
    run([exported()])
    assert SECRET not in json.dumps(queued(state_home))
    assert "launch codes" not in json.dumps(queued(state_home))


def test_with_include_text_questions_answers_titles_and_file_names_go_in(
    run: Any, state_home: StateDirectory
) -> None:
    run([exported()], include_text=True)

    features = [record["feature_json"] for record in queued(state_home)]
    assert features[0]["title"] == f"About {SECRET}"
    assert features[1]["question"] == f"What is {SECRET}?"
    assert features[2]["path"] == "launch codes.PDF"
    assert features[5]["response"] == "I can't \n\ntell."


def test_a_text_beyond_the_record_limit_is_cut_and_says_so(
    run: Any, state_home: StateDirectory
) -> None:
    message = {**exported()["chat_messages"][0], "content": [], "text": "ü\n" * 100_000}
    report = run([exported(chat_messages=[message])], include_text=True)

    question = queued(state_home)[1]["feature_json"]["question"]
    assert question.startswith("ü\nü\n")
    assert question.endswith(" … [cut: 200,000 characters in all]")
    assert report.cut == 1


def test_the_zip_of_an_export_is_read_without_unpacking_it(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("users.json", "[]")
        archive.writestr("data/conversations.json", json.dumps([exported()]))
    seen: list[tuple[int, int]] = []
    report = run(path, progress=lambda done, total: seen.append((done, total)))

    assert report.added == 6
    assert seen[-1][0] == seen[-1][1] > 0


def test_a_second_import_adds_nothing_and_a_grown_export_only_what_is_new(
    run: Any, state_home: StateDirectory
) -> None:
    run([exported()])
    again = run([exported()])
    assert (again.added, again.known) == (0, 6)
    assert len(queued(state_home)) == 6

    more = {**exported()["chat_messages"][0], "uuid": "another", "attachments": [], "files": []}
    grown = run([exported(chat_messages=[*exported()["chat_messages"], more])])
    assert (grown.added, grown.known) == (1, 6)
    assert len({record["id"] for record in queued(state_home)}) == 7


def test_records_whose_queue_file_is_gone_are_known_only_if_they_landed(
    run: Any, state_home: StateDirectory
) -> None:
    run([exported()])
    [file] = state_home.queue.iterdir()
    file.unlink()
    asked: list[Sequence[str]] = []

    def landed(names: Sequence[str]) -> Mapping[str, int]:
        asked.append(names)
        return {file.name: 0}

    assert run([exported()], landed=landed).known == 6
    assert asked == [[file.name]]
    assert run([exported()], landed=nothing_landed).added == 6


def test_an_unreachable_warehouse_does_not_stop_an_import(
    run: Any, state_home: StateDirectory
) -> None:
    run([exported()])
    next(state_home.queue.iterdir()).unlink()

    def landed(_names: Sequence[str]) -> Mapping[str, int]:
        raise WarehouseUnavailable("locked")

    assert run([exported()], landed=landed).added == 6


def test_what_is_no_record_is_left_out_by_name_and_its_neighbours_come_in(run: Any) -> None:
    messages = exported()["chat_messages"]
    odd = [7, {**messages[0], "sender": "tool"}, {**messages[0], "created_at": "yesterday"}]
    report = run(
        [exported(), {"uuid": "x"}, exported(uuid="other", chat_messages=[*odd, *messages])]
    )

    assert report.added == 12
    assert report.left_out == 4
    assert list(report.reasons) == [
        "conversation 2: it has no uuid or no chat_messages",
        "conversation 3, message 1: it is no object",
        "conversation 3, message 2: its sender is 'tool'",
        "conversation 3, message 3: its created_at is 'yesterday'",
    ]


def test_lone_surrogates_and_odd_types_do_not_break_an_import(
    run: Any, state_home: StateDirectory
) -> None:
    source = json.dumps(
        [
            exported(
                name="\ud800",
                model=3,
                chat_messages=[
                    {
                        "uuid": None,
                        "sender": "human",
                        "created_at": "2026-01-31T12:00:01Z",
                        "text": "a\ud83d",
                        "content": "x",
                        "attachments": {"a": 1},
                        "files": [None, {"file_name": 5, "file_size": "big"}],
                    }
                ],
            )
        ]
    ).encode()
    report = run(source, include_text=True)
    assert (report.added, report.left_out) == (3, 0)
    assert len(queued(state_home)) == 3


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"", "is empty"),
        (b"hello", "of another shape"),
        (b'[{"title": "chat", "mapping": {}}]', "of another shape"),
        (b"[1]", "of another shape"),
        (b'{"conversations": []}', "line 1: unknown_version: v is None"),
        (
            b'[{"uuid": "u", "chat_messages": ' + b"[" * 200_000 + b"]" * 200_000 + b"}]",
            "nests deeper than 200 levels",
        ),
        (json.dumps([exported()]).encode()[:-200], "no whole JSON after conversation 0"),
        (json.dumps([exported()]).encode() + b"}", "no whole JSON after conversation 1"),
        (b"PK\x03\x04 not a zip", "damaged"),
    ],
)
def test_an_export_of_another_shape_is_refused_in_one_line(
    run: Any, state_home: StateDirectory, source: bytes, words: str
) -> None:
    with pytest.raises(ImportRefused, match=words) as refused:
        run(source)
    assert "\n" not in str(refused.value)
    assert leftovers(state_home) == []


def test_text_in_utf_16_is_told_by_its_name(run: Any) -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        mark = "\ufeff".encode(encoding)
        with pytest.raises(ImportRefused, match=r"UTF-16.*save it as UTF-8"):
            run(mark + json.dumps([exported()]).encode(encoding))


def test_a_zip_without_conversations_says_what_was_expected(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", "x")
    with pytest.raises(
        ImportRefused, match=r"holds no conversations\.json; expected a Claude data export"
    ):
        run(path)


def test_a_zip_with_a_flipped_byte_is_refused_and_nothing_comes_in(
    run: Any, tmp_path: Path, state_home: StateDirectory
) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("conversations.json", json.dumps([exported(name="x" * 5_000)]))
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"xxxxxxxx") + 100] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ImportRefused, match="damaged"):
        run(path)
    assert leftovers(state_home) == []


def test_a_missing_file_says_to_name_one_that_can_be_read(run: Any, tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match=r"No such file.*name a file"):
        run(tmp_path / "nowhere.zip")


def test_an_empty_export_is_no_error(run: Any, state_home: StateDirectory) -> None:
    report = run([])
    assert (report.conversations, report.added) == (0, 0)
    assert leftovers(state_home) == []


# -- NDJSON


def event(text: str = "x") -> Record:
    ids = IdSource()
    return make_record(
        "event",
        id=ids.uuid7(),
        ts="2026-01-31T12:00:00.000000Z",
        customer="ada@example.com",
        session_id=None,
        query_tag=ids.query_tag(),
        fields={
            "anonymous_customer_id": None,
            "activity": "cdesk.user_asked",
            "feature_json": {"question": text},
            "link": None,
            "revenue_impact": None,
        },
    )


def test_ndjson_in_the_contract_comes_in_and_says_that_a_file_brought_it(
    run: Any, state_home: StateDirectory
) -> None:
    records = [event("ü"), event("b")]
    source = b"\xef\xbb\xbf" + encode(records[0]) + b"\r\n" + encode(records[1])[:-1] + b"\r\n"
    report = run(source)
    assert report.format == "ndjson"
    assert queued(state_home) == [{**record, "source_system": "import"} for record in records]
    assert run(source).known == 2


def test_bad_lines_refuse_the_file_naming_line_and_reason(
    run: Any, state_home: StateDirectory
) -> None:
    extra = {**event(), "colour": "red"}
    lines = [
        encode(event()),
        b"{not json\n",
        orjson.dumps(extra) + b"\n",
        b'{"a": "' + b"y" * MAX_LINE_BYTES + b'"}\n',
    ]
    source = b"".join([*lines, encode(event())])
    with pytest.raises(ImportRefused) as refused:
        run(source)
    text = str(refused.value)
    assert text.startswith("3 of 5 lines of ")
    assert "line 2: not_json" in text
    assert "line 3: unknown_field: 'colour'" in text
    assert "line 4: too_long" in text
    assert "--skip-bad" in text
    assert leftovers(state_home) == []


def test_a_declared_key_of_another_type_is_a_bad_line(run: Any) -> None:
    asked = encode({**event(), "feature_json": {"length": "a dozen"}})
    with pytest.raises(ImportRefused, match=r"line 1: feature_json.length: 'a dozen' is of type"):
        run(asked)


def test_with_skip_bad_the_good_lines_come_in(run: Any, state_home: StateDirectory) -> None:
    good = [event(), event()]
    report = run(
        encode(good[0]) + b"{}\n" + b'{"a": "' + b"y" * 600_000 + b"\n" + encode(good[1]),
        skip_bad=True,
    )
    assert (report.added, report.left_out) == (2, 2)
    assert queued(state_home) == [{**record, "source_system": "import"} for record in good]


QUERY_RUN: dict[str, Any] = {
    "ticket_id": "0190a5f0-0000-7000-8000-000000000000",
    "template": "activity_counts",
    "sql": "select 1",
    "params": "{}",
    "query_hash": proof_hash("select 1", "{}"),
    "rows": 1,
    "bytes": 1,
    "sampled": False,
    "status": "succeeded",
    "error_code": None,
    "elapsed_ms": 1,
    "as_of": None,
    "artifact_id": None,
    "evidence": [
        {
            "column": "activity_count",
            "basis": "system",
            "type": "text",
            "values": ["the invoice of 1,000,000 USD is paid"],
        }
    ],
    "evidence_complete": True,
}
ARTIFACT: dict[str, Any] = {
    "uri": "cdesk://artifact/1",
    "format": "parquet",
    "rows": 1,
    "bytes": 2,
    "sampled": False,
    "query_hash": "0123456789abcdef",
    "expires_at": "2026-02-28T00:00:00.000000Z",
    "legal_hold": False,
}


def proof(kind: Kind, fields: dict[str, Any]) -> Record:
    ids = IdSource()
    return make_record(
        kind,
        id=ids.uuid7(),
        ts="2026-01-31T12:00:00.000000Z",
        customer="ada@example.com",
        session_id=None,
        query_tag=ids.query_tag(),
        fields=fields,
    )


@pytest.mark.parametrize(
    "record",
    [
        proof("query_run", QUERY_RUN),
        proof("artifact", ARTIFACT),
        *({**event(), "activity": activity} for activity in sorted(SYSTEM_ACTIVITIES)),
        {**event(), "activity": "cdesk.tool_called", "source_system": "claude_export"},
    ],
    ids=lambda record: record.get("activity") or record["kind"],
)
def test_a_file_brings_no_proof_and_no_activity_of_the_system(
    run: Any, state_home: StateDirectory, record: Record
) -> None:
    source = encode(event()) + encode(record)
    with pytest.raises(ImportRefused, match="line 2: "):
        run(source)
    assert leftovers(state_home) == []
    report = run(source, skip_bad=True)
    assert (report.added, report.left_out) == (1, 1)
    assert [record["activity"] for record in queued(state_home)] == ["cdesk.user_asked"]


def test_an_id_that_came_in_before_with_other_content_is_counted_and_left_to_the_warehouse(
    run: Any, state_home: StateDirectory
) -> None:
    """Queued, so that it is quarantined where everybody sees it; once, however often the
    file is imported.
    """
    first = event("first")
    second = {**first, "feature_json": {"question": "second"}}
    other = {**first, "ts": "2026-01-31T13:00:00.000000Z"}
    report = run(encode(first) + encode(second) + encode(first))
    assert (report.added, report.known, report.conflicts) == (1, 1, 1)
    again = run(encode(second) + encode(other))
    assert (again.added, again.known, again.conflicts) == (0, 0, 2)
    texts = [
        (record["ts"][11:13], record["feature_json"]["question"]) for record in queued(state_home)
    ]
    assert sorted(texts) == [("12", "first"), ("12", "second"), ("13", "first")]
    assert run(encode(other) + encode(first)).conflicts == 1


def test_the_same_id_in_another_kind_is_another_record(run: Any) -> None:
    one = event()
    insight = proof(
        "insight",
        {"subject": "s", "metric": "m", "value": 1, "provenance_query_hash": None},
    )
    report = run(encode(one) + encode({**insight, "id": one["id"]}))
    assert (report.added, report.known, report.conflicts) == (2, 0, 0)


def test_a_predicted_id_that_a_file_claimed_is_told_when_the_genuine_export_comes(
    run: Any, state_home: StateDirectory
) -> None:
    run([exported()])
    genuine = [record for record in queued(state_home) if record["activity"] == "cdesk.user_asked"]
    for path in state_home.queue.iterdir():
        path.unlink()
    claimed = {**genuine[0], "feature_json": {"question": "made up"}}
    assert run(encode(claimed)).added == 1
    report = run([exported()])
    assert (report.conflicts, report.added) == (1, 5)
    texts = [record["feature_json"].get("question") for record in queued(state_home)]
    assert "made up" in texts
    assert len([r for r in queued(state_home) if r["id"] == claimed["id"]]) == 2, "both are queued"


def test_an_export_that_says_more_than_before_is_brought_up_to_date_in_its_place(
    run: Any, state_home: StateDirectory
) -> None:
    """The same conversations with their texts: a revision of each record that says more, and no
    second record. Without the texts again nothing is taken away.
    """
    first = run([exported()])
    before = queued(state_home)
    report = run([exported()], include_text=True)
    assert report.added == report.conflicts == report.changed == 0
    assert report.revised > 0
    assert report.revised + report.known == first.added
    revisions = [record for record in queued(state_home) if record not in before]
    assert len(revisions) == report.revised
    of = {record["id"]: record for record in before}
    for revision in revisions:
        assert (revision["kind"], revision["revision"]) == ("revision", 1)
        for name in ("ts", "customer", "activity", "session_id", "source_system"):
            assert revision[name] == of[revision["replaces"]][name]
    assert any(revision["feature_json"].get("question") for revision in revisions)
    after = queued(state_home)
    for options in ({"include_text": True}, {}):
        again = run([exported()], **options)
        assert (again.added, again.revised, again.conflicts) == (0, 0, 0)
        assert again.known + again.changed == first.added
        assert queued(state_home) == after
    renamed = run([exported(name="Another title altogether")], include_text=True)
    assert renamed.revised == 1
    (last,) = [record for record in queued(state_home) if record not in after]
    assert (last["revision"], last["activity"]) == (2, "cdesk.session_started")


@pytest.mark.parametrize("shown", [lambda record: record, as_readers_see])
def test_an_index_that_is_lost_is_made_anew_of_what_waits_and_what_has_landed(
    run: Any, state_home: StateDirectory, shown: Callable[[Record], Record]
) -> None:
    """Else each record that was revised would come in again, under an id with other content. On
    Snowflake what has landed comes back redacted.
    """
    key = "AKIA" + "Q7RZT2LMXK4WJ6VB"  # a credential is written as what it was
    conversation = exported()
    conversation["chat_messages"][0]["content"][0]["text"] += f" {key} bob@example.org"
    run([conversation])
    run([conversation], include_text=True)
    conversation["name"] = "Renamed"
    assert run([conversation], include_text=True).revised == 1
    before = queued(state_home)
    waiting = {path.name: path.read_bytes() for path in state_home.queue.iterdir()}
    assert key.encode() not in b"".join(waiting.values())

    def landed(names: Sequence[str]) -> Mapping[str, int]:
        return dict.fromkeys(waiting.keys() & set(names), 0)

    def earlier() -> list[tuple[str, Record]]:
        found = [
            (name, shown(parse_line(line))) for name in waiting for line in lines_of(waiting[name])
        ]
        return sorted(found, key=lambda one: one[1]["kind"])

    if hasattr(os, "mkfifo"):
        os.mkfifo(state_home.queue / f"{'0' * 32}-000001.ndjson")  # `cdesk status` names it
    for options in ({}, {"landed": landed, "earlier": earlier}):
        state_home.import_index.unlink()
        for include_text in (True, False, True):
            report = run([conversation], include_text=include_text, **options)
            assert (report.added, report.revised, report.conflicts) == (0, 0, 0)
        for path in state_home.queue.iterdir():
            path.unlink()
    conversation["name"] = "Renamed again"
    report = run([conversation], include_text=True, **options)
    assert (report.added, report.revised, report.conflicts) == (0, 1, 0)
    [revision] = queued(state_home)
    numbers = [one["revision"] for one in before if one.get("replaces") == revision["replaces"]]
    assert revision["revision"] == max(numbers) + 1


def lines_of(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def test_after_a_lost_index_the_same_export_is_nothing_new_by_the_warehouses_word(
    first_round: Path,
    state_home: StateDirectory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(first_round, state_home.root, dirs_exist_ok=True)
    source = tmp_path / "conversations.json"
    source.write_text(json.dumps([exported()]), encoding="utf-8")
    for options in ((), ("--include-text",)):
        assert main(["import", str(source), *options]) == 0
        with (
            closing(DuckDBWarehouse(state_home.warehouse)) as warehouse,
            closing(Uploader(state_home, warehouse)) as uploader,
        ):
            assert uploader.drain().landed
    state_home.import_index.unlink()
    capsys.readouterr()
    assert main(["import", str(source), "--include-text"]) == 0
    assert capsys.readouterr().out.startswith("Nothing new of 1 conversations: 6 records")
    assert not list(state_home.queue.glob("*.ndjson"))


def test_what_an_export_changed_without_its_texts_stays_as_it_was(
    run: Any, state_home: StateDirectory
) -> None:
    run([exported()], include_text=True)
    before = queued(state_home)
    report = run([exported()])
    assert report.changed > 0
    assert report.revised == 0
    assert queued(state_home) == before


MEMORY = "Ada builds a warehouse.\n\n" + "She likes figures. " * 400


def whole_export(path: Path, *, project: Mapping[str, Any]) -> Path:
    """An export with everything that such a zip holds."""
    files = {
        "conversations.json": [exported(**project)],
        "projects.json": [{"uuid": "p1", "name": "Atlas\nproject", "docs": []}, {"uuid": 3}],
        "memories.json": [
            {"conversations_memory": MEMORY, "project_memories": {"p1": "Ships in May."}}
        ],
        "users.json": [{"full_name": "Ada", "email_address": "ada@example.com"}],
        "something_new.json": [],
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, document in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 31, 12, 0, 0)), json.dumps(document))
    return path


@pytest.mark.parametrize("project", [{"project_uuid": "p1"}, {"project": {"uuid": "p1"}}])
def test_projects_name_sessions_memories_are_unverified_insights_and_the_rest_is_listed(
    run: Any, state_home: StateDirectory, tmp_path: Path, project: dict[str, Any]
) -> None:
    path = whole_export(tmp_path / "export.zip", project=project)
    report = run(path)
    told = "\n".join(report.reasons)
    assert "memories.json: 2 memories of Claude's own, which --include-text takes in" in told
    assert "users.json: the account's name" in told
    assert "something_new.json: not known" in told
    started = [r for r in queued(state_home) if r["activity"] == "cdesk.session_started"]
    assert [record["feature_json"]["project"] for record in started] == ["Atlas project"]
    assert all(record["kind"] == "event" for record in queued(state_home))
    run(path, include_text=True)
    insights = [record for record in queued(state_home) if record["kind"] == "insight"]
    by_metric = {record["metric"]: record for record in insights}
    assert set(by_metric) == {
        *(f"conversations, part {number}" for number in (1, 2)),
        "project Atlas project",
    }
    assert "".join(by_metric[f"conversations, part {n}"]["value"] for n in (1, 2)).replace(
        " ", ""
    ) == MEMORY.strip().replace(" ", "")
    assert by_metric["project Atlas project"]["value"] == "Ships in May."
    for record in insights:
        assert record["provenance_query_hash"] is None
        assert record["ts"].startswith("2026-01-31T12:00:00")
    again = run(path, include_text=True)
    assert again.added == again.revised == 0


def test_an_unpacked_export_is_read_with_what_lies_beside_it(
    run: Any, state_home: StateDirectory, tmp_path: Path
) -> None:
    with zipfile.ZipFile(whole_export(tmp_path / "e.zip", project={"project_uuid": "p1"})) as file:
        file.extractall(tmp_path / "unpacked")
    run(tmp_path / "unpacked" / "conversations.json", include_text=True)
    kinds = Counter(record["kind"] for record in queued(state_home))
    assert kinds["insight"] == 3
    (tmp_path / "unpacked" / "memories.json").write_text("no JSON")
    broken = run(tmp_path / "unpacked" / "conversations.json", include_text=True)
    assert "memories.json: it is no JSON" in broken.reasons[0]


def test_a_long_text_is_parsed_in_pieces_that_grow() -> None:
    """So that no part of it is gone over a hundred times: counted, not timed."""
    sizes: list[int] = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            sizes.append(size or 0)
            return super().read(size)

    text = "x" * (8 << 20)
    whole = json.dumps([{"a": text}, {"b": list(range(20_000))}]).encode()
    expected = list(ijson.basic_parse(io.BytesIO(whole)))
    assert list(parsed(Counting(whole))) == expected
    assert len(sizes) < 20, "8 MiB of one text"
    with pytest.raises(ijson.JSONError):
        list(parsed(io.BytesIO(whole[:-1])))


@pytest.mark.parametrize(("repeated", "refused"), [(1, False), (300, True)])
def test_a_zip_that_would_unpack_to_gigabytes_is_refused_with_a_word(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeated: int, refused: bool
) -> None:
    monkeypatch.setattr("uploader.sources.history._UNPACKED", 100_000)
    path = tmp_path / "export.zip"
    filler = {"type": "text", "text": "x" * 1_000 * repeated}
    message = {**exported()["chat_messages"][0], "content": [filler]}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", json.dumps([exported(chat_messages=[message])]))
    if not refused:
        assert run(path).added
        return
    with pytest.raises(ImportRefused, match="200 times as much, which no export does"):
        run(path)


def test_what_an_export_brings_says_so(run: Any, state_home: StateDirectory) -> None:
    run([exported()])
    assert {record["source_system"] for record in queued(state_home)} == {"claude_export"}


# -- all or nothing


def test_a_disk_that_fills_up_leaves_nothing_behind(
    run: Any, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = QueueWriter.append

    def full(self: QueueWriter, line: bytes) -> None:
        if self.records == 3:
            raise StateDirectoryError("no space left")
        append(self, line)

    with monkeypatch.context() as patched:
        patched.setattr(QueueWriter, "append", full)
        with pytest.raises(StateDirectoryError):
            run([exported()])
    assert leftovers(state_home) == []
    assert run([exported()]).added == 6


def test_what_a_killed_import_left_is_cleared_by_the_next(
    run: Any, state_home: StateDirectory
) -> None:
    stale = state_home.root / "importing"
    stale.mkdir()
    (stale / "0-000001.ndjson").write_bytes(encode(event()))
    run([exported()])
    assert not stale.exists()
    assert len(queued(state_home)) == 6


def test_two_imports_at_once_are_told_to_take_turns(state_home: StateDirectory) -> None:
    path = state_home.root / "imports.db"
    first = ImportIndex(path, exists=lambda names: names)
    with pytest.raises(StateDirectoryError, match="another import is running"):
        ImportIndex(path, exists=lambda names: names, timeout_seconds=0.01)
    first.close()


def test_a_damaged_import_index_says_that_it_may_be_removed(
    run: Any, state_home: StateDirectory
) -> None:
    (state_home.root / "imports.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(StateDirectoryError, match=r"imports\.db cannot be used .* remove it"):
        run([exported()])


# -- properties

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
_block = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "thinking", "tool_use", "tool_result", "voice"]) | _json},
    optional=dict.fromkeys(
        ("text", "thinking", "name", "input", "id", "tool_use_id", "is_error", "start_timestamp"),
        _json,
    ),
)
_times = st.datetimes().map(lambda value: value.isoformat() + "Z")
_message = st.fixed_dictionaries(
    {
        "uuid": st.uuids().map(str) | _json,
        "sender": st.sampled_from(["human", "assistant"]) | _json,
        "created_at": _times | _json,
    },
    optional={
        "text": st.text() | _json,
        "content": st.lists(_block, max_size=4) | _json,
        "attachments": st.lists(
            st.fixed_dictionaries({"file_name": _json, "file_type": _json, "file_size": _json})
        )
        | _json,
        "files": _json,
        "model": _json,
    },
)
_conversation = st.fixed_dictionaries(
    {"uuid": st.uuids().map(str), "chat_messages": st.lists(_message | _json, max_size=5)},
    optional={"name": _json, "created_at": _times | _json, "model": _json},
)


@settings(deadline=None, max_examples=40)
@given(conversations=st.lists(_conversation, min_size=1, max_size=3), include_text=st.booleans())
def test_whatever_an_export_holds_each_message_comes_in_or_is_counted(
    tmp_path_factory: pytest.TempPathFactory,
    conversations: list[dict[str, Any]],
    include_text: bool,
) -> None:
    folder = tmp_path_factory.mktemp("import")
    home = StateDirectory(folder / "home").ensure()
    path = folder / "conversations.json"
    path.write_text(json.dumps(conversations), encoding="utf-8")

    def once() -> ImportReport:
        return import_file(
            path, home=home, customer="ada", landed=nothing_landed, include_text=include_text
        )

    report = once()
    records = queued(home)
    assert report.added == len(records) == len({record["id"] for record in records})
    counts = Counter(record["activity"] for record in records)
    messages = sum(len(conversation["chat_messages"]) for conversation in conversations)
    whole = counts["cdesk.user_asked"] + counts["cdesk.claude_responded"]
    assert whole + report.known + report.left_out >= messages
    assert whole <= messages
    again = once()
    assert again.added == 0
    assert queued(home) == records


@given(text=st.text(alphabet=st.characters(), max_size=2_000), limit=st.integers(100, 3_000))
@example(text="000" + "\U00010000" * 24, limit=100)  # 27 characters, 101 bytes
@example(text="\x00" * 17, limit=100)  # 17 characters, 104 bytes
def test_a_fitted_text_fits_and_is_the_text_itself_where_that_fits(text: str, limit: int) -> None:
    fitted = fit_text(text, limit)
    assert len(orjson.dumps(fitted)) <= limit
    try:
        fits = len(orjson.dumps(text)) <= limit
    except TypeError:
        return
    assert (fitted == text) is fits


def test_the_text_limit_leaves_room_in_the_record() -> None:
    assert (
        len(orjson.dumps(fit_text("\x00" * MAX_FEATURE_BYTES, MAX_FEATURE_BYTES)))
        <= MAX_FEATURE_BYTES
    )
