"""The launch check, `make launch-check`: go or no-go, with evidence for every point of the list.

Each point runs the real checks, now, and is judged by what they leave in a folder that is new for
this run: an old report, a test that was skipped and a check that was not run are all no evidence.
The verdict is GO only where every point has passed. `--quick` runs what takes seconds and `--only`
the points that are named; either says so in the report, and is a NO-GO whatever comes of it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cdesk.core.clock import format_ts
from cdesk.core.errors import ConfigurationError
from cdesk.core.home import make_private_folder, open_private, write_private
from cdesk_app.ops.launch_check_points import LIVE, POINTS, SUITE, Check, Point

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended. `started` is when, in nanoseconds; `folder` holds what it left."""

    code: int
    output: str
    seconds: float
    started: int
    folder: Path


Run = Callable[[Check, Path], Ran]


@dataclass(slots=True)
class Verdict:
    """What came of a point. `problems` is empty where it has passed."""

    point: Point
    problems: list[str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    commands: list[tuple[str, float | None]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and of what the check was made."""

    commit: str
    changed: bool
    system: str
    python: str
    cpus: int | None


def judge(
    points: Sequence[Point],
    run: Run,
    *,
    quick: bool,
    only: Sequence[str] = (),
    folder: Path,
    tell: Callable[[str], None] = lambda _: None,
    keep: Callable[[list[Verdict]], None] = lambda _: None,
) -> list[Verdict]:
    """Run the checks of each point; what came of them. A command that several points name is run
    once, and the suite, which takes longest, last: points whose tests are among its own have their
    evidence from it. `folder` is empty. keep: is given the verdicts so far after each command; of
    those to come they say that they were not run.
    """
    chosen = [point for point in points if not only or point.name in only]
    wanted = [check for point in chosen for check in point.checks if check.quick or not quick]
    has_suite = SUITE in wanted
    commands = {check.argv: check for check in wanted if not (has_suite and check.in_suite)}
    done: dict[tuple[str, ...], Ran] = {}

    def verdicts() -> list[Verdict]:
        return [_verdict(point, done if point in chosen else {}) for point in points]

    for argv in sorted(commands, key=lambda argv: argv == SUITE.argv):
        tell(commands[argv].shown)
        place = folder / f"{len(done):02d}"
        make_private_folder(place)
        done[argv] = run(commands[argv], place)
        keep(verdicts())
    return verdicts()


def _verdict(point: Point, done: Mapping[tuple[str, ...], Ran]) -> Verdict:
    """What came of a point, by the commands that are `done`."""
    verdict = Verdict(point)
    for check in point.checks:
        ran = done.get(check.argv)
        if ran is not None:
            verdict.commands.append((check.shown, ran.seconds))
            _judge_check(check, ran, verdict)
        elif check.in_suite and SUITE.argv in done:
            _judge_part(check, done[SUITE.argv], verdict)
        else:
            _leave_out(check, verdict)
    return verdict


def _leave_out(check: Check, verdict: Verdict) -> None:
    verdict.commands.append((check.shown, None))
    verdict.problems.append(f"not run: {check.shown}")


_ENDED: Final = re.compile(r"^tests ended with exit [01]$", re.MULTILINE)
"""What `make coverage` says where pytest came to its end, tests failed or not. Without it the file
of results may lack tests.
"""


def _judge_part(check: Check, suite: Ran, verdict: Verdict) -> None:
    """By what the suite left of the tests that a check names."""
    if not _ENDED.search(suite.output):
        verdict.commands.append((check.shown, None))
        verdict.problems.append(f"{check.shown}: {SUITE.shown} came to no end")
        return
    places = [word.removesuffix(".py").replace("/", ".") for word in check.argv[4:]]
    cases = [
        case
        for case in _cases(suite)
        if any(f"{_place_of(case)}.".startswith(f"{place}.") for place in places)
    ]
    seconds = round(sum(float(case.get("time") or 0) for case in cases), 1)
    verdict.commands.append((f"{check.shown}, by {SUITE.argv[0]} {SUITE.argv[1]}", seconds))
    _judge_cases(check, cases, verdict)


def _place_of(case: ElementTree.Element) -> str:
    """The module of a test; of one that could not be collected its name is the module."""
    return case.get("classname", "") or case.get("name", "")


def _cases(ran: Ran) -> list[ElementTree.Element]:
    """The tests in the file of results that pytest wrote in this run; none where there is none."""
    try:
        return list(ElementTree.parse(ran.folder / "results.xml").iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return []


def _judge_check(check: Check, ran: Ran, verdict: Verdict) -> None:
    if ran.code:
        verdict.problems.append(f"{check.shown}: exit {ran.code}: {_last_line(ran.output)}")
    if check.is_pytest:
        _judge_cases(check, _cases(ran), verdict)
    if check.figures is not None:
        figures, problems = check.figures(ran.output, ran.started, ROOT)
        verdict.evidence += figures
        verdict.problems += problems


def _judge_cases(check: Check, cases: list[ElementTree.Element], verdict: Verdict) -> None:
    wrong = {
        kind: {
            f"{case.get('classname')}::{case.get('name')}": found.get("message", "")
            for case in cases
            if (found := case.find(kind)) is not None
        }
        for kind in ("failure", "error", "skipped")
    }
    passed = len(cases) - len({name for names in wrong.values() for name in names})
    verdict.evidence.append(f"{passed:,} tests passed")
    if not cases:
        verdict.problems.append(f"{check.shown}: pytest left no results of a test")
    for kind, names in wrong.items():
        if names:
            told = "skipped, which proves nothing" if kind == "skipped" else kind
            some = [f"{name} ({_short(why)})" for name, why in list(names.items())[:5]]
            verdict.problems.append(f"{told}: {', '.join(some)}; {len(names):,} in all")


def _short(text: str) -> str:
    return " ".join(text.split())[:120] or "no reason given"


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no output"


# -- the real thing


_OURS: Final = re.compile(r"CDESK_|COVERAGE_|PYTEST_|UPDATE_SNAPSHOT\Z")
"""Variables with which the caller could change what a check does or what it leaves."""


def run_check(check: Check, folder: Path) -> Ran:
    """Run a command of the list at the root of the checkout; its output is `folder`/output.txt."""
    argv = [
        sys.executable if word == "python" else word.replace("{folder}", str(folder))
        for word in check.argv
    ]
    if check.is_pytest:
        argv += [f"--junitxml={folder / 'results.xml'}", "-p", "no:cacheprovider"]
    environ = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
    started, clock = time.time_ns(), time.monotonic()
    file = folder / "output.txt"
    # A file, not a pipe: a server that a check left running would keep a pipe open.
    with os.fdopen(open_private(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as output:
        try:
            process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return Ran(127, f"cannot be run: {error.strerror}", 0.0, started, folder)
        try:
            code = process.wait(timeout=check.most_seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            return Ran(
                124,
                f"not ended after {check.most_seconds:,} s",
                check.most_seconds,
                started,
                folder,
            )
        except BaseException:
            _end(process)
            raise
    text = file.read_text(encoding="utf-8", errors="replace")
    return Ran(code, text, round(time.monotonic() - clock, 1), started, folder)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and, where the platform has process groups, what it started."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def this_machine() -> Machine:
    """Where this runs, and of which commit."""

    def git(*words: str) -> str:
        ended = subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return ended.stdout.strip()

    return Machine(
        commit=git("rev-parse", "HEAD") or "unknown",
        changed=bool(git("status", "--porcelain", "--untracked-files=no")),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        cpus=os.cpu_count(),
    )


# -- the report


def report(
    verdicts: Sequence[Verdict],
    machine: Machine,
    *,
    at: str,
    seconds: float,
    quick: bool,
    only: Sequence[str] = (),
    ended: bool = True,
    live: Mapping[str, str] = LIVE,
) -> str:
    """The report as Markdown; the first line after the title is the verdict. `ended` is false while
    points are still to come.
    """
    go = ended and is_go(verdicts, whole=not (quick or only))
    failed = [verdict for verdict in verdicts if not verdict.passed]
    lines = [
        "# Launch check",
        "",
        f"**{'GO' if go else 'NO-GO'}**"
        + ("" if go else f": {len(failed)} of {len(verdicts)} points have no evidence"),
        "",
        "Written by `make launch-check`; do not edit. A point passes by what ran in this very run.",
        "",
    ]
    if not ended:
        lines += ["**Not ended**: it was broken off, or still runs.", ""]
    if quick:
        lines += ["**A quick run**: what takes long was not run, so it can only be a NO-GO.", ""]
    if only:
        told = ", ".join(only)
        lines += [f"**A run of some points** ({told}), so it can only be a NO-GO.", ""]
    lines += [
        f"- made: {at}, in {seconds:,.0f} s",
        f"- commit: `{machine.commit}`" + (", changed since" if machine.changed else ""),
        f"- machine: {machine.system}, Python {machine.python}, {machine.cpus} processors",
        "",
        "| point | verdict | evidence |",
        "|---|---|---|",
    ]
    for verdict in verdicts:
        told_all = verdict.evidence + [f"**{problem}**" for problem in verdict.problems]
        text = "; ".join(told_all).replace("|", "\\|")
        lines.append(f"| {verdict.point.name} | {'go' if verdict.passed else 'NO-GO'} | {text} |")
    lines += ["", "## What was run", "", "| point | command | seconds |", "|---|---|--:|"]
    for verdict in verdicts:
        for command, took in verdict.commands:
            shown = command.replace("|", "\\|")
            seconds_told = "not run" if took is None else f"{took:,.1f}"
            lines.append(f"| {verdict.point.name} | `{shown}` | {seconds_told} |")
    lines += [
        "",
        "## What only a live Snowflake account can show",
        "",
        "None of it is part of the verdict. `scripts/live.sh` runs `tests/live` there.",
        "",
        *(f"- **{name}**: {text}" for name, text in live.items()),
    ]
    return "\n".join(lines) + "\n"


def is_go(verdicts: Sequence[Verdict], *, whole: bool) -> bool:
    """Whether every point has passed, in a run that was to leave nothing out."""
    return whole and bool(verdicts) and all(verdict.passed for verdict in verdicts)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check and write the report: 0 for GO, 1 for NO-GO."""
    names = [point.name for point in POINTS]
    parser = argparse.ArgumentParser(
        prog="python -m cdesk_app.ops.launch_check", description=__doc__
    )
    parser.add_argument("--quick", action="store_true", help="only what takes seconds")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=names,
        metavar="POINT",
        help="one point, by its name (again for more)",
    )
    parser.add_argument("--list", action="store_true", help="the points and their commands")
    parser.add_argument("--out", type=Path, help="the report (build/launch_check/<when>.md)")
    options = parser.parse_args(argv)
    if options.list:
        for point in POINTS:
            _say("\n".join([point.name, *(f"  {check.shown}" for check in point.checks)]))
        return 0
    if not (ROOT / "tests").is_dir():
        raise ConfigurationError("the launch check needs a checkout of the project, with its tests")
    at, clock = format_ts(time.time_ns()), time.monotonic()
    folder = ROOT / "build" / "launch_check" / at[:19].replace(":", "")
    out: Path = options.out or folder.with_suffix(".md")
    make_private_folder(out.absolute().parent)
    machine = this_machine()

    def write(verdicts: list[Verdict], *, ended: bool = False) -> None:
        text = report(
            verdicts,
            machine,
            at=at,
            seconds=time.monotonic() - clock,
            quick=options.quick,
            only=options.only,
            ended=ended,
        )
        write_private(out, text.encode("utf-8"))

    write([_verdict(point, {}) for point in POINTS])
    # told to end, it ends what it has started, as at the keyboard
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    verdicts = judge(
        POINTS,
        run_check,
        quick=options.quick,
        only=options.only,
        folder=folder,
        tell=_say,
        keep=write,
    )
    write(verdicts, ended=True)
    go = is_go(verdicts, whole=not (options.quick or options.only))
    for verdict in verdicts:
        if options.only and verdict.point.name not in options.only:
            continue
        _say(f"{'go   ' if verdict.passed else 'NO-GO'}  {verdict.point.name}")
        for problem in verdict.problems:
            _say(f"         {problem}")
    _say(f"{'GO' if go else 'NO-GO'}; the report is {out}, what the commands printed in {folder}")
    return 0 if go else 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
