"""The worker's own environment under the state directory, where what serves Claude was installed
without the worker's part: whether it is there, and how far its setting up is.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from cdesk.core.clock import format_ts, parse_ts
from cdesk.core.home import make_private_folder, write_private
from cdesk.core.locks import is_held

USUAL_SECONDS: Final = 180
RETRY_SECONDS: Final = (60, 300, 1_800, 3_600)
"""Pause after the first, second, … failure in a row."""


@dataclass(frozen=True, slots=True)
class SetUp:
    """How far it is. `since`: when this attempt began; `failures` in a row, `error` of the last,
    at `at` (RFC 3339).
    """

    since: str
    at: str
    failures: int = 0
    error: str | None = None


class Runtime:
    """One such environment. `wanted` names what it is to hold: another version, or other extras,
    is another.
    """

    def __init__(self, folder: Path, wanted: str) -> None:
        self.folder = folder
        self.wanted = wanted
        self._ready = False

    @property
    def environment(self) -> Path:
        return self.folder / "env"

    @property
    def python(self) -> Path:
        windows = os.name == "nt"
        return self.environment / ("Scripts/python.exe" if windows else "bin/python")

    @property
    def lock(self) -> Path:
        """Held by the process that sets it up."""
        return self.folder / "set_up.lock"

    def is_ready(self) -> bool:
        """Whether it holds what is wanted. A file is read until it does, and none after that."""
        if not self._ready:
            try:
                found = json.loads((self.folder / "ready.json").read_bytes())
                self._ready = found.get("holds") == self.wanted and self.python.exists()
            except (OSError, ValueError, AttributeError):
                return False
        return self._ready

    def mark_ready(self) -> None:
        """Raises OSError."""
        make_private_folder(self.folder)
        write_private(self.folder / "ready.json", json.dumps({"holds": self.wanted}).encode())

    def unmark(self) -> None:
        """While it is changed it holds nothing for certain. Raises OSError."""
        self._ready = False
        (self.folder / "ready.json").unlink(missing_ok=True)

    def progress(self) -> SetUp | None:
        """How far it is, None where nothing has begun."""
        try:
            return SetUp(**json.loads((self.folder / "progress.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def keep_progress(self, progress: SetUp) -> None:
        """Raises OSError."""
        make_private_folder(self.folder)
        write_private(self.folder / "progress.json", json.dumps(asdict(progress)).encode())

    def is_due(self, now_ns: int) -> bool:
        """Whether an attempt should begin: none is under way, and the last failure is a while
        back.
        """
        if self.is_ready() or is_held(self.lock):
            return False
        progress = self.progress()
        return progress is None or self._wait_seconds(progress, now_ns) <= 0

    def told(self, now_ns: int) -> str | None:
        """How far it is, in words for a person; None where it is ready."""
        if self.is_ready():
            return None
        progress = self.progress()
        kept = "what you log is kept"
        if progress is None:
            return f"the worker is about to be set up; {kept}"
        if progress.error is not None:
            minutes = max(1, -(-int(self._wait_seconds(progress, now_ns)) // 60))
            return (
                f"setting up the worker failed ({progress.error}); tried again in {minutes} "
                f"{_minutes(minutes)}; {kept}"
            )
        passed = now_ns / 1e9 - parse_ts(progress.since).timestamp()
        minutes, usual = max(1, -(-int(passed) // 60)), USUAL_SECONDS // 60
        if minutes > usual:
            return f"setting up, {minutes} minutes so far, about {usual} as a rule; {kept}"
        return f"setting up, {minutes} of about {usual} minutes; {kept}"

    def told_if_begun(self, now_ns: int) -> str | None:
        """The same, for one who does not know what is wanted: None too where nothing has begun, or
        has been finished.
        """
        finished = (self.folder / "ready.json").exists()
        return None if finished or self.progress() is None else self.told(now_ns)

    def _wait_seconds(self, progress: SetUp, now_ns: int) -> float:
        """Seconds until the next attempt after a failure."""
        if not progress.failures:
            return 0.0
        pause = RETRY_SECONDS[min(progress.failures, len(RETRY_SECONDS)) - 1]
        return pause - (now_ns / 1e9 - parse_ts(progress.at).timestamp())


def _minutes(count: int) -> str:
    return "minute" if count == 1 else "minutes"


def wanted_in(version: str, target: str) -> tuple[str, str]:
    """The extras that a worker for this warehouse needs, and the name of what is wanted."""
    extras = "render,snowflake" if target == "snowflake" else "render,worker"
    return extras, f"cdesk {version} [{extras}]"


def moment(now_ns: int) -> str:
    """The moment as `SetUp` keeps it."""
    return format_ts(now_ns)
