"""What the commands say of what came in and what did not."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError, Namespace
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from cdesk.core.errors import InvalidField
from cdesk_app.cli import quarantine
from cdesk_app.cli.history import _told, histories_told
from uploader.histories import FolderReport
from uploader.quarantine import MOST_ROWS, QuarantinedLine
from uploader.sources.history import ImportReport

LANDING = "The worker is landing them; 'cdesk status' shows how far it is."
TO_LAND = "Run 'cdesk worker --once' to land them and build."
FOLDER = FolderReport(
    files=2,
    records={},
    first_ts="2026-01-01",
    last_ts="2026-01-02",
    unknown={},
    bad_lines={},
    left_out={},
    unreadable={},
    passed_by={},
)


def lines_of(report: FolderReport, *, running: bool = False) -> list[str]:
    return [line for line in histories_told(report, running=running).splitlines() if line]


def test_histories_that_hold_nothing_new_say_so() -> None:
    assert lines_of(FOLDER) == ["Nothing new: what these histories hold had come in before."]


@pytest.mark.parametrize(("running", "last"), [(True, LANDING), (False, TO_LAND)])
def test_histories_say_what_came_in_and_what_was_left_out(running: bool, last: str) -> None:
    report = replace(
        FOLDER,
        records={"user_asked": 1_000, "tool_called": 2},
        unknown={name: n for n, name in enumerate("abcdef", start=1)},
        bad_lines={"no JSON": 1, "a line without a time": 1},
        left_out={"too deep": 3},
        unreadable={"/x": "denied"},
        passed_by={f"/link{n}": "a link" for n in range(6)},
    )
    told = lines_of(report, running=running)
    assert told[-1] == last
    assert "1,002 records of 2 files, from 2026-01-01 to 2026-01-02." in told
    begin = told.index("Not known to this version, and left out: 21")
    assert told[begin + 1 : begin + 7] == [
        *("  6 × f", "  5 × e", "  4 × d", "  3 × c", "  2 × b"),
        "Lines that could not be read: 2",
    ]
    assert told[begin + 7 : begin + 9] == ["  1 × a line without a time", "  1 × no JSON"]
    assert "Beyond the limits of a record, and left out: 3" in told
    assert "/x cannot be read (denied)" in told
    assert ("/link4 was passed by (a link)" in told, "/link5 was passed by (a link)" in told) == (
        True, False,
    )  # fmt: skip


def imported(*, running: bool = False, **changes: Any) -> list[str]:
    counts = dict.fromkeys(
        ("added", "known", "conflicts", "changed", "revised", "cut", "left_out"), 0
    )
    given: dict[str, Any] = {
        **counts,
        "format": "ndjson",
        "conversations": 3,
        "by_kind": {"event": 1},
        "first_ts": "2026-01-01",
        "last_ts": "2026-01-02",
        "reasons": (),
    }
    report: Any = Mock(spec=ImportReport, **{**given, **changes})
    return [line for line in _told(report, running=running).splitlines() if line]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ["It holds nothing: no conversation, no record."]),
        ({"known": 1_200}, ["Nothing new: 1,200 records had come in before."]),
        (
            {"known": 2, "format": "claude_export"},
            ["Nothing new of 3 conversations: 2 records had come in before."],
        ),
        (
            {"left_out": 5, "reasons": ("a", "b")},
            [
                "Nothing new: 0 records had come in before.",
                "5 parts of the file cannot be taken in and were left out:",
                *("  a", "  b", "  and 3 more"),
            ],
        ),
        (
            {"left_out": 1, "reasons": ("a",)},
            [
                "Nothing new: 0 records had come in before.",
                "1 parts of the file cannot be taken in and were left out:",
                "  a",
            ],
        ),
    ],
)
def test_an_import_of_nothing_new_says_why(given: dict[str, Any], said: list[str]) -> None:
    assert imported(**given) == said


def test_a_table_stands_apart_from_what_is_said_of_it() -> None:
    report: Any = Mock(spec=ImportReport, **dict.fromkeys(("known", "conflicts", "changed"), 0))
    for name in ("revised", "cut", "left_out"):
        setattr(report, name, 0)
    report.added, report.by_kind, report.format = 3, {"event": 3}, "ndjson"
    report.first_ts, report.last_ts = "2026-01-01", "2026-01-02"
    assert _told(report, running=True).splitlines() == [
        "imported  records",
        "--------  -------",
        "event           3",
        "",
        "3 records, from 2026-01-01 to 2026-01-02, are in the queue.",
        LANDING,
    ]


def test_an_import_says_what_came_in_beside_what_was_there() -> None:
    told = imported(added=1_000, known=2, cut=1, format="claude_export")
    assert told[-4:] == [
        "1,000 records of 3 conversations, from 2026-01-01 to 2026-01-02, are in the queue.",
        "2 more had come in before and were left as they are.",
        "1 texts were longer than a record may be and were cut; each says how long it was.",
        TO_LAND,
    ]
    assert not any("had come in before" in line for line in imported(added=1))
    for given, word in (
        ({"conflicts": 4}, "4 have an id that came in before with other content"),
        ({"revised": 5}, "5 records that had come in before say more now"),
    ):
        told = imported(**given)
        assert any(line.startswith(word) for line in told)
        assert told[-1] == TO_LAND
    assert imported(added=1, running=True)[-1] == LANDING
    told = imported(changed=6)
    assert told[-1].startswith("6 say something else than when an earlier export")
    assert TO_LAND not in told
    assert imported(revised=1)[0].startswith("1 records that had come in before say more")


LINE = QuarantinedLine(
    quarantine_id="q1",
    kind="quarantine",
    reason="not_json",
    detail="torn",
    raw="raw pw=hunter22",
    source_file="f",
    source_offset=1_200,
    landed_at="2026-01-31T12:00:00.000000Z",
    action=None,
)


def test_lines_in_quarantine_are_listed_without_credentials(
    capsys: pytest.CaptureFixture[str],
) -> None:
    room = Mock()
    room.lines.return_value = []
    asked = Namespace(reason="x", limit=7, done=True, json=False)
    assert quarantine._list(room, asked) == 0
    assert capsys.readouterr().out == "nothing in quarantine\n"
    room.lines.assert_called_once_with(reason="x", limit=7, done_too=True)
    room.lines.return_value = [LINE, replace(LINE, detail=None, action="replayed")]
    quarantine._list(room, asked)
    head, _, first, second = capsys.readouterr().out.splitlines()[:4]
    assert head.split() == ["id", "reason", "detail", "done", "landed"]
    assert (first.split()[:3], second.split()[:3]) == (
        ["q1", "not_json", "torn"],
        ["q1", "not_json", "replayed"],
    )
    quarantine._list(room, Namespace(**{**vars(asked), "json": True}))
    assert [one["raw"] for one in json.loads(capsys.readouterr().out)] == [
        "raw pw=[secret:password]"
    ] * 2
    quarantine._show([LINE], Namespace(json=False))
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "q1  not_json: torn"
    assert told[1].startswith("f at byte 1,200, landed ")
    assert told[1].endswith(", open")
    assert told[2] == "raw pw=[secret:password]"


def test_which_lines_are_meant() -> None:
    room = Mock()
    room.line.side_effect = lambda id: id
    asked = {"ids": [], "all": False, "action": "replay", "reason": "r"}
    assert quarantine._chosen(room, Namespace(**{**asked, "ids": ["a", "b"]})) == ["a", "b"]
    quarantine._chosen(room, Namespace(**{**asked, "all": True}))
    room.lines.assert_called_once_with(reason="r", limit=MOST_ROWS)
    for given in ({}, {"all": True, "action": "show"}):
        with pytest.raises(InvalidField, match="or --all with replay and discard"):
            quarantine._chosen(room, Namespace(**{**asked, **given}))


def test_a_count_is_a_number_within_its_bounds() -> None:
    assert [quarantine._count(text) for text in ("1", "10000")] == [1, 10_000]
    for text in ("0", "10001", "-1", "x", "1.0", ""):
        with pytest.raises(ArgumentTypeError):
            quarantine._count(text)
