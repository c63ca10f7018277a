"""Tables, sizes and ages for a person."""

from __future__ import annotations

import io
import json
import sys
import time
from datetime import UTC, datetime

import pytest

from cdesk_app.cli.output import age, pairs, progress, size, table, to_json, waiting


def test_a_table_is_aligned_numbers_to_the_right() -> None:
    text = table(("name", "count"), [("a", 1), ("bb", 12_345), ("c" * 100, None)])
    lines = text.splitlines()
    assert lines[0] == f"{'name':<100}  {'count':>6}"
    assert lines[2].endswith("     1")
    assert lines[3].endswith("12,345")
    assert lines[4] == f"{'c' * 100}       –"


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("indent", [0, 2])
def test_a_table_is_as_wide_as_the_terminal_and_its_widest_columns_are_cut(
    width: int, indent: int
) -> None:
    rows = [("short", "b" * 70, "c" * 150)]
    lines = table(("a", "b", "c"), rows, width=width, indent=indent).splitlines()
    assert {len(line) for line in lines[1:]} == {min(width, 5 + 70 + 150 + 4 + indent)}
    assert "short" in lines[2]
    assert lines[2].endswith("…")
    assert ("b" * 70 in lines[2]) is (width == 200)


def test_a_column_keeps_some_room_in_a_narrow_terminal() -> None:
    line = table(("a", "b"), [("a" * 50, "b" * 50)], width=5).splitlines()[2]
    assert line == f"{'a' * 7}…  {'b' * 7}…"


def test_a_table_without_rows_keeps_its_head() -> None:
    assert table(("a", "bc"), []) == "a  bc\n-  --"


def test_a_line_break_in_a_cell_does_not_break_the_table() -> None:
    assert len(table(("a",), [("x\ny",)]).splitlines()) == 3


def test_values_are_shown_as_a_person_writes_them() -> None:
    shown = pairs([("a", True), ("b", None), ("c", 1_000), ("d", {"x": [1]}), ("e", 0.25)])
    assert shown.splitlines() == ["a  yes", "b  –", "c  1,000", 'd  {"x":[1]}', "e  0.25"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (3 * 1024**3, "3.0 GiB"),
        (2**50, "1,048,576.0 GiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("ts", "text"),
    [
        (None, "never"),
        ("2026-01-31T11:59:48.000000Z", "12 s ago"),
        ("2026-01-31T11:58:30.000000Z", "90 s ago"),
        ("2026-01-31T11:57:00.000000Z", "3 min ago"),
        ("2026-01-31T07:00:00.000000Z", "5 h ago"),
        ("2026-01-28T12:00:00.000000Z", "3 d ago"),
        ("2026-01-31T12:00:05.000000Z", "0 s ago"),
    ],
)
def test_ages(ts: str | None, text: str) -> None:
    assert age(ts, now=datetime(2026, 1, 31, 12, tzinfo=UTC)) == text


def test_json_takes_dates() -> None:
    assert (
        to_json({"at": datetime(2026, 1, 1, tzinfo=UTC)})
        == '{\n  "at": "2026-01-01T00:00:00+00:00"\n}'
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_waiting_says_what_it_waits_for_on_a_terminal_and_cleans_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with waiting("building") as say:
        say("3 of 7")
        deadline = time.monotonic() + 30
        while "building: 3 of 7 … " not in terminal.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)
    assert "building: 3 of 7 … " in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_nothing_is_shown_where_no_terminal_looks_on(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting("building") as say, progress("reading", total=10) as bar:
        say("more")
        bar.update(10)
    assert capsys.readouterr().err == ""


def test_a_name_that_is_no_text_is_shown_in_json_by_its_bytes() -> None:
    """As a file system holds it, and Python reads it."""
    name = b"a\xffb".decode("utf-8", "surrogateescape")
    told = json.loads(to_json({"files": (name,), name: {"n": 1}}))
    assert told == {
        "files": ["a\\udcffb"],
        "a\\udcffb": {"n": 1},
    }
