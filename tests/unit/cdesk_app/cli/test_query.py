"""How `cdesk query` and its kin are called, and what a wrong call is told."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from query_desk import CUSTOMER, desk

from bench.turn_path import fixtures
from cdesk.contract.catalog import Parameter, load_catalog
from cdesk.core.errors import InvalidField
from cdesk.core.home import StateDirectory
from cdesk.state.tickets import BYTE_CAP_MAX
from cdesk_app.cli.main import main
from cdesk_app.cli.query import (
    _check_cap,
    _checked,
    _pair,
    _plan,
    _readable,
    _told,
    chosen_format,
    parameters,
)
from cdesk_app.cli.templates import command_line

if TYPE_CHECKING:
    from query_desk import Desk

__all__ = ["desk"]


@pytest.fixture
def template(state_home: StateDirectory) -> Callable[..., object]:
    fixtures.catalog(state_home)
    return load_catalog(state_home.catalog).get("recent_activities")  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("out", "given", "default", "chosen"),
    [
        ("x.csv", None, "table", "csv"),
        ("x.JSON", None, "table", "json"),
        ("x", None, "table", "table"),
        ("x.txt", None, "table", "table"),
        ("x.xlsx", "csv", "table", "csv"),
    ],
)
def test_the_form_follows_from_the_ending(
    out: str, given: str | None, default: str, chosen: str
) -> None:
    assert chosen_format(Namespace(out=Path(out), format=given), default) == chosen


@pytest.mark.parametrize("name", ["x.xlsx", "x.csv.gz", "x.sqlite", "report.XLS"])
def test_an_ending_of_no_form_that_is_written_is_refused_by_name(
    name: str, capsys: pytest.CaptureFixture[str], state_home: StateDirectory
) -> None:
    fixtures.catalog(state_home)
    for words in (["query", "recent_activities"], ["artifact", "x"]):
        assert main([*words, "--out", name]) == 2
        assert f"{name} is of no form that is written" in capsys.readouterr().err
    assert not Path(name).exists()


def test_two_items_with_a_comma_between_are_told_how_they_are_given(template: object) -> None:
    listed = replace(
        template,  # type: ignore[type-var]
        parameters=(
            Parameter("steps", "list[activity]", min=2, max=8),
            Parameter("words", "list[string]"),
        ),
    )
    with pytest.raises(InvalidField, match=r"-p steps=cdesk\.a -p steps=cdesk\.b") as raised:
        _checked(listed, [("steps", "cdesk.a,cdesk.b"), ("words", "x")])
    assert "1 item;" in str(raised.value)
    for given in ([("steps", "cdesk.a")], [("words", "a,b"), ("steps", "cdesk.a")]):
        with pytest.raises(InvalidField) as raised:
            _checked(listed, given)
        assert "each by itself" not in str(raised.value), "there was no comma in it"
    assert _checked(
        listed, [("steps", "cdesk.a"), ("steps", "cdesk.b"), ("words", "one, with a comma")]
    )[1] == {"steps": ["cdesk.a", "cdesk.b"], "words": ["one, with a comma"]}


def test_an_example_with_a_list_can_be_typed(template: object) -> None:
    shown = replace(template, example={"steps": ["cdesk.a", "cdesk.b"], "topic": "two words"})  # type: ignore[type-var]
    assert command_line(shown) == (
        "cdesk query recent_activities -p steps=cdesk.a -p steps=cdesk.b -p 'topic=two words'"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("2026-01-31T12:00:00.123456", "2026-01-31 12:00:00"),
        ("2026-01-31T12:00:00.123456Z", "2026-01-31 12:00:00"),
        ("2026-01-31T12:00:00+00:00", "2026-01-31 12:00:00"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T12:00:00+02:00"),
        ("at 2026-01-31T12:00:00", "at 2026-01-31T12:00:00"),
        (5, 5),
    ],
)
def test_times_are_as_a_person_reads_them(value: object, shown: object) -> None:
    assert _readable(value, UTC) == shown


def test_times_are_on_the_persons_clock() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert _readable("2026-01-31T23:30:00.123456Z", berlin) == "2026-02-01 00:30:00"
    assert _readable("0001-01-01T00:00:00.000000Z", ZoneInfo("America/New_York")) == (
        "0001-01-01 00:00:00"
    )


def test_parquet_does_not_go_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(InvalidField, match=r"--out: missing; allowed: a file to write Parquet to"):
        chosen_format(Namespace(out=None, format="parquet"), "table")
    assert chosen_format(Namespace(out=Path("x.parquet"), format=None), "table") == "parquet"
    assert chosen_format(Namespace(out=None, format="csv"), "table") == "csv"
    assert chosen_format(Namespace(out=None, format=None), "csv") == "csv"
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    assert chosen_format(Namespace(out=None, format="parquet"), "table") == "parquet"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "5", 5),
        ("integer", "-5", -5),
        ("integer", "5.0", "5.0"),
        ("integer", "many", "many"),
        ("number", "5", 5),
        ("number", "5.5", 5.5),
        ("number", "1E3", 1_000.0),
        ("number", "Infinity", float("inf")),
        ("number", "x.y", "x.y"),
        ("boolean", "YES", True),
        ("boolean", "1", True),
        ("boolean", "false", False),
        ("boolean", "maybe", "maybe"),
        ("string", "true", "true"),
        ("string", "5", "5"),
        ("list[integer]", "5", [5]),
        ("list[integer]", "[5, 6]", [5, 6]),
        ("list[string]", '["a", "b"]', ["a", "b"]),
        ("list[string]", "[no JSON", ["[no JSON"]),
        ("list[string]", "a,b", ["a,b"]),
    ],
)
def test_a_text_is_read_as_its_parameters_type(
    kind: Any, text: str, value: object, template: object
) -> None:
    typed = replace(template, parameters=(Parameter("p", kind),))  # type: ignore[type-var]
    found = parameters(typed, [("p", text)])["p"]
    assert (type(found), found) == (type(value), value)


def test_one_that_is_no_list_is_given_once_and_one_that_is_unknown_stays_text(
    template: Any,
) -> None:
    with pytest.raises(InvalidField, match="hours_back: given twice; allowed: one value"):
        parameters(template, [("hours_back", "5"), ("hours_back", "6")])
    assert parameters(template, [("unknown", "5")]) == {"unknown": "5"}
    listed = replace(template, parameters=(Parameter("p", "list[integer]"),))
    assert parameters(listed, [("p", "1"), ("p", "[2, 3]")]) == {"p": [1, 2, 3]}


def test_a_pair_is_parted_at_its_first_sign() -> None:
    assert _pair("key=a=b") == ("key", "a=b")
    assert _pair("key=") == ("key", "")
    for text in ("key", "=value", ""):
        with pytest.raises(ArgumentTypeError, match="is not of the form KEY=VALUE"):
            _pair(text)


def result(**changes: Any) -> dict[str, Any]:
    return {
        "rows": [["a", "2026-01-31T12:00:00.5Z"], ["b", None]],
        "columns": [{"name": "name"}, {"name": "at"}],
        "row_count": 2,
        "sampling_note": None,
        "params": {},
        "as_of": "2026-01-31T12:00:00.123456Z",
        "query_hash": "0123456789abcdef",
        "reused": False,
        **changes,
    }


SHOWN = "2 of 2 rows, as of 2026-01-31 12:00:00, query_hash 0123456789abcdef"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, [SHOWN]),
        ({"reused": True}, [f"{SHOWN}, from an earlier run (--fresh asks again)"]),
        (
            {"row_count": 1_200},
            [
                SHOWN.replace("of 2 rows", "of 1,200 rows"),
                "The whole result: --format csv, json or parquet.",
            ],
        ),
        (
            {"row_count": 1_200, "sampling_note": "sampled 5 of 1,200 rows"},
            [
                SHOWN.replace("2 of 2 rows", "2 rows of a sample"),
                "Not the whole result: sampled 5 of 1,200 rows.",
                "All rows of the sample: --format csv, json or parquet; more: --byte-cap.",
            ],
        ),
        (
            {"as_of": None},
            ["2 of 2 rows, nothing has landed yet, query_hash 0123456789abcdef"],
        ),
        (
            {"params": {"timezone": "Europe/Berlin"}},
            [SHOWN.replace(" 12:", " 13:"), "Times are those of Europe/Berlin."],
        ),
    ],
)
def test_a_table_says_what_it_is_of(given: dict[str, Any], told: list[str]) -> None:
    lines = _told(result(**given), "UTC", width=None).splitlines()
    assert lines[0].split() == ["name", "at"]
    hour = 13 if "params" in given else 12
    assert lines[2].split() == ["a", "2026-01-31", f"{hour}:00:00"]
    assert lines[3].split() == ["b", "–"]
    assert lines[4:] == ["", *told]


def test_the_persons_own_zone_counts_where_none_is_asked_for() -> None:
    told = _told(result(), "Europe/Berlin", width=None)
    assert told.endswith("Times are those of Europe/Berlin.")
    asked = _told(result(params={"timezone": "UTC"}), "Europe/Berlin", width=None)
    assert asked.endswith(SHOWN)


def test_no_rows_are_told_and_a_narrow_terminal_cuts() -> None:
    assert _told(result(rows=[], row_count=0), "UTC", width=None).splitlines() == [
        "No rows.",
        "",
        SHOWN.replace("2 of 2", "0 of 0"),
    ]
    wide = result(rows=[["x" * 90, "y" * 90]], row_count=1)
    assert max(map(len, _told(wide, "UTC", width=60).splitlines()[:3])) == 60


def test_a_plan_shows_the_sql_its_binds_and_what_to_expect() -> None:
    estimate = {
        "sql": "\nselect ?\n",
        "binds": [{"name": "customer", "value": "ada"}, {"name": "limit", "value": 5}],
        "plan": "\nSCAN\n",
        "estimated_rows": 1_200,
    }
    lines = _plan(estimate, width=None).splitlines()
    assert lines[:2] == ["select ?", ""]
    assert [line.split() for line in lines[4:6]] == [["customer", "'ada'"], ["limit", "5"]]
    assert lines[6:] == ["", "SCAN", "", "About 1,200 rows expected; nothing was run."]
    bare = _plan({**estimate, "binds": [], "estimated_rows": None}, width=None).splitlines()
    assert bare[2] == "No binds."
    assert bare[-1] == "Nothing was run; the engine's plan gives no estimate."
    none = _plan({**estimate, "estimated_rows": 0}, width=None)
    assert none.endswith("About 0 rows expected; nothing was run.")
    long = {**estimate, "binds": [{"name": "customer", "value": "a" * 90}]}
    assert max(map(len, _plan(long, width=40).splitlines()[2:5])) == 40


# -- on a warehouse


@pytest.fixture
def cdesk(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    monkeypatch.setenv("CDESK_HOME", str(desk.home.root))
    monkeypatch.setenv("CDESK_CUSTOMER", CUSTOMER)

    def run(*words: str, code: int = 0) -> tuple[str, str]:
        assert main(["query", *words]) == code
        return capfd.readouterr()

    return run


NUMBERS = ("numbers", "-p", "rows=12")


def test_a_table_goes_into_a_file_as_it_is_printed(
    cdesk: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    printed = cdesk(*NUMBERS)[0]
    path = tmp_path / "r.txt"
    out, err = cdesk(*NUMBERS, "--out", str(path))
    kept = path.read_text(encoding="utf-8")
    assert out == f"{path}: {len(kept.encode())} B\n"
    assert err == ""
    assert kept.splitlines()[:13] == printed.splitlines()[:13]
    assert kept.endswith("The whole result: --format csv, json or parquet.\n")
    assert "from an earlier run" in kept
    assert "from an earlier run" not in cdesk(*NUMBERS, "--fresh")[0]
    plan = tmp_path / "plan.txt"
    out, _ = cdesk(*NUMBERS, "--dry-run", "--out", str(plan))
    assert out.startswith(f"{plan}: ")
    assert plan.read_text(encoding="utf-8").startswith("select i as n")
    asked = cdesk(*NUMBERS, "--dry-run", "--format", "csv")[0]
    assert asked == plan.read_text(encoding="utf-8")


def test_every_row_goes_out_in_its_form(
    cdesk: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    assert len(cdesk(*NUMBERS, "--format", "csv")[0].splitlines()) == 13
    assert len(json.loads(cdesk(*NUMBERS, "--json")[0])["rows"]) == 12
    path = tmp_path / "r.parquet"
    assert cdesk(*NUMBERS, "--out", str(path))[0].startswith(f"{path}: 12 rows, ")
    assert pq.read_metadata(path).num_rows == 12
    text = ("echo", "-p", "text==1+1", "--format", "csv")
    assert cdesk(*text)[0].splitlines()[1] == "'=1+1"
    assert cdesk(*text, "--raw")[0].splitlines()[1] == "=1+1"


def test_a_file_that_cannot_be_written_stays_as_it_was(
    cdesk: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    assert (
        "is no file; name another one with --out"
        in cdesk(*NUMBERS, "--out", str(tmp_path / "folder"), "--format", "csv", code=1)[1]
    )
    beyond = tmp_path / "no" / "such" / "r.csv"
    assert f"{beyond} cannot be written (" in cdesk(*NUMBERS, "--out", str(beyond), code=1)[1]
    kept = tmp_path / "r.csv"
    kept.write_text("mine", encoding="utf-8")
    cdesk("broken", "--out", str(kept), code=1)
    assert kept.read_text(encoding="utf-8") == "mine"
    assert sorted(one.name for one in tmp_path.iterdir() if one.name.endswith("csv")) == ["r.csv"]
    cdesk(*NUMBERS, "--out", str(kept))
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 13


def test_a_cap_of_its_bounds_is_taken(cdesk: Callable[..., tuple[str, str]]) -> None:
    cdesk(*NUMBERS, "--byte-cap", "1024")
    with pytest.raises(InvalidField, match="1,023 is not allowed; allowed: 1,024 to "):
        _check_cap(1_023)
    _check_cap(BYTE_CAP_MAX)
    with pytest.raises(InvalidField):
        _check_cap(BYTE_CAP_MAX + 1)


def test_an_activity_much_like_a_known_one_is_asked_for_with_a_hint(
    cdesk: Callable[..., tuple[str, str]], desk: Desk
) -> None:
    activity = {"name": "activity", "description": "-", "type": "activity"}
    echo = {**desk.templates["echo"], "sql": "select ? as said", "binds": ["activity"]}
    desk.write_catalog({"echo": {**echo, "parameters": [activity]}})
    out, err = cdesk("echo", "-p", "activity=cdesk.user_askd")
    assert err == (
        "cdesk: activity: cdesk.user_askd is not in the vocabulary; did you mean "
        "cdesk.user_asked? It is asked for as given.\n"
    )
    assert "cdesk.user_askd" in out
