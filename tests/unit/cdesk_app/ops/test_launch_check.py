"""The launch check cannot be passed by what was not run in this very run."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import orjson
import pytest

from bench.load import report as report_of_load
from bench.load.client import Tally
from bench.load.phases import Counted, People
from bench.load.servers import Memory
from cdesk.core.clock import format_ts
from cdesk_app.ops.launch_check import Machine, Ran, Verdict, is_go, judge, report, run_check
from cdesk_app.ops.launch_check_dependencies import NO_DATA, Pin, pins, problems_of, read_audit
from cdesk_app.ops.launch_check_points import (
    LIVE,
    POINTS,
    SUITE,
    Check,
    Point,
    coverage_figures,
    load_figures,
    pytest_of,
    turn_figures,
)

ROOT = Path(__file__).resolve().parents[4]
QUICK = Point("quick", (pytest_of("tests/a.py", quick=True),))
SLOW = Point("slow", (pytest_of("tests/b.py"),))
MACHINE = Machine("abc", False, "Linux", "3.11", 2)
GOOD = '<testsuite><testcase classname="a" name="one"/></testsuite>'
SKIPPED = (
    '<testsuite><testcase classname="a" name="one"><skipped message="no tag v0.1.0"/>'
    "</testcase></testsuite>"
)
FAILED = '<testsuite><testcase classname="a" name="one"><failure/></testcase></testsuite>'


def leaving(results: str | None, *, code: int = 0) -> Callable[[Check, Path], Ran]:
    def run(_: Check, folder: Path) -> Ran:
        if results is not None:
            (folder / "results.xml").write_text(results, encoding="utf-8")
        return Ran(code, "last line", 1.5, time.time_ns(), folder)

    return run


def verdicts_of(
    tmp_path: Path, run: Callable[[Check, Path], Ran], *, quick: bool = False
) -> list[Verdict]:
    return judge((QUICK, SLOW), run, quick=quick, folder=tmp_path)


def test_it_is_go_where_every_point_ran_and_passed(tmp_path: Path) -> None:
    found = verdicts_of(tmp_path, leaving(GOOD))
    assert is_go(found, whole=True)
    text = report(found, MACHINE, at="2026-01-31T00:00:00Z", seconds=3, quick=False)
    assert "**GO**" in text
    for told in ("2026-01-31", "`abc`", "Linux", "2 processors", "1 tests passed", "1.5", *LIVE):
        assert told in text


@pytest.mark.parametrize(
    ("results", "code", "problem"),
    [
        (SKIPPED, 0, "skipped, which proves nothing: a::one (no tag v0.1.0)"),
        (FAILED, 1, "failure: a::one"),
        (None, 0, "pytest left no results"),
        ("<testsuite/>", 0, "pytest left no results of a test"),
        ("<testsuite", 0, "pytest left no results"),
        (GOOD, 2, "exit 2: last line"),
    ],
)
def test_what_proves_nothing_is_a_no_go_by_name(
    tmp_path: Path, results: str | None, code: int, problem: str
) -> None:
    found = verdicts_of(tmp_path, leaving(results, code=code))
    assert not is_go(found, whole=True)
    text = report(found, MACHINE, at="now", seconds=1, quick=False)
    assert "**NO-GO**: 2 of 2 points" in text
    assert problem in text


def test_a_quick_run_says_so_and_is_never_a_go(tmp_path: Path) -> None:
    found = verdicts_of(tmp_path, leaving(GOOD), quick=True)
    assert [verdict.passed for verdict in found] == [True, False]
    text = report(found, MACHINE, at="now", seconds=1, quick=True)
    assert "A quick run" in text
    assert "not run: python -m pytest -q tests/b.py" in text
    assert "not run: python -m pytest -q tests/a.py" not in text
    assert not is_go(found[:1], whole=False), "not even where all that is quick has passed"


def test_a_run_of_some_points_says_so_and_is_never_a_go(tmp_path: Path) -> None:
    kept: list[list[bool]] = []
    found = judge(
        (QUICK, SLOW),
        leaving(GOOD),
        quick=False,
        only=["slow"],
        folder=tmp_path,
        keep=lambda verdicts: kept.append([one.passed for one in verdicts]),
    )
    assert [verdict.passed for verdict in found] == [False, True]
    every = judge((SLOW,), leaving(GOOD), quick=False, only=["slow"], folder=tmp_path / "2")
    text = report(every, MACHINE, at="now", seconds=1, quick=False, only=["slow"])
    assert "**NO-GO**" in text
    assert "**A run of some points** (slow)" in text
    assert kept == [[False, True]]


def test_a_run_that_was_broken_off_is_a_no_go(tmp_path: Path) -> None:
    texts: list[str] = []

    def keep(verdicts: list[Verdict]) -> None:
        texts.append(report(verdicts, MACHINE, at="now", seconds=1, quick=False, ended=False))

    judge((QUICK, SLOW), leaving(GOOD), quick=False, folder=tmp_path, keep=keep)
    assert ["not run: " in text for text in texts] == [True, False]
    assert all("**NO-GO**" in text and "**Not ended**" in text for text in texts)


def test_a_command_of_two_points_runs_once(tmp_path: Path) -> None:
    ran: list[Check] = []

    def run(check: Check, folder: Path) -> Ran:
        ran.append(check)
        return leaving(GOOD)(check, folder)

    judge((QUICK, Point("again", QUICK.checks)), run, quick=False, folder=tmp_path)
    assert len(ran) == 1


def suite(results: str, *, ended: int | None = 0, code: int = 0) -> Callable[[Check, Path], Ran]:
    """Runs the suite, and nothing beside it."""

    def run(check: Check, folder: Path) -> Ran:
        assert check is SUITE
        (folder / "results.xml").write_text(results, encoding="utf-8")
        said = "" if ended is None else f"tests ended with exit {ended}\n"
        return Ran(code, f"{said}TOTAL 100 20 30 5 85%\n", 9.0, time.time_ns(), folder)

    return run


def part(*cases: str) -> str:
    return f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"


A = '<testcase classname="tests.a" name="one" time="1.5"/>'
B = '<testcase classname="tests.b.TestIt" name="two" time="0.5"/>'
BEYOND = '<testcase classname="tests.bb" name="three"><failure/></testcase>'
B_FAILED = '<testcase classname="tests.b" name="two"><failure/></testcase>'
B_SKIPPED = '<testcase classname="tests.b" name="two"><skipped message="no"/></testcase>'
B_LOST = '<testcase classname="" name="tests.b"><error message="cannot import"/></testcase>'


@pytest.mark.parametrize(
    ("results", "ended", "code", "passed", "says"),
    [
        (part(A, B), 0, 0, [True, True, True], "1 tests passed"),
        (part(A, B, BEYOND), 1, 2, [True, True, False], "exit 2"),
        (part(A, B_FAILED), 1, 2, [True, False, False], "failure: tests.b::two"),
        (part(A, B_SKIPPED), 0, 0, [True, False, True], "skipped, which proves nothing"),
        (part(A, B_LOST), 1, 2, [True, False, False], "error: ::tests.b (cannot import)"),
        (part(A), 0, 0, [True, False, True], "pytest left no results of a test"),
        (part(A, B), 2, 2, [False, False, False], "came to no end"),
        (part(A, B), None, 124, [False, False, False], "came to no end"),
    ],
)
def test_a_point_whose_tests_are_in_the_suite_is_judged_by_them(
    tmp_path: Path, results: str, ended: int | None, code: int, passed: list[bool], says: str
) -> None:
    points = (QUICK, SLOW, Point("coverage", (SUITE,)))
    run = suite(results, ended=ended, code=code)
    found = judge(points, run, quick=False, folder=tmp_path)
    assert [verdict.passed for verdict in found] == passed
    text = report(found, MACHINE, at="now", seconds=1, quick=False)
    assert says in text
    assert ("**GO**" in text) == all(passed)


def test_without_the_suite_a_point_runs_its_own_tests(tmp_path: Path) -> None:
    ran: list[Check] = []

    def run(check: Check, folder: Path) -> Ran:
        ran.append(check)
        return leaving(GOOD)(check, folder)

    points = (QUICK, SLOW, Point("coverage", (SUITE,)))
    judge(points, run, quick=False, only=["slow"], folder=tmp_path / "1")
    judge(points, run, quick=True, folder=tmp_path / "2")
    assert ran == [*SLOW.checks, *QUICK.checks]


def test_the_suite_comes_last_and_what_it_is_to_show_is_not_run_until_then(tmp_path: Path) -> None:
    alone = Point("alone", (Check(("python", "-c", "")),))
    kept: list[list[bool]] = []

    def run(check: Check, folder: Path) -> Ran:
        if check is SUITE:
            return suite(part(A, B))(check, folder)
        return Ran(0, "", 1.0, time.time_ns(), folder)

    judge(
        (Point("coverage", (SUITE,)), SLOW, alone),
        run,
        quick=False,
        folder=tmp_path,
        keep=lambda verdicts: kept.append([one.passed for one in verdicts]),
    )
    assert kept == [[False, False, True], [True, True, True]]


def test_results_of_an_earlier_run_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "bench" / "results"
    folder.mkdir(parents=True)
    rows = {name: {"p95_ms": 9.0} for name in ("get_context", "log_event", "submit_query")}
    now = time.time_ns()
    (folder / "turn_path.json").write_bytes(orjson.dumps({"at": format_ts(now), "calls": rows}))
    evidence, problems = turn_figures("", now - 10**9, tmp_path)
    assert evidence
    assert problems == []
    assert "of an earlier run" in turn_figures("", now + 10**9, tmp_path)[1][0]
    rows["get_context"]["p95_ms"] = 26.0
    rows["log_event"]["p95_ms"] = 300.0
    (folder / "turn_path.json").write_bytes(orjson.dumps({"at": format_ts(now), "calls": rows}))
    assert len(turn_figures("", now - 10**9, tmp_path)[1]) == 2


def load_output(*, users: int = 1_000, lag: float = 1.0, **p95: float) -> str:
    """What `python -m bench load` prints, by its own hand."""
    ours, bare = Tally(), Tally()
    for name, limit in report_of_load.LIMITS.items():
        ours.times[name] = [p95.get(name, limit / 2)] * 20
        bare.times[name] = [1.0] * 20
    ours.turns, bare.turns = [p95.get("turn", 90.0)] * 20, [9.0] * 20
    ours.times["get_result"], bare.times["get_result"] = [900.0] * 20, [1.0] * 20
    counted = Counted(acknowledged=9)
    people = People(users, 60.0, (2, 5), ours, bare, counted, lag, Memory({}), worked=True)
    return "\n".join(report_of_load.people_lines(people))


def test_what_the_load_benchmark_prints_is_held_to_its_limits() -> None:
    evidence, problems = load_figures(load_output(), 0, ROOT)
    assert problems == []
    assert "get_context p95 12.5 ms" in evidence
    assert "ingestion lag p95 1000.0 ms" in evidence
    for told, output in (
        ("get_context p95 is 25.0 ms, the limit 25", load_output(get_context=25.0)),
        ("log_insight p95 is 10.5 ms, the limit 10", load_output(log_insight=10.5)),
        ("first token path p95 is 300.0 ms, the limit 300", load_output(turn=300.0)),
        ("ingestion lag p95 is 6000.0 ms, the limit 5000", load_output(lag=6.0)),
        ("ingestion lag p95 is nan ms, the limit 5000", load_output(lag=float("nan"))),
        ("999 users, at least 1,000", load_output(users=999)),
    ):
        assert load_figures(output, 0, ROOT)[1] == [told]
    for output in ("", "\n".join(load_output().splitlines()[:4])):
        assert "printed no figures" in load_figures(output, 0, ROOT)[1][0]


def test_the_total_of_a_coverage_report_is_held_to_its_bound() -> None:
    assert coverage_figures("TOTAL  100 20 30 5 80%\n", 0, ROOT)[1] == []
    assert coverage_figures("TOTAL  100 20 30 5 79%\n", 0, ROOT)[1]
    assert coverage_figures("nothing", 0, ROOT)[1]


def test_every_test_of_the_list_is_there() -> None:
    """A path that was renamed would be found only by the run that needs it."""
    for point in POINTS:
        for check in point.checks:
            for word in check.argv:
                if word.startswith("tests/"):
                    assert (ROOT / word).exists(), word


def test_no_setting_of_who_runs_it_changes_what_a_check_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTEST_ADDOPTS", "UPDATE_SNAPSHOT", "CDESK_CHAOS_ROUNDS"):
        monkeypatch.setenv(name, "1")
    code = "import os; print(*(n for n in os.environ if n[:6] in ('PYTEST', 'UPDATE', 'CDESK_')))"
    assert run_check(Check(("python", "-c", code)), tmp_path).output.split() == []


def test_a_command_that_cannot_be_run_or_takes_too_long_is_told(tmp_path: Path) -> None:
    gone = run_check(Check(("no-such-command",)), tmp_path)
    assert gone.code == 127
    slow = run_check(
        Check(("python", "-c", "import time; time.sleep(9)"), most_seconds=1), tmp_path
    )
    assert (slow.code, slow.output) == (124, "not ended after 1 s")


def test_a_lock_with_a_loose_pin_is_told() -> None:
    found, loose = pins("a==1.0\n# b\nc==2; sys_platform == 'win32'\nd>=3\n")
    assert found == {"a": Pin("1.0"), "c": Pin("2", is_conditional=True)}
    assert loose == ["d>=3"]


def test_a_pin_that_nobody_could_look_at_is_told() -> None:
    version = metadata.version("pytest")
    assert problems_of({"pytest": Pin(version), "no-such-a": Pin("1", is_conditional=True)}) == []
    told = problems_of({"no-such-b": Pin("1"), "pytest": Pin("0.1")})
    assert f"pytest is {version} here and 0.1 in the lock" in told
    assert any("1 pins are not installed here" in one and "no-such-b" in one for one in told)


def test_an_audit_that_could_ask_about_nothing_is_no_evidence() -> None:
    skipped = {"name": "a", "skip_reason": "not found"}
    sound = {"name": "b", "version": "1.0", "vulns": []}
    known = {"id": "PYSEC-1", "fix_versions": ["1.1"]}
    for text in ("", "[]", orjson.dumps({"dependencies": [skipped]}).decode()):
        assert read_audit(text) == (NO_DATA, [])
    told, found = read_audit(orjson.dumps({"dependencies": [skipped, sound]}).decode())
    assert (told, found) == ("pip-audit has asked about 1 of 2 packages; vulnerabilities: 0", [])
    _, found = read_audit(orjson.dumps({"dependencies": [sound | {"vulns": [known]}]}).decode())
    assert found == ["b 1.0: PYSEC-1, fixed in 1.1"]


def test_no_test_of_the_list_leaves_itself_out_for_what_it_is_given() -> None:
    """A skip of one case would keep the whole point from ever passing. What is missing on a machine
    (a tag, a program, a privilege) is another thing.
    """
    missing = ("tag v0.1.0", "not a git checkout", "no mount here", "is not permitted here")
    for point in POINTS:
        for check in filter(lambda check: check.is_pytest, point.checks):
            for word in check.argv:
                path = ROOT / word
                files = path.rglob("test_*.py") if path.is_dir() else [path]
                for file in files if word.startswith("tests/") else ():
                    text = file.read_text(encoding="utf-8")
                    skips = re.findall(r"pytest\.skip\(\s*(.*)", text)
                    odd = [why for why in skips if not any(one in why for one in missing)]
                    assert odd == [], file.name


@pytest.mark.parametrize(
    ("told", "is_problem"),
    [
        (["License-Expression: MIT"], False),
        (["License-Expression: GPL-3.0-only"], True),
        (["License-Expression: AGPL-3.0-only OR MIT"], False),
        (["License-Expression: LGPL-3.0-only"], False),
        (["License-Expression: Something of our own"], False),
        (["Classifier: License :: OSI Approved :: GNU Affero General Public License v3"], True),
        (["Classifier: Programming Language :: Python", "License: Proprietary"], True),
        (["License: GPL-3.0", "License-Expression: BSD-3-Clause"], False),
    ],
)
def test_a_licence_is_free_or_told(
    told: list[str], is_problem: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "sample_of_a_pin-1.0.dist-info"
    info.mkdir()
    head = ["Metadata-Version: 2.4", "Name: sample-of-a-pin", "Version: 1.0"]
    (info / "METADATA").write_text("\n".join([*head, *told, ""]), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    problems = problems_of({"sample-of-a-pin": Pin("1.0")})
    assert bool(problems) is is_problem
    assert all("sample-of-a-pin is under " in one for one in problems)


def test_a_package_without_a_licence_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "sample_of_a_pin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: sample-of-a-pin\nVersion: 1.0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    pinned = {"sample-of-a-pin": Pin("1.0", is_conditional=True)}
    assert problems_of(pinned) == ["sample-of-a-pin says nothing of its licence"]


def turn_results(root: Path, at: str, **calls: float) -> None:
    (root / "bench" / "results").mkdir(parents=True, exist_ok=True)
    rows = {name: {"p95_ms": value} for name, value in calls.items()}
    results = orjson.dumps({"at": at, "calls": rows})
    (root / "bench" / "results" / "turn_path.json").write_bytes(results)


def test_the_turn_path_is_held_to_its_limits_by_results_of_this_run(tmp_path: Path) -> None:
    at, started = "2026-01-31T12:00:00.000000Z", 1_769_860_800_000_000_000
    sound = {"get_context": 25.0, "log_event": 100.0, "submit_query": 175.0}
    assert turn_figures("", started, tmp_path)[1] == [
        "the benchmark left no results (FileNotFoundError)"
    ]
    turn_results(tmp_path, at, **sound)
    assert turn_figures("", started, tmp_path) == (
        [
            "get_context p95 25.00 ms",
            "first token path (get_context, log_event, submit_query) p95 300.0 ms",
        ],
        [],
    )
    assert turn_figures("", started + 1_000, tmp_path)[1] == [
        f"the results are of an earlier run ({at})"
    ]
    turn_results(tmp_path, at, **{**sound, "get_context": 25.1})
    assert turn_figures("", started, tmp_path)[1] == [
        "get_context p95 is over 25 ms",
        "the first token path is over 300 ms",
    ]
    turn_results(tmp_path, at, get_context=1.0)
    assert turn_figures("", started, tmp_path)[1] == ["the benchmark left no results (KeyError)"]


def test_a_check_is_shown_as_it_is_typed_and_tests_of_other_marks_run_apart() -> None:
    assert Check(("a", "b c", "")).shown == "a 'b c' ''"
    own, marked = pytest_of("tests/x"), pytest_of("tests/x", marked="chaos", quick=True)
    assert own == Check(("python", "-m", "pytest", "-q", "tests/x"), in_suite=True)
    assert marked == Check(("python", "-m", "pytest", "-q", "-m", "chaos", "tests/x"), quick=True)
    assert own.is_pytest
    assert not Check(("python", "-m", "bench")).is_pytest
