"""Tables, sizes and ages for a person."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from types import SimpleNamespace

import pytest

from cdesk_app.cli import output
from cdesk_app.cli.output import (
    MAX_CELL,
    PlainOutput,
    age,
    pairs,
    progress,
    size,
    table,
    terminal_width,
    to_json,
    waiting,
)


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
    at = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
    assert pairs([("at", at)]).split() == ["at", "2026-01-31", "12:00:00+00:00"]


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


@pytest.mark.parametrize("scaled", [True, False])
def test_a_progress_bar_is_as_its_terminal_and_counts_by_its_unit(
    scaled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, object]] = []

    class Bar:
        def __init__(self, **given: object) -> None:
            made.append(given)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr("tqdm.tqdm", Bar)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("reading", total=7, unit="B", scale=scaled):
        pass
    assert made == [
        {
            "desc": "reading",
            "total": 7,
            "unit": "B",
            "unit_scale": scaled,
            "unit_divisor": 1024 if scaled else 1000,
            "delay": 0.5,
            "leave": False,
            "disable": False,
            "file": terminal,
            "dynamic_ncols": True,
        }
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (119, "119 s ago"),
        (120, "2 min ago"),
        (7_199, "120 min ago"),
        (7_200, "2 h ago"),
        (2 * 86_400 - 1, "48 h ago"),
        (2 * 86_400, "2 d ago"),
    ],
)
def test_a_unit_begins_with_two_of_it(seconds: int, text: str) -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    then = (now - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    assert age(then, now=now) == text


def test_a_cell_and_a_size_are_cut_only_beyond_their_bound() -> None:
    assert table(("a",), [("x" * MAX_CELL,)]).endswith("x")
    assert table(("a",), [("x" * (MAX_CELL + 1),)]).endswith(f"{'x' * (MAX_CELL - 1)}…")
    assert [size(one) for one in (1024, 1024**2 - 1, 1024**2)] == [
        "1.0 KiB",
        "1,024.0 KiB",
        "1.0 MiB",
    ]


def test_truth_values_and_text_are_no_numbers_and_stand_to_the_left() -> None:
    lines = table(("flag", "mixed", "none"), [(True, 1, None), (False, "a", None)]).splitlines()
    assert lines[2:] == ["yes   1         –", "no    a         –"]


def test_columns_share_what_rounding_leaves() -> None:
    lines = table(("a", "b", "c"), [("a" * 30, "b" * 30, "c" * 3)], width=46).splitlines()
    assert lines[2] == f"{'a' * 19}…  {'b' * 18}…  ccc"


def test_the_terminals_width_counts_where_one_looks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "77")
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    assert terminal_width() is None
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert terminal_width() == 77
    monkeypatch.setattr("shutil.get_terminal_size", lambda fallback: os.terminal_size(fallback))
    assert terminal_width() is None, "it does not say"


def test_a_table_is_indented_to_its_numbers_and_its_last_column_ends_with_its_text() -> None:
    assert table(("a", "n"), [("x", 1), ("y", None)], indent=2).splitlines() == [
        "  a  n",
        "  -  -",
        "  x  1",
        "  y  –",
    ]
    assert table(("long name", "b"), [("x", "y")]).splitlines() == [
        "long name  b",
        "---------  -",
        "x          y",
    ]
    with pytest.raises(ValueError, match="zip"):
        table(("a",), [("x", "y")], width=None)


def test_of_a_table_the_widest_columns_are_cut_first_to_the_last_character() -> None:
    rows = [("a" * 10, "b" * 20, "c" * 20)]
    names = ("a", "b", "c")
    for width, widths in ((54, (10, 20, 20)), (53, (10, 20, 19)), (44, (10, 15, 15))):
        head = table(names, rows, width=width).splitlines()[1]
        assert tuple(map(len, head.split("  "))) == widths
    assert table(names, rows, width=3).splitlines()[1] == "  ".join(["-" * 8] * 3)


def test_pairs_stand_in_line() -> None:
    assert pairs([("a", None), ("long", [1, {"x": 2}]), ("c", "")], indent=2).splitlines() == [
        "  a     –",
        '  long  [1,{"x":2}]',
        "  c",
    ]
    assert pairs([]) == ""


def test_values_of_other_kinds() -> None:
    at = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
    assert pairs([("a", at)]) == "a  2026-01-31 12:00:00+00:00"
    assert pairs([("a", {"at": at.date(), "in": PurePosixPath("x")})]) == (
        'a  {"at":"2026-01-31","in":"x"}'
    )
    assert pairs([("a", 1234567.891)]) == "a  1.23457e+06"
    assert pairs([("a", {1})]) == "a  {1}"


@dataclass
class Named:
    """As a report holds it."""

    name: str
    kind: object


def test_names_that_are_no_text_are_shown_wherever_they_stand() -> None:
    odd = b"a\xff".decode("utf-8", "surrogateescape")
    told = to_json([Named(odd, Named), {"in": (odd, 1, None)}])
    assert json.loads(told) == [
        {"name": "a\\udcff", "kind": str(Named)},
        {"in": ["a\\udcff", 1, None]},
    ]
    assert told.startswith("[\n  {\n    ")


def test_json_is_ascii_where_the_stream_lacks_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    assert to_json({"a": "é🙂"}) == '{\n  "a": "é🙂"\n}'
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert to_json({"a": "é🙂"}) == '{\n  "a": "\\u00e9\\ud83d\\ude42"\n}'


class Screen(io.TextIOWrapper):
    """Standard output with its bytes; a terminal or not."""

    def __init__(self, *, terminal: bool) -> None:
        self.raw_bytes = io.BytesIO()
        super().__init__(self.raw_bytes, encoding="utf-8", newline="\n")
        self._is_terminal = terminal

    def isatty(self) -> bool:
        return self._is_terminal


def test_no_control_character_reaches_a_terminal_and_bytes_reach_a_file_as_they_are() -> None:
    for terminal in (True, False):
        screen = Screen(terminal=terminal)
        out = PlainOutput(screen)
        assert (out.isatty(), out.encoding) == (terminal, "utf-8")
        assert out.write("a\x1b[31mb\n") == 8
        out.flush()
        assert b"\x1b" not in screen.raw_bytes.getvalue()
        assert screen.raw_bytes.getvalue().startswith(b"a")
        before = len(screen.raw_bytes.getvalue())
        buffer = out.buffer
        assert buffer.writable()
        assert buffer.write(b"c\x1b\xc3") == 3
        assert buffer.write(b"\xa9\r\n\xff") == 4
        buffer.flush()
        written = screen.raw_bytes.getvalue()[before:]
        if terminal:
            assert b"\x1b" not in written
            assert written.startswith(b"c")
            assert written.endswith("é\n\ufffd".encode())
        else:
            assert written == b"c\x1b\xc3\xa9\r\n\xff"


def test_an_age_counts_from_now() -> None:
    then = datetime.now(UTC) - timedelta(days=400)
    assert age(then.strftime("%Y-%m-%dT%H:%M:%S.000000Z")) == "400 d ago"


def test_waiting_ends_its_thread_and_hides_itself_after_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert tickers() == []

    def fail() -> None:
        with waiting("building"):
            (ticker,) = tickers()
            assert ticker.daemon, "a process that ends does not wait for it"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert tickers() == []
    assert terminal.getvalue().endswith("\r\x1b[K")


def tickers() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if "(tick)" in one.name]


def test_the_seconds_that_were_waited_for_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pauses = iter([100.0, 103.4]), []

    class Done:
        """Ends the wait when the line has been shown once."""

        def wait(self, pause: float) -> bool:
            pauses.append(pause)
            return len(pauses) > 1

        def set(self) -> None:
            pass

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(output, "threading", SimpleNamespace(Event=Done, Thread=Called))
    monkeypatch.setattr(output, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with waiting("building"):
        pass
    assert terminal.getvalue() == "\r\x1b[Kbuilding … 3 s\r\x1b[K"
    assert pauses == [1.0, 0.2]


class Called:
    """A thread that has ended when it has started."""

    def __init__(self, *, target: Callable[[], None], daemon: bool) -> None:
        del daemon
        self._target = target

    def start(self) -> None:
        self._target()

    def join(self) -> None:
        pass
