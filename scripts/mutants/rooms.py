"""Which files belong to a room, and which tests are asked about them: tests/mutants/rooms.toml; and
which mutants nobody could notice: tests/mutants/equivalent.toml.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from scripts.mutants.mutant import Mutant
from scripts.mutants.sql_mutants import sql_mutants


@dataclass(frozen=True)
class ByFile:
    """The tests of those files of a room whose path matches, for files without a map of lines."""

    files: str
    tests: tuple[str, ...]
    keyword: str = ""
    """For `-k`; `{name}` stands for the file's name without its ending."""


@dataclass(frozen=True)
class Room:
    name: str
    sources: tuple[str, ...]
    """Folders or files below the root."""
    tests: tuple[str, ...] = ()
    """Run once to learn which of them reach which line (Python)."""
    further: tuple[str, ...] = ()
    """Whole files or folders for what survives `tests`, because they take long."""
    without: tuple[str, ...] = ()
    """Patterns of files that are left out."""
    by_file: tuple[ByFile, ...] = field(default=())
    """For SQL, the first that matches."""

    def files(self, root: Path) -> list[str]:
        found: set[str] = set()
        for source in self.sources:
            place = root / source
            paths = [place] if place.is_file() else [*place.rglob("*.py"), *place.rglob("*.sql")]
            found.update(path.relative_to(root).as_posix() for path in paths)
        return sorted(
            file
            for file in found
            if not any(PurePosixPath(file).match(pattern) for pattern in self.without)
        )

    def tests_of(self, file: str) -> ByFile | None:
        for entry in self.by_file:
            if PurePosixPath(file).match(entry.files):
                keyword = entry.keyword.replace("{name}", PurePosixPath(file).stem)
                return ByFile(entry.files, entry.tests, keyword)
        return None


@dataclass(frozen=True)
class Equivalent:
    """A mutant that changes nothing that anybody could see."""

    file: str
    before: str
    after: str
    reason: str

    def is_mutant(self, mutant: Mutant, text: str) -> bool:
        return (mutant.file, mutant.before(text), mutant.after(text)) == (
            self.file,
            self.before,
            self.after,
        )


@dataclass(frozen=True)
class Known:
    """A mistake that once stayed unseen, and the test that has to notice it."""

    promise: str
    kind: str
    file: str
    before: str
    after: str
    test: str

    def mutant(self, text: str) -> Mutant:
        """Raises ValueError where `before` doesn't stand in the file."""
        start = text.find(self.before)
        if start < 0:
            raise ValueError(f"{self.file} has no {self.before!r} any more")
        return Mutant(self.file, self.kind, start, start + len(self.before), self.after)


def read_known(path: Path) -> list[Known]:
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return [Known(**one) for one in document["hole"]]


def read_rooms(path: Path) -> dict[str, Room]:
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        name: Room(
            name,
            tuple(own["sources"]),
            tuple(own.get("tests", ())),
            tuple(own.get("further", ())),
            tuple(own.get("without", ())),
            tuple(
                ByFile(one["files"], tuple(one["tests"]), one.get("keyword", ""))
                for one in own.get("by_file", ())
            ),
        )
        for name, own in document.items()
    }


def read_equivalent(path: Path) -> list[Equivalent]:
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return [Equivalent(**one) for one in document.get("mutant", ())]


def mutants_of(file: str, text: str) -> list[Mutant]:
    if not file.endswith(".py"):
        return sql_mutants(file, text)
    from scripts.mutants.python_mutants import python_mutants  # which takes half a second

    return python_mutants(file, text)


def is_readable(mutant: Mutant, text: str) -> bool:
    if not mutant.file.endswith(".py"):
        return True
    from scripts.mutants.python_mutants import can_be_read

    return can_be_read(mutant.apply(text))


def candidates(root: Path, files: Iterable[str], equivalent: Sequence[Equivalent]) -> list[Mutant]:
    """Every mutant of the files but those that are marked as equivalent."""
    found = []
    for file in files:
        text = (root / file).read_text(encoding="utf-8")
        marked = [one for one in equivalent if one.file == file]
        found += [
            mutant
            for mutant in mutants_of(file, text)
            if not any(one.is_mutant(mutant, text) for one in marked)
        ]
    return found


def changed_lines(root: Path, base: str) -> dict[str, set[int]]:
    """The lines that stand otherwise in the working tree than where it left `base`."""
    diff = subprocess.run(
        ["git", "diff", "--unified=0", "--no-color", "--merge-base", base, "--"],
        cwd=root,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    ).stdout
    found: dict[str, set[int]] = {}
    file = ""
    for line in diff.splitlines():
        if line.startswith("+++ "):
            file = line.removeprefix("+++ ").removeprefix("b/")
        elif match := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            first, count = int(match[1]), int(match[2] or 1)
            found.setdefault(file, set()).update(range(first, first + count))
    return found
