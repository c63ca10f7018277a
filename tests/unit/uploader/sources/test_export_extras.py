"""What lies beside an export's conversations."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from cdesk.contract.records import MAX_VALUE, Record
from uploader.sources import export_extras as module
from uploader.sources.claude_export import NAMESPACE, Tally
from uploader.sources.export_extras import (
    Beside,
    Extras,
    memory_records,
    project_of,
    read_extras,
)

TS = "2026-01-31T12:00:00.000000Z"


def beside(name: str, content: Any, size: int | None = None) -> Beside:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Beside(name, len(raw) if size is None else size, TS, lambda: raw)


def read(*files: Beside) -> tuple[Extras, list[str]]:
    tally = Tally()
    return read_extras(list(files), tally), tally.reasons


def records(memories: list[tuple[str, str, str]], **options: Any) -> tuple[list[Record], Tally]:
    tally = Tally()
    given: dict[str, Any] = {"customer": "ada", "include_text": True, **options}
    found = list(memory_records(Extras(memories=memories), tally=tally, **given))
    return found, tally


def test_what_is_not_taken_in_is_named() -> None:
    extras, reasons = read(beside("users.json", []), beside("news.json", []), beside("a.json", 5))
    assert (extras.projects, extras.memories) == ({}, [])
    assert reasons == [
        "a.json: not known to this version",
        "news.json: not known to this version",
        "users.json: the account's name and address, which nothing here needs",
    ]


@pytest.mark.parametrize(
    ("document", "projects"),
    [
        ([{"uuid": "p1", "name": "Atlas\n  two"}, {"uuid": "p2", "name": "n" * 201}],
         {"p1": "Atlas two", "p2": "n" * 200}),
        ({"uuid": "p1", "name": "alone"}, {"p1": "alone"}),
        ([{"uuid": 3, "name": "a"}, {"uuid": "p", "name": 3}, {"uuid": "p", "name": " "}, "odd",
          {"uuid": "p1", "name": "good"}], {"p1": "good"}),
        ("odd", {}),
        ([], {}),
    ],
)  # fmt: skip
def test_projects_are_known_by_their_names(document: Any, projects: dict[str, str]) -> None:
    extras, reasons = read(beside("projects.json", document))
    assert (extras.projects, reasons) == (projects, [])


@pytest.mark.parametrize(
    ("document", "memories"),
    [
        ([{"conversations_memory": " Ada likes tea. ", "project_memories": {"p1": " May ", "p2": "x",
                                                                          "p3": " ", "p4": 5}}],
         [("conversations", "Ada likes tea.", TS), ("project Atlas", "May", TS),
          ("project p2", "x", TS)]),
        ({"conversations_memory": "alone"}, [("conversations", "alone", TS)]),
        (["odd", {"conversations_memory": " ", "project_memories": []},
          {"conversations_memory": 5}, {"conversations_memory": "good"}],
         [("conversations", "good", TS)]),
        ([{"project_memories": {"p" * 300: "x"}}], [("project " + "p" * 192, "x", TS)]),
        (None, []),
    ],
)  # fmt: skip
def test_memories_are_of_all_conversations_or_of_a_project(
    document: Any, memories: list[tuple[str, str, str]]
) -> None:
    projects = beside("projects.json", [{"uuid": "p1", "name": "Atlas"}])
    extras, reasons = read(beside("memories.json", document), projects)
    assert (extras.memories, reasons) == (memories, [])


def test_a_document_that_is_none_or_too_large_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.MAX_BYTES == 64 * 2**20
    monkeypatch.setattr(module, "MAX_BYTES", 1_000)
    good = b"\xef\xbb\xbf" + json.dumps([{"uuid": "p", "name": "n"}]).encode()
    extras, reasons = read(beside("projects.json", good, 1_000))
    assert (extras.projects, reasons) == ({"p": "n"}, [])
    extras, reasons = read(beside("projects.json", good, 1_001))
    assert (extras.projects, reasons) == ({}, ["projects.json: 1,001 bytes, more than 1,000"])
    extras, reasons = read(beside("memories.json", b"{torn"))
    assert extras.memories == []
    (reason,) = reasons
    assert reason.startswith("memories.json: it is no JSON (")


@pytest.mark.parametrize(
    ("conversation", "name"),
    [
        ({}, None),
        ({"project_uuid": "p1"}, "Atlas"),
        ({"project_uuid": "p2"}, None),
        ({"project": {"uuid": "p1"}}, "Atlas"),
        ({"project": {"uuid": "p1"}, "project_uuid": "p3"}, "Atlas"),
        ({"project": {}, "project_uuid": "p3"}, "Other"),
        ({"project": {"uuid": "p1", "name": "own"}}, "Atlas"),
        ({"project": {"uuid": "p2", "name": "own"}}, "own"),
        ({"project": {"name": "own"}}, "own"),
        ({"project": {"name": ""}}, None),
        ({"project": {"name": 5}}, None),
        ({"project": "odd", "project_uuid": "p1"}, "Atlas"),
    ],
)
def test_a_conversation_is_of_the_project_that_it_names(
    conversation: dict[str, Any], name: str | None
) -> None:
    extras = Extras({"p1": "Atlas", "p3": "Other"})
    assert project_of(conversation, extras) == name


def test_a_memory_is_an_insight_without_a_proof() -> None:
    (record,), tally = records([("conversations", "Ada likes tea.", TS)])
    key = json.dumps(["memory", "ada", "conversations", "Ada likes tea.", TS])
    assert record == {
        **{"v": 1, "kind": "insight", "id": str(uuid.uuid5(NAMESPACE, key)), "ts": TS},
        **{"customer": "ada", "session_id": None, "subject": "Claude's memory"},
        **{"metric": "conversations", "value": "Ada likes tea.", "provenance_query_hash": None},
        "query_tag": "cdesk_" + uuid.uuid5(NAMESPACE, key + " tag").hex[:8],
        **{"source_system": "claude_export", "source_version": "2.0"},
    }
    assert tally == Tally()


def test_without_the_texts_memories_are_counted_alone() -> None:
    found, tally = records([("conversations", "x", TS)] * 1_234, include_text=False)
    assert found == []
    assert tally.reasons == [
        "memories.json: 1,234 memories of Claude's own, which --include-text takes in"
    ]
    assert records([], include_text=False)[1] == Tally()


def test_a_memory_that_the_contract_refuses_is_named_and_the_next_comes_in() -> None:
    found, tally = records([("a\0b", "x", TS), ("conversations", "y", TS)])
    assert [record["value"] for record in found] == ["y"]
    (reason,) = tally.reasons
    assert reason.startswith("memories.json, a\0b: metric: ")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("x" * MAX_VALUE, ["x" * MAX_VALUE]),
        ("x" * (MAX_VALUE + 1), ["x" * MAX_VALUE, "x"]),
        ("{long}\n\na b\nc{rest}", ["{long}", "a b\nc{rest}"]),
        ("{long}\na b{rest}", ["{long}", "a b{rest}"]),
        ("{long} ab{rest}", ["{long}", "ab{rest}"]),
        ("{half} {rest}", ["{half} {half2}", "{tail}"]),
    ],
)
def test_a_long_memory_is_cut_between_paragraphs_lines_or_words(
    text: str, parts: list[str]
) -> None:
    half = MAX_VALUE // 2
    given = {
        "long": "l" * (MAX_VALUE - 100),
        "rest": "r" * (MAX_VALUE - 200),
        "half": "h" * half,
        "half2": "r" * (MAX_VALUE - half - 1),
        "tail": "r" * (MAX_VALUE - 200 - (MAX_VALUE - half - 1)),
    }
    found, _ = records([("m", text.format(**given), TS)])
    assert [record["value"] for record in found] == [part.format(**given) for part in parts]
    many = len(parts) > 1
    assert [record["metric"] for record in found] == [
        f"m, part {number}" if many else "m" for number in range(1, len(parts) + 1)
    ]
