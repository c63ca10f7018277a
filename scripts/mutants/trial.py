"""Whether a test notices a mutant: runs in a copy of the tree, so that the tree itself is never
changed, whatever becomes of the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from coverage import CoverageData
from coverage.exceptions import DataError

from scripts.mutants import plugin
from scripts.mutants.mutant import Mutant

ROOM_SECONDS = 1800.0
"""For the run of a room's tests without a mutant."""
LEAST_SECONDS = 60.0
TIMES_LONGER = 5.0
"""A mutant's tests may take so much longer than without it before it counts as noticed."""
SETTINGS = """\
[run]
branch = false
parallel = true
data_file = {data}
source_pkgs = {packages}
context = ${{PYTEST_CURRENT_TEST-}}
sigterm = true
disable_warnings = module-not-imported, no-data-collected, couldnt-parse
"""
"""Of coverage.py: a process that a test starts finds the test's name in its environment."""
_NO_TESTS = 5
"""How pytest ends where it finds none."""
_NOT_FOR_TESTS = ("PYTEST_CURRENT_TEST", "PYTEST_ADDOPTS", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Reached:
    """Which tests reach which line of which file, and how long each takes alone."""

    seconds: Mapping[str, float]
    lines: Mapping[str, Mapping[int, frozenset[str]]]

    def tests(self, mutant: Mutant, text: str) -> list[str]:
        """Who could notice, the fastest first. A line that runs when its module is imported is in
        no test: whoever reaches another line of the file could notice then, or, where nobody does,
        whoever there is.
        """
        of_file = self.lines.get(mutant.file, {})
        reached = [of_file.get(line, frozenset()) for line in mutant.lines(text)]
        found = set().union(*reached) - {""}
        if not found and any("" in tests for tests in reached):
            found = set().union(*of_file.values()) - {""} or set(self.seconds)
        return sorted(found, key=lambda test: self.seconds.get(test, 0.0))

    def among(self, tests: Sequence[str]) -> Reached:
        """The same of the tests of these files and folders alone."""
        begins = tuple(tests)

        def is_in(name: str) -> bool:
            return not name or name.startswith(begins)

        return Reached(
            {name: seconds for name, seconds in self.seconds.items() if is_in(name)},
            {
                file: {line: frozenset(filter(is_in, names)) for line, names in own.items()}
                for file, own in self.lines.items()
            },
        )


class RoomFails(Exception):
    """The tests of a room fail without any mutant."""


@dataclass
class Copy:
    """A copy of a project's tree to put mutants in, one at a time."""

    root: Path
    temporary: Path
    seed: int
    _stamps: int = field(default=0, init=False)
    _first_round: Path | None = field(default=None, init=False)

    def reached(self, tests: Sequence[str], packages: Sequence[str]) -> Reached:
        """Run tests without a mutant. Raises RoomFails."""
        data = self.temporary / "coverage" / "data"
        shutil.rmtree(data.parent, ignore_errors=True)
        data.parent.mkdir()
        rc, times = self.temporary / "coveragerc", self.temporary / "times.json"
        rc.write_text(SETTINGS.format(data=data, packages=",".join(packages)), encoding="utf-8")
        run = self._pytest(
            *("-m", "coverage", "run", "--rcfile", str(rc)),
            tests=tests,
            seconds=ROOM_SECONDS,
            COVERAGE_PROCESS_START=str(rc),
            **{plugin.TIMES: str(times)},
        )
        if run != 0:
            raise RoomFails(f"without a mutant pytest ends with {run}: {' '.join(tests)}")
        found: dict[str, dict[int, set[str]]] = {}
        for part in data.parent.iterdir():
            _add_lines(part, self.root, found)
        return Reached(
            json.loads(times.read_text(encoding="utf-8")),
            {
                file: {line: frozenset(names) for line, names in lines.items()}
                for file, lines in found.items()
            },
        )

    def build(self, tests: Sequence[str]) -> None:
        """Run tests of SQL without a mutant, and keep the first round that they build on. Raises
        RoomFails.
        """
        run = self._pytest(tests=tests, seconds=ROOM_SECONDS)
        if run != 0:
            raise RoomFails(f"without a mutant pytest ends with {run}: {' '.join(tests)}")
        made = self.temporary / "pytest" / "first_round"
        if made.exists():
            self._first_round = self.temporary / "first_round"
            made.rename(self._first_round)

    def is_noticed(
        self, mutant: Mutant, tests: Sequence[str], *, seconds: float, keyword: str = ""
    ) -> bool:
        """Whether one of the tests (names, files or folders) fails, or ends too late."""
        names = [test for test in tests if "::" in test]
        wanted = self.temporary / "tests.json"
        wanted.write_text(json.dumps(names), encoding="utf-8")
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        with self._mutated(mutant):
            run = self._pytest(
                tests=files,
                seconds=seconds,
                arguments=("-x", *(("-k", keyword) if keyword else ())),
                **({plugin.TESTS: str(wanted)} if names else {}),
                **(
                    {plugin.FIRST_ROUND: str(self._first_round), plugin.FILE: mutant.file}
                    if self._first_round is not None and mutant.file.endswith(".sql")
                    else {}
                ),
            )
        if run == _NO_TESTS and not keyword:
            raise RoomFails(f"no such test: {' '.join(tests)}")
        return run not in (0, _NO_TESTS)

    @contextlib.contextmanager
    def _mutated(self, mutant: Mutant) -> Iterator[None]:
        path = self.root / mutant.file
        original, stamp = path.read_bytes(), path.stat().st_mtime
        self._stamps += 2  # compiled files go by seconds and size, which another mutant may share
        try:
            path.write_bytes(mutant.apply(original.decode("utf-8")).encode("utf-8"))
            os.utime(path, (stamp + self._stamps, stamp + self._stamps))
            yield
        finally:
            path.write_bytes(original)
            os.utime(path, (stamp, stamp))

    def _pytest(
        self,
        *before: str,
        tests: Sequence[str],
        seconds: float,
        arguments: Sequence[str] = (),
        **environ: str,
    ) -> int | None:
        """Its exit code, or None where it had to be ended."""
        base = self.temporary / "pytest"
        process = subprocess.Popen(
            [
                *(sys.executable, *before, "-m", "pytest", "-q", "--no-header", "--tb=no"),
                *("-p", "scripts.mutants.plugin", "-p", "no:cacheprovider"),
                *(f"--basetemp={base}", f"--hypothesis-seed={self.seed}"),
                *arguments,
                *tests,
            ],
            cwd=self.root,
            env={
                **{name: value for name, value in os.environ.items() if name not in _NOT_FOR_TESTS},
                "PYTHONPATH": str(self.root),
                **environ,
            },
            stdin=subprocess.DEVNULL,
            stdout=None if os.environ.get("VERBOSE") else subprocess.DEVNULL,
            stderr=None if os.environ.get("VERBOSE") else subprocess.DEVNULL,
        )
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)


