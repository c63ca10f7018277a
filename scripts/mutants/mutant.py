"""One small mistake in one file, as an edit of its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WIDTH: Final = 100
"""Of a line that is shown whole."""
MARGIN: Final = 30


@dataclass(frozen=True)
class Mutant:
    """`text[start:end]` of `file` becomes `replacement`. Offsets count characters."""

    file: str
    """Below the project's root, with `/`."""
    kind: str
    start: int
    end: int
    replacement: str

    def apply(self, text: str) -> str:
        return text[: self.start] + self.replacement + text[self.end :]

    def lines(self, text: str) -> range:
        """The numbers of the lines that it changes, from 1."""
        first = text.count("\n", 0, self.start) + 1
        return range(first, first + text.count("\n", self.start, self.end) + 1)

    def before(self, text: str) -> str:
        """The lines that it changes, on one line."""
        return _one_line(_whole_lines(text, self.start, self.end))

    def after(self, text: str) -> str:
        """What they become."""
        changed = self.apply(text)
        return _one_line(_whole_lines(changed, self.start, self.start + len(self.replacement)))

    def diff(self, text: str) -> str:
        """`file:line: - before + after`, for a person."""
        line = self.lines(text).start
        before, after = _focused(self.before(text), self.after(text))
        return f"{self.file}:{line}: - {before} + {after}"


def _whole_lines(text: str, start: int, end: int) -> str:
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", end)
    return text[begin : stop if stop >= 0 else len(text)]


def _focused(before: str, after: str) -> tuple[str, str]:
    """Both without what they share, but for some of it on each side."""
    if max(len(before), len(after)) <= WIDTH:
        return before, after
    first = _shared(before, after)
    last = _shared(before[first:][::-1], after[first:][::-1])
    begin = max(0, first - MARGIN)
    return tuple(  # type: ignore[return-value]
        "… " * (begin > 0) + text[begin : len(text) - last + MARGIN] + " …" * (last > MARGIN)
        for text in (before, after)
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _shared(one: str, other: str) -> int:
    """How many letters both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
