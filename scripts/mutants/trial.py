"""Whether a test notices a mutant: runs in a copy of the tree, so that the tree itself is never
changed, whatever becomes of the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from scripts.mutants import plugin
from scripts.mutants.forks import IMPORTED, IMPORTED_FOR_SQL, Forks
from scripts.mutants.mutant import Mutant
from scripts.mutants.reached import Kept, Reached, files_below, joined, read_coverage

ROOM_SECONDS = 1800.0
"""For the run of a room's tests without a mutant."""
LEAST_SECONDS = 20.0
TIMES_LONGER = 5.0
"""A mutant's tests may take so much longer than without it before it counts as noticed. Both go by
what a run spends, not by the clock (forks.Watched).
"""
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
MEASURED = "COVERAGE_PROCESS_START"
_NO_TESTS = 5
"""How pytest ends where it finds none."""
_NOT_FOR_TESTS = ("PYTEST_CURRENT_TEST", "PYTEST_ADDOPTS", "PYTHONDONTWRITEBYTECODE")


class RoomFails(Exception):
    """The tests of a room fail without any mutant."""


@dataclass
class Copy:
    """A copy of a project's tree to put mutants in, one at a time."""

    root: Path
    temporary: Path
    seed: int
    forks: Forks
    forks_of_sql: Forks
    kept: Kept | None = None
    """What is known of tests from earlier runs."""
    _stamps: int = field(default=0, init=False)
    _first_round: Path | None = field(default=None, init=False)

    def reached(self, tests: Sequence[str], packages: Sequence[str]) -> Reached:
        """What the tests reach without a mutant, of files that have changed since by a run of
        them. Raises RoomFails.
        """
        files = files_below(tests, self.root)
        known = {file: self.kept.read(file, self.root) for file in files} if self.kept else {}
        found = {file: one for file, one in known.items() if one is not None}
        if left := [file for file in files if file not in found]:
            ran, failed = self._run(left, packages)
            red = {test.partition("::")[0] for test in failed}
            for file in left:
                found[file] = ran.among([f"{file}::"])
                if self.kept is not None and file not in red:
                    self.kept.write(file, found[file], self.root)
            if failed:
                raise RoomFails(f"without a mutant these fail: {', '.join(failed)}")
        return joined(found.values())

    def _run(self, tests: Sequence[str], packages: Sequence[str]) -> tuple[Reached, Sequence[str]]:
        """What tests reach, run under coverage.py, and which of them fail. Raises RoomFails."""
        data = self.temporary / "coverage" / "data"
        shutil.rmtree(data.parent, ignore_errors=True)
        data.parent.mkdir()
        rc, times = self.temporary / "coveragerc", self.temporary / "times.json"
        times.unlink(missing_ok=True)
        rc.write_text(SETTINGS.format(data=data, packages=",".join(packages)), encoding="utf-8")
        run = self._pytest(
            self.forks,
            tests=tests,
            seconds=ROOM_SECONDS,
            **{MEASURED: str(rc), plugin.TIMES: str(times)},
        )
        told = json.loads(times.read_text(encoding="utf-8")) if times.exists() else {}
        if run != 0 and not told.get("failed"):
            raise RoomFails(f"without a mutant pytest ends with {run}: {' '.join(tests)}")
        reached = read_coverage(data.parent.iterdir(), told["seconds"], self.root)
        return reached, told["failed"]

    def build(self, tests: Sequence[str]) -> None:
        """Run tests of SQL without a mutant, once, and keep the first round that they build on.
        Raises RoomFails.
        """
        if self._first_round is not None:
            return
        run = self._pytest(self.forks_of_sql, tests=tests, seconds=ROOM_SECONDS)
        if run != 0:
            raise RoomFails(f"without a mutant pytest ends with {run}: {' '.join(tests)}")
        made = self.temporary / "pytest" / "first_round"
        if made.exists():
            self._first_round = self.temporary / "first_round"
            made.rename(self._first_round)
            with contextlib.suppress(FileNotFoundError):
                made.with_name(plugin.BUILT).rename(self.temporary / plugin.BUILT)

    def is_noticed(
        self, mutant: Mutant, tests: Sequence[str], *, seconds: float, keyword: str = ""
    ) -> bool:
        """Whether one of the tests (names, files or folders) fails, or ends too late."""
        names = [test for test in tests if "::" in test]
        wanted = self.temporary / "tests.json"
        wanted.write_text(json.dumps(names), encoding="utf-8")
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        is_sql = mutant.file.endswith(".sql")
        forks = self.forks_of_sql if is_sql else self.forks
        forks.begin(self._environ())
        with self._mutated(mutant):
            run = self._pytest(
                forks,
                tests=files,
                seconds=seconds,
                arguments=("-x", *(("-k", keyword) if keyword else ())),
                **({plugin.TESTS: str(wanted)} if names else {}),
                **({plugin.FILE: mutant.file} if is_sql else {}),
                **(
                    {plugin.FIRST_ROUND: str(self._first_round)}
                    if self._first_round is not None and is_sql
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
        forks: Forks,
        /,
        *,
        tests: Sequence[str],
        seconds: float,
        arguments: Sequence[str] = (),
        **environ: str,
    ) -> int | None:
        """Its exit code, or None where it had to be ended. Under coverage.py where `environ` has it
        for processes that tests start.
        """
        return forks.run(
            [
                *("-q", "--no-header", "--tb=short" if os.environ.get("VERBOSE") else "--tb=no"),
                *("-p", "scripts.mutants.plugin", "-p", "no:cacheprovider", "--timeout=0"),
                *(f"--basetemp={self.temporary / 'pytest'}", f"--hypothesis-seed={self.seed}"),
                *arguments,
                *tests,
            ],
            {**self._environ(), **environ},
            seconds=seconds,
            rc=environ.get(MEASURED),
        )

    def _environ(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_TESTS}
        return {**own, "PYTHONPATH": str(self.root)}


@contextlib.contextmanager
def copied(
    root: Path, *, seed: int, kept: Kept | None = None, imported: Sequence[str] = IMPORTED
) -> Iterator[Copy]:
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
        of_sql = IMPORTED_FOR_SQL if imported else ()
        with (
            contextlib.closing(Forks(copy, imported)) as forks,
            contextlib.closing(Forks(copy, of_sql)) as forks_of_sql,
        ):
            yield Copy(copy, copy.parent, seed, forks, forks_of_sql, kept)


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
