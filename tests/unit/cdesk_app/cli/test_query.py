"""How `cdesk query` and its kin are called, and what a wrong call is told."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bench.turn_path import fixtures
from cdesk.contract.catalog import Parameter, load_catalog
from cdesk.core.errors import InvalidField
from cdesk.core.home import StateDirectory
from cdesk_app.cli.main import main
from cdesk_app.cli.query import _checked, _readable, chosen_format
from cdesk_app.cli.templates import command_line


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
