"""Which tests reach which line, and how long each takes alone; kept from run to run for each test
file as long as nothing changes that it reaches.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from coverage import CoverageData
from coverage.exceptions import DataError

from scripts.mutants.mutant import Mutant

AT_IMPORT: Final = ""
"""Stands for the test where a line runs while nothing but collecting goes on."""


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
        found = set().union(*reached) - {AT_IMPORT}
        if not found and any(AT_IMPORT in tests for tests in reached):
            found = set().union(*of_file.values()) - {AT_IMPORT} or set(self.seconds)
        return sorted(found, key=lambda test: self.seconds.get(test, 0.0))

    def within(self, tests: Sequence[str], seconds: float) -> list[str]:
        """The first of them, as many as take so long together."""
        spent = itertools.accumulate(self.seconds.get(test, 0.0) for test in tests)
        return [test for test, until in zip(tests, spent, strict=True) if until <= seconds]

    def is_at_import(self, mutant: Mutant, text: str) -> bool:
        """Whether the line runs while its module is imported, and in no test."""
        of_file = self.lines.get(mutant.file, {})
        reached = set().union(*(of_file.get(line, frozenset()) for line in mutant.lines(text)))
        return reached == {AT_IMPORT}

    def naming(self, file: str, root: Path) -> list[str]:
        """The tests of files that import a module, which may look at what it holds and reach none
        of its lines.
        """
        package, _, name = file.removesuffix(".py").replace("/", ".").rpartition(".")
        imports = re.compile(
            rf"^\s*(from {re.escape(package)}\.{name} |import {re.escape(package)}\.{name}\b"
            rf"|from {re.escape(package)} import [^\n]*\b{name}\b)",
            re.MULTILINE,
        )
        files = {test.partition("::")[0] for test in self.seconds}
        found = {one for one in files if imports.search((root / one).read_text(encoding="utf-8"))}
        return [test for test in self.seconds if test.partition("::")[0] in found]

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


def joined(parts: Iterable[Reached]) -> Reached:
    """What several know together."""
    seconds: dict[str, float] = {}
    lines: dict[str, dict[int, set[str]]] = {}
    for part in parts:
        seconds.update(part.seconds)
        for file, own in part.lines.items():
            of_file = lines.setdefault(file, {})
            for line, names in own.items():
                of_file.setdefault(line, set()).update(names)
    return Reached(seconds, _frozen(lines))


def read_coverage(parts: Iterable[Path], seconds: Mapping[str, float], root: Path) -> Reached:
    """What a run under coverage.py left behind: its data files and the seconds of its tests."""
    of_file: dict[str, set[str]] = {}
    for name in seconds:
        of_file.setdefault(name.partition("::")[0], set()).add(name)
    lines: dict[str, dict[int, set[str]]] = {}
    for part in parts:
        _add_lines(part, root, lines, of_file)
    return Reached(seconds, _frozen(lines))


class Kept:
    """What is known of each test file, in a folder that may be deleted at any time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, test_file: str, root: Path) -> Reached | None:
        """None where the file, what it shares with its neighbours or a module that it reaches is
        another than when it was run.
        """
        try:
            found: dict[str, Any] = json.loads(self._path(test_file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if found["digests"] != _digests([*found["lines"], *_helpers(test_file, root)], root):
            return None
        names = found["tests"]
        return Reached(
            found["seconds"],
            {
                file: {int(line): frozenset(names[one] for one in own) for line, own in of.items()}
                for file, of in found["lines"].items()
            },
        )

    def write(self, test_file: str, reached: Reached, root: Path) -> None:
        names = [AT_IMPORT, *reached.seconds]
        places = {name: place for place, name in enumerate(names)}
        lines = {
            file: {
                line: sorted(places[name] for name in own if name in places)
                for line, own in of_file.items()
            }
            for file, of_file in reached.lines.items()
        }
        self._folder.mkdir(exist_ok=True)
        text = json.dumps(
            {
                "digests": _digests([*lines, *_helpers(test_file, root)], root),
                "seconds": dict(reached.seconds),
                "tests": names,
                "lines": lines,
            }
        )
        self._path(test_file).write_text(text, encoding="utf-8")

    def _path(self, test_file: str) -> Path:
        return self._folder / f"{hashlib.sha256(test_file.encode()).hexdigest()[:24]}.json"


def files_below(tests: Iterable[str], root: Path) -> list[str]:
    """The test files among and below these."""
    found: set[str] = set()
    for test in tests:
        path = root / test
        paths = path.rglob("test_*.py") if path.is_dir() else [path]
        found.update(one.relative_to(root).as_posix() for one in paths)
    return sorted(found)


def _helpers(test_file: str, root: Path) -> list[str]:
    """The test file and the modules beside and above it."""
    found = {test_file, "pyproject.toml"}
    for folder in PurePosixPath(test_file).parents:
        if folder.parts[:1] == ("tests",):
            found.update(
                path.relative_to(root).as_posix()
                for path in (root / folder).glob("*.py")
                if not path.name.startswith("test_")
            )
    return sorted(found)


def _digests(files: Iterable[str], root: Path) -> dict[str, str]:
    return {file: _digest(root / file) for file in sorted(set(files))}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:24]
    except FileNotFoundError:
        return ""


def _frozen(lines: Mapping[str, Mapping[int, set[str]]]) -> dict[str, dict[int, frozenset[str]]]:
    return {
        file: {line: frozenset(names) for line, names in own.items()} for file, own in lines.items()
    }


def _add_lines(
    part: Path,
    root: Path,
    found: dict[str, dict[int, set[str]]],
    of_file: Mapping[str, set[str]],
) -> None:
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
            lines.setdefault(line, set()).update(
                name for context in contexts for name in named_by(context, of_file)
            )


def named_by(context: str, of_file: Mapping[str, set[str]]) -> set[str]:
    """The tests that a context stands for: its own name, or what pytest puts into the environment
    of processes (`… (call)`). What is made before a test, a process that it shares with others
    among it, stands for all of its file.
    """
    name, _, phase = context.rpartition(" (")
    if phase == "setup)":
        file = name.partition("::")[0]
        return of_file.get(file) or {name}
    return {name if phase in ("call)", "teardown)") else context}
