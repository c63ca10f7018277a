"""What a run found, for a person and for docs/tests.md, where each room keeps a section of its own
that the next run of this room renews.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BEGIN = "<!-- mutants: begin -->"
END = "<!-- mutants: end -->"


@dataclass(frozen=True)
class Survivor:
    diff: str
    tests: str
    """Which test file should have noticed."""


@dataclass(frozen=True)
class Result:
    """Of one room."""

    room: str
    tried: int
    of: int
    """All mutants that the sample was drawn from."""
    seed: int
    base: str | None
    survivors: Sequence[Survivor]

    @property
    def noticed(self) -> int:
        return self.tried - len(self.survivors)

    @property
    def score(self) -> float:
        """From 0 to 1."""
        return self.noticed / self.tried if self.tried else 1.0

    def summary(self) -> str:
        drawn = f" changed since {self.base}" if self.base else ""
        return (
            f"{self.room}: {self.score:.0%} noticed ({self.noticed} of {self.tried}, "
            f"drawn from {self.of:,}{drawn} with seed {self.seed})"
        )

    def section(self) -> str:
        lines = [f"**{self.room}**: {self.summary().partition(': ')[2]}.", ""]
        if self.survivors:
            lines += [f"- `{one.diff}` ({one.tests})" for one in self.survivors]
            lines.append("")
        return "\n".join(lines)


def write_report(page: Path, results: Sequence[Result], order: Sequence[str]) -> None:
    """Put the results into a page between its marks, in place of what stood there of their rooms;
    rooms stand in `order`. Raises ValueError where the page has no marks.
    """
    text = page.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page.name} has no place for the report: {BEGIN} … {END}")
    before, _, rest = text.partition(BEGIN)
    inside, _, after = rest.partition(END)
    sections = {
        match[1]: match[0].strip() + "\n"
        for match in re.finditer(r"^\*\*(\w+)\*\*: .*?(?=^\*\*\w+\*\*: |\Z)", inside, re.M | re.S)
    }
    sections.update({result.room: result.section().strip() + "\n" for result in results})
    ordered = [sections[room] for room in order if room in sections]
    page.write_text(before + BEGIN + "\n" + "\n".join(ordered) + END + after, encoding="utf-8")
