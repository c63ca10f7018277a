"""The launch check cannot be passed by what was not run in this very run."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import typed

from cdesk.core.errors import ConfigurationError
from cdesk_app.ops import launch_check
from cdesk_app.ops.launch_check import Machine, Ran, Verdict, is_go, judge, report, run_check
from cdesk_app.ops.launch_check_points import LIVE, SUITE, Check, Point, pytest_of

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
    assert text.startswith("# Launch check\n\n**GO**\n\nWritten by `make launch-check`")
    assert [name for name in LIVE if f"- **{name}**: " not in text] == []
    assert text.endswith(f"{list(LIVE.values())[-1]}\n")


FAILS_TWICE = (
    '<testsuite><testcase name="tests.lost" classname=""><error message="cannot  import\nit"/>'
    '</testcase><testcase classname="a" name="one"><failure/></testcase>'
    '<testcase classname="a" name="two"/></testsuite>'
)


def test_a_report_says_of_each_point_what_ran_and_what_came_of_it(tmp_path: Path) -> None:
    piped = Check(("grep", "a|b"), figures=lambda output, *_: ([f"saw {output}"], ["too |slow|"]))

    def run(check: Check, folder: Path) -> Ran:
        code = 3 if check is piped else 0
        output = "" if check is piped else "last line"
        (folder / "results.xml").write_text(FAILS_TWICE, encoding="utf-8")
        return Ran(code, output, 1_234.56, 0, folder)

    points = (Point("piped", (piped,)), QUICK, SLOW)
    found = judge(points, run, quick=True, folder=tmp_path, only=["piped", "quick"])
    assert found[0].commands == [("grep a|b", None)], "it takes long"
    found = judge(points, run, quick=False, folder=tmp_path / "2", only=["piped", "quick"])
    machine = Machine("abc", True, "Linux x86_64", "3.11.2", 2)
    text = report(
        *(found, machine),
        at="2026-01-31T00:00:00Z",
        seconds=1_234.5,
        quick=True,
        only=["piped", "quick"],
        live={"credits": "what builds cost"},
    )
    assert (
        text
        == """\
# Launch check

**NO-GO**: 3 of 3 points have no evidence

Written by `make launch-check`; do not edit. A point passes by what ran in this very run.

**A quick run**: what takes long was not run, so it can only be a NO-GO.

**A run of some points** (piped, quick), so it can only be a NO-GO.

- made: 2026-01-31T00:00:00Z, in 1,234 s
- commit: `abc`, changed since
- machine: Linux x86_64, Python 3.11.2, 2 processors

| point | verdict | evidence |
|---|---|---|
| piped | NO-GO | saw ; **grep a\\|b: exit 3: no output**; **too \\|slow\\|** |
| quick | NO-GO | 1 tests passed; **failure: a::one (no reason given); 1 in all**; \
**error: ::tests.lost (cannot import it); 1 in all** |
| slow | NO-GO | **not run: python -m pytest -q tests/b.py** |

## What was run

| point | command | seconds |
|---|---|--:|
| piped | `grep a\\|b` | 1,234.6 |
| quick | `python -m pytest -q tests/a.py` | 1,234.6 |
| slow | `python -m pytest -q tests/b.py` | not run |

## What only a live Snowflake account can show

None of it is part of the verdict. `scripts/live.sh` runs `tests/live` there.

- **credits**: what builds cost
"""
    )


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
    whole = ended in (0, 1)
    told = "make coverage" in "".join(command for command, _ in found[1].commands)
    assert told == whole
    assert [took is None for _, took in found[1].commands] == [not whole]


def test_a_part_of_the_suite_has_the_seconds_of_its_own_tests(tmp_path: Path) -> None:
    untimed = '<testcase classname="tests.b" name="three"/>'
    run = suite(part(A, B, B.replace("0.5", "0.25"), untimed))
    found = judge((SLOW, Point("coverage", (SUITE,))), run, quick=False, folder=tmp_path)
    assert found[0].commands == [("python -m pytest -q tests/b.py, by make coverage", 0.8)]
    assert found[0].evidence == ["3 tests passed"]


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
    told: list[str] = []

    def run(check: Check, folder: Path) -> Ran:
        if check is SUITE:
            return suite(part(A, B))(check, folder)
        return Ran(0, "", 1.0, time.time_ns(), folder)

    judge(
        (Point("coverage", (SUITE,)), SLOW, alone),
        run,
        quick=False,
        folder=tmp_path,
        tell=told.append,
        keep=lambda verdicts: kept.append([one.passed for one in verdicts]),
    )
    assert kept == [[False, False, True], [True, True, True]]
    assert told == ["python -c ''", SUITE.shown]


# -- the real thing


def test_a_command_runs_at_the_root_by_itself_with_all_that_it_says_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTEST_ADDOPTS", "UPDATE_SNAPSHOT", "CDESK_CHAOS_ROUNDS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("LAUNCH_CHECK_TEST", "kept")
    monkeypatch.chdir(tmp_path)
    code = """\
