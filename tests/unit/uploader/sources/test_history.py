"""What an import says of a file: what it is, how much of it was read and taken in, and what to do
where it can't be.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from cdesk.contract.records import MAX_LINE_BYTES, encode, make_record, parse_line
from cdesk.contract.vocabulary import SYSTEM_ACTIVITIES
from cdesk.core.errors import InvalidField, StateDirectoryError, WarehouseUnavailable
from cdesk.core.home import StateDirectory
from uploader.sources import history
from uploader.sources.history import ImportRefused, ImportReport, import_file, is_batch

EXPECTED = (
    "expected a Claude data export (the zip, or the conversations.json in it: a list of "
    "conversations, each with uuid and chat_messages), or records as NDJSON (docs/contracts.md)"
)
Import = Callable[..., ImportReport]


@pytest.fixture
def run(state_home: StateDirectory) -> Import:
    def run_import(path: Path, **options: Any) -> ImportReport:
        given: dict[str, Any] = {"landed": lambda _: {}, **options}
        return import_file(path, home=state_home, customer="ada", **given)

    return run_import


def asked(number: int, text: str = "Hi", second: int = 1) -> dict[str, Any]:
    """A conversation with one question."""
    at = f"2026-01-31T12:00:{second:02d}Z"
    message = {"uuid": "u", "sender": "human", "created_at": at, "text": text}
    return {"uuid": f"c{number}", "created_at": at, "chat_messages": [message]}


def insight(number: int, value: str = "v", **changes: Any) -> dict[str, Any]:
    fields = {"subject": "s", "metric": "m", "value": value, "provenance_query_hash": None}
    record = make_record(
        "insight",
        id=f"019b76da-a800-7000-8000-{number:012d}",
        ts=f"2026-01-31T12:00:{number:02d}.000000Z",
        customer="ada",
        session_id=None,
        query_tag="cdesk_0a1b2c3d",
        fields=fields,
    )
    return {**record, **changes}


def lines(*records: Mapping[str, Any] | bytes, end: bytes = b"\n") -> bytes:
    written = (one if isinstance(one, bytes) else orjson.dumps(one) for one in records)
    return b"".join(line + end for line in written)


def queued(home: StateDirectory) -> list[dict[str, Any]]:
    data = b"".join(path.read_bytes() for path in sorted(home.queue.glob("*.ndjson")))
    return [dict(parse_line(line)) for line in data.splitlines()]


def zipped(path: Path, members: Mapping[str, Any], **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 31, 12, 30, 2)), raw)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    path = tmp_path / "source"

    def written(content: Any) -> Path:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        path.write_bytes(raw)
        return path

    return written


File = Callable[[Any], Path]


# -- what it is


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conversations.json", True),
        ("Conversations.JSON", True),
        ("conversations-002.json", True),
        ("conversations_2.json", True),
        ("conversations (1).json", True),
        ("conversations7.json", True),
        ("conversations.json.bak", False),
        ("my conversations.json", False),
        ("conversations-x.json", False),
        ("projects.json", False),
    ],
)
def test_a_batch_of_conversations_is_known_by_its_name(name: str, expected: bool) -> None:
    assert is_batch(Path("a") / name) is expected


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", f"is empty; {EXPECTED}"),
        (b" \n", f"is empty; {EXPECTED}"),
        (b"\xef\xbb\xbf", f"is empty; {EXPECTED}"),
        (b"\xef\xbb\xbf[5]", f"is JSON of another shape; {EXPECTED}"),
        (b"hello", f"is of another shape; {EXPECTED}"),
        (b"[{}, 1]", f"is JSON of another shape; {EXPECTED}"),
        (b"[5]", f"is JSON of another shape; {EXPECTED}"),
        (b'{\n"a": {"uuid": 1, "chat_messages": 2}}', f"is JSON of another shape; {EXPECTED}"),
        (
            b'{\n"uuid": 1, "chat_messages": 2}',
            "is one conversation; put '[' before it and ']' behind, and import it again",
        ),
        (
            b'{\n"v": 1, "kind": 2, "id": 3}',
            "is a record over several lines; put it on one: jq -c . source > records.ndjson",
        ),
        (
            b'{\n"a": ["x", 5, "https://a"]}',
            "is a list of links; download what they name, and import those files",
        ),
        (
            b'{\n"a": [5, null, "http://a"]}',
            "is a list of links; download what they name, and import those files",
        ),
        (
            b'{\n"https://a": ["b"]}',
            f"is JSON of another shape; {EXPECTED}",
        ),
        (
            b'[{"a": 5, "b": "http://a"}]',
            "is a list of links; download what they name, and import those files",
        ),
        (
            b'["https://a"]',
            "is a list of links; download what they name, and import those files",
        ),
        (b'["a link"]', f"is JSON of another shape; {EXPECTED}"),
        (
            b'[{"v": 1, "kind": 2, "id": 3}]',
            "is a list of records; put each on a line of its own: jq -c '.[]' FILE > "
            "records.ndjson",
        ),
        (b'[["v", "kind", "id"]]', f"is JSON of another shape; {EXPECTED}"),
        (
            b"\xff\xfe[\0",
            "is text in UTF-16, as PowerShell's '>' writes it; save it as UTF-8 and import it "
            "again",
        ),
        (
            b"\xfe\xff\0[",
            "is text in UTF-16, as PowerShell's '>' writes it; save it as UTF-8 and import it "
            "again",
        ),
        (
            b'\xef\xbb\xbf{\n"uuid": 1, "chat_messages": 2}',
            "is one conversation; put '[' before it and ']' behind, and import it again",
        ),
        (b'{\n"a": ' + b"[" * 199 + b"]" * 199 + b"}", f"is JSON of another shape; {EXPECTED}"),
        (
            b'{\n"a": ' + b"[" * 200 + b"]" * 200 + b"}",
            "holds no record, so nothing was imported",
        ),
    ],
)
def test_what_is_no_history_is_told_by_what_it_is(
    run: Import, file: File, state_home: StateDirectory, content: bytes, told: str
) -> None:
    path = file(content)
    with pytest.raises(ImportRefused) as refused:
        run(path)
    start = f"{path} {told}"
    if content.count(b"[") == 200:
        assert str(refused.value).startswith(f"2 of 2 lines of {path} cannot be taken in")
    else:
        assert str(refused.value) == start
    assert list(state_home.queue.iterdir()) == []
    assert not (state_home.root / "importing").exists()


def test_what_cannot_be_read_is_told_with_the_systems_words(
    run: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(path: Path) -> str:
        with pytest.raises(ImportRefused) as refused:
            run(path)
        return str(refused.value).removeprefix(f"{path} cannot be read ")

    assert told(tmp_path / "none") == "(No such file or directory); name a file that you can read"
    monkeypatch.setattr(Path, "open", _gone)
    assert told(tmp_path / "none") == "(gone for a moment); name a file that you can read"


def _gone(*_: Any, **__: Any) -> Any:
    raise OSError("gone for a moment")


@pytest.mark.parametrize(
    "members",
    [
        {"conversations.json": b"{}"},
        {"conversations.json": [], "conversations_2.json": b'{"v": 1}'},
        {"conversations.json": b""},
    ],
)
def test_every_batch_of_an_archive_is_a_list(
    run: Import, tmp_path: Path, members: Mapping[str, Any]
) -> None:
    path = zipped(tmp_path / "a.zip", members)
    with pytest.raises(ImportRefused, match=r"is empty|is of another shape"):
        run(path)


def test_an_archive_that_cannot_be_unpacked_is_damaged_or_encrypted(
    run: Import, tmp_path: Path, state_home: StateDirectory
) -> None:
    path = zipped(tmp_path / "a.zip", {"conversations.json": [asked(1)]})
    raw = bytearray(path.read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(header) + flags] |= 1
    path.write_bytes(raw)
    with pytest.raises(ImportRefused) as refused:
        run(path)
    said = str(refused.value)
    assert said.startswith(f"{path} cannot be read: a damaged or encrypted file (")
    assert said.endswith("; nothing was imported, download the export again")
    assert list(state_home.queue.iterdir()) == []


def test_a_damaged_file_beside_the_conversations_refuses_all(run: Import, tmp_path: Path) -> None:
    marked = b'[{"uuid": "p1", "name": "xxxxxxxx"}]'
    path = zipped(tmp_path / "a.zip", {"conversations.json": [], "projects.json": marked})
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"xxxxxxxx", b"xxxxyxxx", 1))
    with pytest.raises(ImportRefused) as refused:
        run(path)
    assert str(refused.value).startswith(f"{path} cannot be read: a damaged or encrypted file")


@pytest.mark.parametrize(("unpacked", "packed", "is_refused"), [(20_001, 100, True),
    (20_000, 100, False), (10_000, 1, False), (10_001, 1, True)])  # fmt: skip
def test_an_archive_that_unpacks_to_far_too_much_is_refused(
    monkeypatch: pytest.MonkeyPatch, unpacked: int, packed: int, is_refused: bool
) -> None:
    monkeypatch.setattr(history, "_UNPACKED", 10_000)
    member = zipfile.ZipInfo("conversations.json")
    member.file_size, member.compress_size = unpacked, packed
    if not is_refused:
        history._refuse_bomb(Path("a.zip"), [member])
        return
    with pytest.raises(ImportRefused):
        history._refuse_bomb(Path("a.zip"), [member])


def test_how_much_an_archive_would_unpack_to_is_told() -> None:
    member = zipfile.ZipInfo("conversations.json")
    member.file_size, member.compress_size = 2_500_000_000, 1_200_000
    with pytest.raises(ImportRefused) as refused:
        history._refuse_bomb(Path("a.zip"), [member])
    assert str(refused.value).startswith(
        "a.zip would unpack 1.2 MB to 2.5 GB, more than 200 times as much, which no export does; "
    )
    assert history._UNPACKED == 256 * 2**20


def test_an_export_nests_no_deeper_than_two_hundred_levels(run: Import, file: File) -> None:
    def nested(levels: int) -> bytes:
        """The list of conversations is the first level, a conversation the second."""
        deep = b"[" * (levels - 2) + b"]" * (levels - 2)
        return b'[{"uuid":"c0","chat_messages":[]},{"uuid":"c1","chat_messages":' + deep + b"}]"

    assert run(file(nested(200))).conversations == 2
    path = file(nested(201))
    with pytest.raises(ImportRefused) as refused:
        run(path)
    assert str(refused.value) == (
        f"{path} nests deeper than 200 levels in conversation 2; nothing was imported: download "
        "the export again"
    )


@pytest.mark.parametrize(
    ("content", "conversations"),
    [
        (b'[{"uuid":"c1","chat_messages":[]}', 1),
        (b'[{"uuid":"c1","chat_messages":[]},{"uuid":"c2"', 1),
        (b"[", 0),
        (b'[{"uuid":"c1","chat_messages":[]}]}', 1),
    ],
)
def test_an_export_that_is_not_whole_says_how_much_of_it_is(
    run: Import, file: File, state_home: StateDirectory, content: bytes, conversations: int
) -> None:
    path = file(content)
    with pytest.raises(ImportRefused) as refused:
        run(path)
    said = str(refused.value)
    assert said.startswith(f"{path} is no whole JSON after conversation {conversations} (")
    assert said.endswith("nothing was imported: download the export again")
    assert list(state_home.queue.iterdir()) == []


def test_pieces_grow_while_a_text_goes_on() -> None:
    """So that what a long one takes stays in proportion to it."""
    sizes: list[int] = []

    class Sized(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            sizes.append((size or 0) // 1024)
            return super().read(size)

    text = "x" * 1_000_000
    found = list(history.parsed(Sized(json.dumps([text, [1] * 90_000]).encode())))
    assert found[:2] == [("start_array", None), ("string", text)]
    assert len(found) == 90_005
    assert sizes[:7] == [64, 64, 128, 256, 512, 64, 64]


# -- what a file may bring


@pytest.mark.parametrize("kind", ["query_run", "artifact"])
def test_a_file_brings_no_proof(kind: str) -> None:
    with pytest.raises(InvalidField, match=f"kind: a {kind} is proof"):
        history._check_importable({"kind": kind})


@pytest.mark.parametrize("kind", ["event", "revision"])
def test_a_file_brings_no_activity_of_the_system_and_features_as_declared(kind: str) -> None:
    own = {"kind": kind, "customer": "ada", "anonymous_customer_id": None}
    system = sorted(SYSTEM_ACTIVITIES)[0]
    with pytest.raises(InvalidField, match="activity"):
        history._check_importable({**own, "activity": system, "feature_json": {}})
    asked = {**own, "activity": "cdesk.user_asked"}
    history._check_importable({**asked, "feature_json": {"length": 3}})
    with pytest.raises(InvalidField, match=r"feature_json\.length"):
        history._check_importable({**asked, "feature_json": {"length": "three"}})
    history._check_importable({**own, "kind": "insight"})


@pytest.mark.parametrize("name", ["customer", "anonymous_customer_id"])
def test_a_credential_names_nobody(name: str) -> None:
    record = {"kind": "insight", "customer": "ada", name: "ghp_" + "a1B2" * 9}
    with pytest.raises(InvalidField, match=f"{name}: is a credential"):
        history._check_importable(record)


def test_what_came_before_is_asked_where_nothing_is_known(
    run: Import, file: File, state_home: StateDirectory
) -> None:
    """Of what waits in the queue, and of what has landed."""
    run(file([asked(1)]))
    state_home.import_index.unlink()
    assert run(file([asked(1)])).known == 2
    state_home.import_index.unlink()
    (waiting,) = state_home.queue.iterdir()
    records = queued(state_home)
    waiting.unlink()
    landed = {waiting.name: 7}
    report = run(
        file([asked(1)]),
        landed=lambda _: landed,
        earlier=lambda: [(waiting.name, record) for record in records],
    )
    assert (report.added, report.known) == (0, 2)


# -- how much of it was read


def test_progress_counts_the_bytes_of_all_batches(run: Import, tmp_path: Path) -> None:
    batches = {f"conversations-{n}.json": json.dumps([asked(n)]).encode() for n in (2, 1)}
    path = zipped(tmp_path / "a.zip", {**batches, "projects.json": b"[]"})
    seen: list[tuple[int, int]] = []
    report = run(path, progress=lambda done, total: seen.append((done, total)))
    total = sum(map(len, batches.values()))
    first = len(batches["conversations-1.json"])
    assert {of for _, of in seen} == {total}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {first, total} <= {done for done, _ in seen}
    assert (report.conversations, report.added) == (2, 4)
    whole = tmp_path / "conversations.json"
    whole.write_bytes(batches["conversations-1.json"])
    seen.clear()
    run(whole, progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (first, first)


def test_batches_come_in_by_their_names(
    run: Import, tmp_path: Path, state_home: StateDirectory
) -> None:
    members = {
        "b/conversations-2.json": [asked(2)],
        "__MACOSX/conversations-0.json": b"\0\0",
        "a/conversations-1.json": [asked(1)],
    }
    assert run(zipped(tmp_path / "a.zip", members)).conversations == 2
    assert [record["session_id"] for record in queued(state_home)] == ["c1", "c1", "c2", "c2"]


def test_what_lies_beside_the_conversations_is_read_or_named(run: Import, tmp_path: Path) -> None:
    members = {
        "conversations.json": [{**asked(1), "project_uuid": "p1"}],
        "conversations-2.json": [],
        "a/projects.json": [{"uuid": "p1", "name": "atlas"}],
        "news.json": [],
        "notes.txt": b"",
        "__MACOSX/odd.json": b"",
    }
    report = run(zipped(tmp_path / "a.zip", members))
    assert (report.reasons, report.left_out) == (("news.json: not known to this version",), 1)
    # A name that is no batch's has no neighbours.
    (tmp_path / "projects.json").write_bytes(b"no JSON")
    (tmp_path / "other.json").write_bytes(json.dumps([asked(2)]).encode())
    assert run(tmp_path / "other.json").left_out == 0
    (tmp_path / "conversations.json").write_bytes(json.dumps([asked(3)]).encode())
    assert run(tmp_path / "conversations.json").left_out == 1


@pytest.mark.parametrize(
    ("written", "ts"),
    [
        ((2026, 1, 31, 12, 30, 2), "2026-01-31T12:30:02.000000Z"),
        ((1980, 0, 0, 0, 0, 0), "1980-01-01T00:00:00.000000Z"),
    ],
)
def test_memories_are_as_old_as_their_file(
    run: Import,
    tmp_path: Path,
    state_home: StateDirectory,
    written: tuple[int, int, int, int, int, int],
    ts: str,
) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("conversations.json", "[]")
        memories = json.dumps({"conversations_memory": "Ada likes tea."})
        archive.writestr(zipfile.ZipInfo("memories.json", written), memories)
    report = run(path, include_text=True)
    (record,) = queued(state_home)
    assert (record["ts"], record["customer"]) == (ts, "ada")
    assert report.by_kind == {"insight": 1}
    (tmp_path / "conversations.json").write_text("[]")
    beside = tmp_path / "memories.json"
    beside.write_text(json.dumps({"conversations_memory": "Ada likes coffee."}))
    os.utime(beside, (1_769_862_602, 1_769_862_602))
    run(tmp_path / "conversations.json", include_text=True)
    assert queued(state_home)[-1]["ts"] == "2026-01-31T12:30:02.000000Z"


# -- what was taken in


def test_an_export_is_told_by_its_conversations_records_and_span(
    run: Import, file: File, state_home: StateDirectory
) -> None:
    content = [asked(1, second=5), asked(2, second=1), {"odd": 1}, asked(3, second=9)]
    report = run(file(content), include_text=True)
    assert report == ImportReport(
        format="claude_export",
        conversations=4,
        added=6,
        known=0,
        conflicts=0,
        changed=0,
        revised=0,
        by_kind={"cdesk.session_started": 3, "cdesk.user_asked": 3},
        first_ts="2026-01-31T12:00:01.000000Z",
        last_ts="2026-01-31T12:00:09.000000Z",
        left_out=1,
        reasons=("conversation 3: it has no uuid or no chat_messages",),
        cut=0,
    )
    content[0] = asked(1, "Hello", second=5)
    again = run(file(content), include_text=True)
    assert (again.added, again.known, again.revised, again.changed) == (0, 5, 1, 0)
    assert (again.by_kind, again.first_ts, again.last_ts) == ({}, None, None)
    last = queued(state_home)[-1]
    assert (last["kind"], last["revision"]) == ("revision", 1)
    assert last["feature_json"]["question"] == "Hello"
    content[0] = asked(1, "Hello, you", second=5)
    third = run(file(content))
    assert (third.added, third.known, third.revised, third.changed) == (0, 3, 0, 3)
    assert len(queued(state_home)) == 7, "without the texts nothing is revised"


def test_a_text_that_was_cut_is_counted(run: Import, file: File) -> None:
    report = run(file([asked(1, "x" * 70_000)]), include_text=True)
    assert (report.added, report.cut) == (2, 1)


def test_records_are_told_by_kind_and_span(
    run: Import, file: File, state_home: StateDirectory
) -> None:
    report = run(file(lines(insight(5), insight(2), b"  ", insight(9), end=b"\r\n")))
    assert report == ImportReport(
        format="ndjson",
        conversations=0,
        added=3,
        known=0,
        conflicts=0,
        changed=0,
        revised=0,
        by_kind={"insight": 3},
        first_ts="2026-01-31T12:00:02.000000Z",
        last_ts="2026-01-31T12:00:09.000000Z",
        left_out=0,
        reasons=(),
        cut=0,
    )
    assert {record["source_system"] for record in queued(state_home)} == {"import"}
    changed = lines(insight(5, "other"), insight(2))
    for number in range(2):
        report = run(file(changed), include_text=True)
        assert (report.added, report.known, report.conflicts) == (0, 1, 1)
        assert (report.changed, report.revised) == (0, 0)
        assert len(queued(state_home)) == 4, number


def test_a_record_keeps_the_source_that_it_names(
    run: Import, file: File, state_home: StateDirectory
) -> None:
    run(file(lines(insight(1, source_system="cowork"))))
    assert [record["source_system"] for record in queued(state_home)] == ["cowork"]


@pytest.mark.parametrize("over", [0, 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_may_be_as_long_as_one_of_the_queue(
    run: Import, file: File, over: int, end: bytes
) -> None:
    """Whatever ends it; the rest of a longer one is no line of its own."""
    line = orjson.dumps(insight(1))
    line = line[:-1] + b" " * (MAX_LINE_BYTES + over - len(line)) + b"}"
    source = lines(insight(2)) + line + end + (lines(insight(3)) if end else b"")
    report = run(file(source), skip_bad=True)
    is_good = over == 0
    assert report.added == 1 + is_good + bool(end)
    assert report.left_out == (not is_good)
    assert [reason[:16] for reason in report.reasons] == ["line 2: too_long"] * (not is_good)


@pytest.mark.parametrize(
    ("bad", "good", "told"),
    [
        (1, 0, "{path} holds no record, so nothing was imported ({first}); " + EXPECTED),
        (2, 0, "2 of 2 lines of {path} cannot be taken in, so nothing was imported ({shown}); "),
        (1, 1, "1 of 2 lines of {path} cannot be taken in, so nothing was imported ({first}); "),
        (3, 1, "3 of 4 lines of {path} cannot be taken in, so nothing was imported ({shown}); "),
        (
            4,
            1,
            "4 of 5 lines of {path} cannot be taken in, so nothing was imported "
            "({shown}; and 1 more); ",
        ),
    ],
)
def test_bad_lines_refuse_the_file_and_the_first_three_are_shown(
    run: Import, file: File, bad: int, good: int, told: str
) -> None:
    path = file(lines(*[b'{"v":1}'] * bad, *map(insight, range(good))))
    reasons = [
        f"line {number}: unknown_kind: kind is None; known: "
        for number in range(1, min(bad, 3) + 1)
    ]
    with pytest.raises(ImportRefused) as refused:
        run(path)
    said = str(refused.value)
    known = said[said.index("known: ") + 7 :].partition(")")[0].partition(";")[0]
    reasons = [reason + known for reason in reasons]
    expected = told.format(path=path, first=reasons[0], shown="; ".join(reasons))
    if not told.endswith(EXPECTED):
        expected += "mend them, or leave them out with --skip-bad"
    assert said == expected


def test_left_out_parts_of_an_export_refuse_nothing(run: Import, file: File) -> None:
    assert run(file([asked(1), {}])).left_out == 1


# -- into the queue


def test_an_import_that_brings_nothing_new_leaves_no_file(
    run: Import, file: File, state_home: StateDirectory
) -> None:
    run(file([]))
    assert list(state_home.queue.iterdir()) == []
    run(file([asked(1)]))
    before = sorted(state_home.queue.iterdir())
    assert len(before) == 1
    run(file([asked(1)]))
    assert sorted(state_home.queue.iterdir()) == before
    assert not (state_home.root / "importing").exists()


def test_the_folder_of_an_import_is_made_anew_and_private(
    run: Import, file: File, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = state_home.root / "importing"
    folder.write_text("no folder")
    with pytest.raises(StateDirectoryError, match="importing cannot be made"):
        run(file([asked(1)]))
    folder.unlink()
    (folder / "left").mkdir(parents=True)
    seen: list[tuple[list[Path], int]] = []
    write = history._write

    def looking(*args: Any) -> ImportReport:
        seen.append((list(folder.iterdir()), folder.stat().st_mode & 0o777))
        return write(*args)

    monkeypatch.setattr(history, "_write", looking)
    run(file([asked(1)]))
    assert seen == [([], 0o700)] or os.name == "nt"
    assert not folder.exists()


def test_records_that_cannot_be_moved_into_the_queue_come_in_with_the_next_import(
    run: Import, file: File, state_home: StateDirectory
) -> None:
    state_home.queue.rename(state_home.root / "away")
    with pytest.raises(StateDirectoryError, match="import the file again: nothing comes in twice"):
        run(file([asked(1)]))
    (state_home.root / "away").rename(state_home.queue)
    assert run(file([asked(1)])).added == 2


def test_what_came_in_is_known_while_its_file_waits_or_has_landed(
    run: Import, file: File, state_home: StateDirectory
) -> None:
    path = file([asked(1)])
    run(path)
    (waiting,) = state_home.queue.iterdir()
    questions: list[Sequence[str]] = []

    def landed(names: Sequence[str]) -> Mapping[str, int]:
        questions.append(names)
        return {name: 7 for name in names if name == waiting.name}

    assert run(path, landed=landed).known == 2
    assert questions == [], "a file that waits is asked of nobody"
    waiting.unlink()
    assert run(path, landed=landed).known == 2
    assert questions == [[waiting.name]]

    def away(_: Sequence[str]) -> Mapping[str, int]:
        raise WarehouseUnavailable("down")

    assert run(path, landed=away).added == 2


def test_a_reader_tells_of_no_more_than_it_read() -> None:
    told: list[tuple[int, int]] = []
    counted = history._Counted(
        Path("a"), io.BytesIO(b"abcdef"), 10, lambda *step: told.append(step), done=2
    )
    assert counted.readable()
    buffer = bytearray(4)
    assert [counted.readinto(buffer) for _ in range(3)] == [4, 2, 0]
    assert told == [(6, 10), (8, 10), (8, 10)]


def test_encoded_records_are_what_was_read(run: Import, file: File, state_home: Any) -> None:
    record = insight(1, "ü")
    run(file(lines(record)))
    (path,) = state_home.queue.iterdir()
    assert path.read_bytes() == encode({**record, "source_system": "import"})
