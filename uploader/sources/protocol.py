"""What every source of histories gives: the files that hold them, and what is known of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from cdesk.contract.records import SourceSystem

MOST_NAMED: Final = 200
"""Different kinds of problem that are told apart; the rest is counted as `other`."""


def path_text(path: Path) -> str:
    """A path as text that can be stored; names of files may hold what is no UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """One file of a history: newline-separated JSON objects, appended to while it is alive.

    client: the program that the person used. session: what is known of the conversation without
    reading it. audit: the stream of the agent SDK; alone: no transcript has its questions too.
    """

    path: Path
    source_system: SourceSystem
    client: str
    title: str | None = None
    session_id: str | None = None
    audit: bool = False
    alone: bool = True


@dataclass(slots=True)
class Findings:
    """What was met that is no part of a known history, by kind: counted and shown, never fatal."""

    unknown: Counter[str] = field(default_factory=Counter)
    """Line types and fields that this version does not know."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Folder or file → why it cannot be read."""
    passed_by: dict[str, str] = field(default_factory=dict)
    """What lies where histories do and is none of their files, a link mostly → what it is."""
    bad_lines: Counter[str] = field(default_factory=Counter)
    """Lines that are no JSON object, too long, or without a time."""

    def note(self, kind: str) -> None:
        """Count something unknown."""
        known = kind in self.unknown or len(self.unknown) < MOST_NAMED
        self.unknown[kind if known else "other"] += 1

    def unreadable_entry(self, path: Path, error: OSError) -> None:
        if len(self.unreadable) < MOST_NAMED:
            self.unreadable[path_text(path)] = error.strerror or type(error).__name__

    def passed_by_entry(self, path: Path, what: str) -> None:
        """Name what is not looked at."""
        if len(self.passed_by) < MOST_NAMED:
            self.passed_by[path_text(path)] = what


class Source(Protocol):
    """A program whose histories can be followed."""

    @property
    def name(self) -> str:
        """The source's name in the status."""
        ...

    def discover(self, findings: Findings) -> Iterator[HistoryFile]:
        """The files that are there now, each once. What cannot be read goes into `findings`."""
        ...
