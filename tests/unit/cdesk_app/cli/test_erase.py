"""`cdesk erase` and `cdesk hold`: who is asked, what is told, and when a command fails. That all of
it is gone, or kept, is shown by tests/integration/queries/test_erasure.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import Terminal, runner

from cdesk.core.home import StateDirectory
from cdesk_app.cli.erase import _told
from cdesk_app.cli.hold import _why
from cdesk_app.worker import alone as alone_module
from cdesk_app.worker import erasure
from cdesk_app.worker.dbt import build, project
from cdesk_app.worker.erasure import ErasureReport


@pytest.fixture
def cdesk(state_home: StateDirectory, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    del state_home

    return runner(capsys)


@pytest.fixture
def erased(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is done to erase, in its order, after the report that it ends with."""
    done: list[Any] = [ErasureReport("ada", "2026-01-31", beyond=("backups",))]

    @contextmanager
    def alone(_: StateDirectory) -> Iterator[None]:
        done.append("alone")
        yield
        done.append("not alone")

    def erase(_: Any, home: StateDirectory, customer: str, **given: Any) -> ErasureReport:
        given.pop("tell")("step")
        done.append((home, customer, given))
        report: ErasureReport = done[0]
        return report

    monkeypatch.setattr(alone_module, "alone", alone)
    monkeypatch.setattr(erasure, "erase_customer", erase)
    return done


@pytest.mark.parametrize(
    ("answer", "is_meant"), [("ada", True), (" ada ", True), ("", False), ("Ada", False)]
)
def test_the_name_is_typed_again_before_anything_goes(
    answer: str,
    is_meant: bool,
    cdesk: Callable[..., str],
    erased: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda text: asked.append(text) or answer)
    cdesk("erase", "ada", code=0 if is_meant else 1)
    assert asked == ["Erase everything of ada? It cannot be taken back. Type the name: "]
    assert bool(erased[1:]) is is_meant


def test_without_a_terminal_it_has_to_be_said_before(
    cdesk: Callable[..., str], erased: list[Any], state_home: StateDirectory
) -> None:
    assert "nothing was erased; to erase without being asked, add --yes" in cdesk(
        "erase", "ada", code=1
    )
    assert erased[1:] == []
    assert cdesk("erase", "ada", "--yes").splitlines() == [
        "Erased what was recorded of ada before 2026-01-31.",
        "  there was nothing",
        "Beyond its reach:",
        "  backups",
    ]
    assert erased[1:] == ["alone", (state_home, "ada", {"local_only": False}), "not alone"]


@pytest.mark.parametrize(
    ("target", "words", "local_only", "code"),
    [
        ("duckdb", ("--local",), False, 1),
        ("snowflake", ("--local",), True, 0),
        ("snowflake", (), False, 1),
    ],
)
def test_what_still_names_a_customer_is_a_failure_unless_others_are_to_erase_it(
    target: str,
    words: tuple[str, ...],
    local_only: bool,
    code: int,
    cdesk: Callable[..., str],
    erased: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CDESK_TARGET", target)
    erased[0].left = ["x.parquet", "y.parquet"]
    told = cdesk("erase", "ada", "--yes", *words, code=code)
    assert ("still named in: x.parquet; y.parquet" in told) is (code == 1)
    assert erased[2][2] == {"local_only": local_only}


def test_the_report_says_what_went_what_is_left_and_what_is_beyond(
    cdesk: Callable[..., str], erased: list[Any]
) -> None:
    report = erased[0]
    report.counts = {"records": 1_200, "files": 0, "rows": 3}
    report.mentioned, report.left = ["m1", "m2"], ["l1"]
    report.beyond = ("b1", "b2")
    assert _told(report).splitlines() == [
        "Erased what was recorded of ada before 2026-01-31.",
        "  records  1,200",
        "  rows     3",
        *("Still named in:", "  l1"),
        "Named besides, in what others recorded, what came since, or a setting:",
        *("  m1", "  m2"),
        *("Beyond its reach:", "  b1", "  b2"),
    ]
    report.left = []
    found = json.loads(cdesk("erase", "ada", "--yes", "--json"))
    assert (found["customer"], found["counts"]["files"], found["beyond"]) == (
        *("ada", 0, ["b1", "b2"]),
    )


# -- legal hold


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What dbt is asked for, after what it tells."""
    calls: list[Any] = [()]

    class Builder:
        def __init__(self, place: object, environ: Mapping[str, str]) -> None:
            calls.append((place, environ))

        def operate(self, macro: str, arguments: Mapping[str, object]) -> object:
            calls.append((macro, arguments))
            return SimpleNamespace(told=calls[0])

        def close(self) -> None:
            calls.append("closed")

    monkeypatch.setattr(build, "Builder", Builder)
    monkeypatch.setattr(project, "locate_project", lambda _settings, home: home)
    monkeypatch.setattr(project, "dbt_environment", lambda _: "environment")
    return calls


HELD = '[{"customer": "ada", "placed_at": "2026-01-31T12:00:00.123", "reason": "case 4711"}]'


def test_who_is_held_is_listed(
    cdesk: Callable[..., str], asked: list[Any], state_home: StateDirectory
) -> None:
    assert cdesk("hold") == "Nobody is under legal hold.\n"
    assert asked[1:] == [
        (state_home, "environment"),
        ("legal_hold", {"lift": False}),
        "closed",
    ]
    asked[0] = ("something else", f"12:00:00  held: {HELD}")
    assert cdesk("hold").splitlines() == [
        "Under legal hold, kept from retention and erasure:",
        "  ada  since 2026-01-31T12:00: case 4711",
    ]
    assert json.loads(cdesk("hold", "--json")) == json.loads(HELD)
    assert _why({"placed_at": "2026-01-31T12:00:00", "reason": ""}) == "since 2026-01-31T12:00"


def test_a_hold_is_put_with_its_reason_and_lifted(
    cdesk: Callable[..., str], asked: list[Any]
) -> None:
    cdesk("hold", "ada", "--reason", "case 4711")
    cdesk("hold", "ada", "--lift")
    assert [one[1] for one in asked[1:] if one[0] == "legal_hold"] == [
        {"lift": False, "customer": "ada", "reason": "case 4711"},
        {"lift": True, "customer": "ada", "reason": None},
    ]


@pytest.mark.parametrize(
    ("words", "target", "code", "said"),
    [
        (("--lift",), "duckdb", 2, "customer: missing"),
        (("--reason", "x"), "duckdb", 2, "customer: missing"),
        (("a\nb",), "duckdb", 2, "customer: "),
        (("ada",), "snowflake", 1, "dbt run-operation legal_hold, as CDESK_ADMIN"),
        ((), "snowflake", 1, "dbt run-operation legal_hold, as CDESK_ADMIN"),
    ],
)
def test_a_wrong_call_asks_the_warehouse_nothing(
    words: tuple[str, ...],
    target: str,
    code: int,
    said: str,
    cdesk: Callable[..., str],
    asked: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CDESK_TARGET", target)
    assert said in cdesk("hold", *words, code=code)
    assert asked[1:] == []


def test_a_warehouse_that_refuses_leaves_no_process(
    cdesk: Callable[..., str], asked: list[Any]
) -> None:
    asked[0] = ("held: no JSON",)
    cdesk("hold")
    asked[0] = ("held: [no JSON]",)
    cdesk("hold", code=1)
    assert asked.count("closed") == 2