import os, sys
print(os.getcwd(), sys.argv[1], repr(sys.stdin.read()), flush=True)
print(*(n for n in os.environ if n[:6] in ("PYTEST", "UPDATE", "CDESK_", "LAUNCH")), flush=True)
print(not hasattr(os, "getsid") or os.getsid(0) == os.getpid(), flush=True)
print("problem", file=sys.stderr, flush=True)
os.write(1, b"caf\\xff")
sys.exit(3)
"""
    with typed(b"typed"):
        ran = run_check(Check(("python", "-c", code, "{folder}/x")), tmp_path)
    root = Path(__file__).resolve().parents[4]
    said = [f"{root} {tmp_path}/x ''", "LAUNCH_CHECK_TEST", "True", "problem", "caf\ufffd"]
    assert (ran.code, ran.output.splitlines(), ran.folder) == (3, said, tmp_path)
    assert ran.seconds < 3_600
    assert (tmp_path / "output.txt").read_bytes().endswith(b"caf\xff")


def test_pytest_is_told_where_to_leave_its_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pytest.py").write_text("import sys; print(*sys.argv[1:])", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run_check(pytest_of("tests/a.py"), tmp_path).output == (
        f"-q tests/a.py --junitxml={tmp_path / 'results.xml'} -p no:cacheprovider\n"
    )


def test_a_command_that_cannot_be_run_or_takes_too_long_is_told(tmp_path: Path) -> None:
    gone = run_check(Check(("no-such-command",)), tmp_path)
    assert (gone.code, gone.output, gone.seconds) == (
        127,
        "cannot be run: No such file or directory",
        0.0,
    )
    slow = run_check(
        Check(("python", "-c", "import time; time.sleep(60)"), most_seconds=0), tmp_path
    )
    assert (slow.code, slow.output, slow.seconds) == (124, "not ended after 0 s", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_a_check_that_is_broken_off_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the command nor what it has started."""
    processes: list[subprocess.Popen[bytes]] = []
    waited = subprocess.Popen.wait
    file = tmp_path / "pid"

    def wait(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if processes:
            return waited(process, timeout)
        processes.append(process)
        for _ in range(6_000):
            if file.exists() and file.read_text(encoding="utf-8").endswith("\n"):
                break
            time.sleep(0.005)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "wait", wait)
    with pytest.raises(KeyboardInterrupt):
        run_check(Check(("sh", "-c", "sleep 20 & echo $! > {folder}/pid; wait")), tmp_path)
    assert processes[0].returncode == -signal.SIGKILL
    started = int(file.read_text(encoding="utf-8"))
    deadline = time.monotonic() + 60
    while _runs(started) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not _runs(started)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with two points of its own."""
    root = tmp_path / "checkout"
    (root / "tests").mkdir(parents=True)
    monkeypatch.setattr(launch_check, "ROOT", root)
    points = (
        Point("sound", (Check(("python", "-c", "print('fine')"), quick=True),)),
        Point("broken", (Check(("python", "-c", "raise SystemExit('no')")),)),
    )
    monkeypatch.setattr(launch_check, "POINTS", points)
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    yield root
    signal.signal(signal.SIGTERM, before)


def test_a_whole_run_is_go_where_each_point_is(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    points = launch_check.POINTS
    monkeypatch.setattr(launch_check, "POINTS", points[:1])
    assert launch_check.main([]) == 0
    (file,) = (checkout / "build" / "launch_check").glob("*.md")
    folder = file.with_suffix("")
    assert capsys.readouterr().out == (
        "python -c print('fine')\n"
        "go     sound\n"
        f"GO; the report is {file}, what the commands printed in {folder}\n"
    )
    assert (folder / "00" / "output.txt").read_text(encoding="utf-8") == "fine\n"
    text = file.read_text(encoding="utf-8")
    assert "**GO**" in text
    assert "- commit: `unknown`\n" in text, "it is no repository"
    assert [one.stat().st_mode & 0o077 for one in (folder, file)] == [0, 0] or os.name == "nt"
    handler: Any = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as told:
        handler(signal.SIGTERM, None)
    assert told.value.code == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("options", "lines", "head"),
    [
        (
            [],
            [
                "go     sound",
                "NO-GO  broken",
                "         python -c 'raise SystemExit('no')': exit 1",
            ],
            ["**NO-GO**: 1 of 2 points have no evidence"],
        ),
        (
            ["--quick"],
            ["go     sound", "NO-GO  broken", "         not run: "],
            ["**NO-GO**: 1 of 2 points have no evidence", "**A quick run**"],
        ),
        (
            ["--only", "sound"],
            ["go     sound"],
            ["**NO-GO**: 1 of 2 points have no evidence", "**A run of some points** (sound)"],
        ),
    ],
)
def test_a_run_in_which_something_is_missing_is_a_no_go(
    options: list[str],
    lines: list[str],
    head: list[str],
    checkout: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By its exit code, on the screen and in the report."""
    out = tmp_path / "new" / "report.md"
    assert launch_check.main([*options, "--out", str(out)]) == 1
    said = capsys.readouterr().out.splitlines()
    first = next(at for at, line in enumerate(said) if line.startswith("go "))
    for line, begin in zip(said[first:], [*lines, f"NO-GO; the report is {out}, "], strict=True):
        assert line.startswith(begin)
    text = out.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("**")] == [
        *(line for line in text.splitlines() if any(line.startswith(one) for one in head))
    ]
    assert [one for one in head if one not in text] == []
    assert list((checkout / "build" / "launch_check").glob("*.md")) == []


