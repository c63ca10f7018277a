"""Claude Desktop's Code tab: `claude-code-sessions/<account>/<org>/local_*.json` name the sessions
whose transcripts lie among Claude Code's.
"""

from __future__ import annotations

from pathlib import Path

from uploader.sources.folders import files_under, read_document, text_of
from uploader.sources.protocol import Findings

FOLDER = "claude-code-sessions"


def code_tab_titles(*folders: Path, findings: Findings) -> dict[str, str | None]:
    """Session id → title, of the sessions that the Code tab started; `folders` are Claude Desktop's
    data folders.
    """
    titles: dict[str, str | None] = {}
    for folder in folders:
        for path in files_under(folder / FOLDER, findings, suffix=".json"):
            if not path.name.startswith("local_"):
                continue
            document = read_document(path, findings)
            if session := text_of(document, "cliSessionId"):
                titles[session] = text_of(document, "title")
    return titles
