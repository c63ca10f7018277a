"""Claude Code's transcripts: `projects/<slug>/<session>.jsonl`, and those of sub-agents beneath."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from uploader.sources.folders import files_under
from uploader.sources.protocol import Findings, HistoryFile

NO_SESSIONS: Final = frozenset(("tool-results", "workflows"))


class ClaudeCode:
    """`roots`: `projects` folders. `titles`: of sessions that Claude Desktop started, by session
    id; they are told to be the desktop's.
    """

    name = "claude_code"

    def __init__(self, *roots: Path, titles: Mapping[str, str | None] | None = None) -> None:
        self._roots = roots
        self._titles = titles or {}

    def discover(self, findings: Findings) -> Iterator[HistoryFile]:
        seen: set[str] = set()
        for root in self._roots:
            for path in files_under(root, findings, suffix=".jsonl", skip=NO_SESSIONS):
                if path.name == "audit.jsonl" or str(path) in seen:
                    continue
                seen.add(str(path))
                session = path.stem
                yield HistoryFile(
                    path,
                    "claude_code",
                    "claude_desktop" if session in self._titles else "claude_code",
                    title=self._titles.get(session),
                )
