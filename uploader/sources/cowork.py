"""Cowork, Claude Desktop's local agent mode: `local-agent-mode-sessions/<org>/<account>/local_*`,
each a description and a folder with the transcript and the agent SDK's `audit.jsonl`, the same
conversation a second time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from uploader.sources.claude_code import NO_SESSIONS
from uploader.sources.folders import files_under, read_document, text_of
from uploader.sources.protocol import Findings, HistoryFile

FOLDER = "local-agent-mode-sessions"


class Cowork:
    """`folders` are Claude Desktop's data folders, or folders of sessions themselves."""

    name = "cowork"

    def __init__(self, *folders: Path) -> None:
        self._folders = folders

    def discover(self, findings: Findings) -> Iterator[HistoryFile]:
        for folder in self._folders:
            root = folder / FOLDER if folder.name != FOLDER else folder
            paths = list(files_under(root, findings, suffix=".jsonl", skip=NO_SESSIONS))
            homes = [_session_folder(path, root) for path in paths]
            transcribed = {
                home for path, home in zip(paths, homes, strict=True) if path.name != "audit.jsonl"
            }
            for path, home in zip(paths, homes, strict=True):
                document = (
                    read_document(home.with_name(home.name + ".json"), findings)
                    if home is not None
                    else {}
                )
                yield HistoryFile(
                    path,
                    "cowork",
                    "cowork",
                    title=text_of(document, "title"),
                    session_id=text_of(document, "cliSessionId"),
                    audit=path.name == "audit.jsonl",
                    alone=home not in transcribed,
                )


def _session_folder(path: Path, root: Path) -> Path | None:
    """The folder `local_<id>` that a file lies in, the innermost."""
    for parent in path.parents:
        if parent.name.startswith("local_"):
            return parent if parent.with_name(parent.name + ".json").is_file() else None
        if parent == root:
            return None
    return None