@contextlib.contextmanager
def copied(root: Path, *, seed: int) -> Iterator[Copy]:
    """A copy of what git knows or could know of, gone when the block ends. What a killed run left
    behind goes with the next.
    """
    _clear_left_behind()
    with tempfile.TemporaryDirectory(prefix=f"cdesk-mutants-{os.getpid()}-") as temporary:
        copy = Path(temporary).resolve() / "tree"
        for file in _files(root):
            target = copy / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / file, target)
        yield Copy(copy, copy.parent, seed)


def _files(root: Path) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    ).stdout
    names = [name for name in listed.decode("utf-8").split("\0") if name]
    return [name for name in names if (root / name).is_file()]


def _clear_left_behind() -> None:
    for path in Path(tempfile.gettempdir()).glob("cdesk-mutants-*"):
        owner = path.name.split("-")[2]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(path, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """A run and every process that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    process.wait()


def _add_lines(part: Path, root: Path, found: dict[str, dict[int, set[str]]]) -> None:
    data = CoverageData(str(part))
    try:
        data.read()
    except DataError:  # of a process that a test killed while it wrote
        return
    for measured in data.measured_files():
        path = Path(measured)
        if not path.is_relative_to(root):
            continue
        lines = found.setdefault(path.relative_to(root).as_posix(), {})
        for line, contexts in data.contexts_by_lineno(measured).items():
            lines.setdefault(line, set()).update(map(_name, contexts))


def _name(context: str) -> str:
    """Of a test, from its own name or from what pytest puts into the environment (`… (call)`)."""
    in_process = context.endswith((" (setup)", " (call)", " (teardown)"))
    return context.rpartition(" (")[0] if in_process else context