def test_even_all_points_by_name_are_no_whole_run(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del checkout
    monkeypatch.setattr(launch_check, "POINTS", launch_check.POINTS[:1])
    assert launch_check.main(["--only", "sound"]) == 1
    assert launch_check.main(["--quick"]) == 1


def test_the_report_is_there_from_the_beginning_and_says_that_it_is_not_the_end(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del checkout
    out, seen = tmp_path / "report.md", []

    def run(check: Check, folder: Path) -> Ran:
        del check
        seen.append(out.read_text(encoding="utf-8"))
        return Ran(0, "", 1.0, 0, folder)

    monkeypatch.setattr(launch_check, "run_check", run)
    assert launch_check.main(["--out", str(out)]) == 0
    assert ["**Not ended**" in text for text in seen] == [True, True]
    assert [text.count("not run: ") for text in seen] == [2, 1]
    assert "**Not ended**" not in out.read_text(encoding="utf-8")
    took = out.read_text(encoding="utf-8").partition(", in ")[2].partition(" s\n")[0]
    assert float(took.replace(",", "")) < 3_600


def test_the_points_are_listed_at_once(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line by line: a whole run takes hours, and somebody looks at it."""
    del checkout
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as screen:
        monkeypatch.setattr(sys, "stdout", screen)
        assert launch_check.main(["--list"]) == 0
        assert raw.getvalue().decode() == (
            "sound\n  python -c print('fine')\nbroken\n  python -c 'raise SystemExit('no')'\n"
        )
        monkeypatch.undo()


def test_its_help_and_what_it_refuses(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit):
        launch_check.main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert told.startswith(
        "usage: python -m cdesk_app.ops.launch_check [-h] [--quick] [--only POINT] [--list] "
        "[--out OUT] The launch check, `make launch-check`: go or no-go"
    )
    for said in (
        "--quick only what takes seconds",
        "--only POINT one point, by its name (again for more)",
        "--list the points and their commands",
        "--out OUT the report (build/launch_check/<when>.md)",
    ):
        assert said in told
    with pytest.raises(SystemExit):
        launch_check.main(["--only", "nothing of the kind"])
    (checkout / "tests").rmdir()
    with pytest.raises(ConfigurationError, match="needs a checkout"):
        launch_check.main([])


def test_the_machine_is_told_with_its_commit_and_whether_it_was_changed(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = ("git", "-c", "user.name=ada", "-c", "user.email=ada@example.com")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        ended = subprocess.run(
            [*git, *words], cwd=checkout, capture_output=True, text=True, check=True
        )
        return ended.stdout.strip()

    (checkout / "file").write_text("1", encoding="utf-8")
    run("init", "-q")
    run("add", "file")
    run("commit", "-q", "-m", "first")
    machine = launch_check.this_machine()
    assert (machine.commit, machine.changed) == (run("rev-parse", "HEAD"), False)
    assert (machine.cpus, machine.python) == (os.cpu_count(), sys.version.split()[0])
    assert machine.system.split()[0] in ("Linux", "Darwin", "Windows")
    (checkout / "other").write_text("not of the commit", encoding="utf-8")
    assert not launch_check.this_machine().changed
    (checkout / "file").write_text("2", encoding="utf-8")
    assert launch_check.this_machine().changed
