"""Looking through folders that others own: never out of the tree by a link, and never stopped by
one entry.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson

from uploader.sources.protocol import Findings

DEEPEST: Final = 12
LINK: Final = "a link, and none is followed"
_MOST_BYTES: Final = 4 * 1024 * 1024


def files_under(
    root: Path, findings: Findings, *, suffix: str, skip: frozenset[str] = frozenset()
) -> Iterator[Path]:
    """Regular files whose names end in `suffix`, in the order of their names. Folders named in
    `skip` are passed by, and links and pipes, which are named in `findings`.
    """
    yield from _walk(root, findings, suffix, skip, DEEPEST)


def _walk(
    folder: Path, findings: Findings, suffix: str, skip: frozenset[str], levels: int
) -> Iterator[Path]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        return
    except OSError as error:
        findings.unreadable_entry(folder, error)
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in skip and levels > 1:
                    yield from _walk(Path(entry.path), findings, suffix, skip, levels - 1)
            elif entry.is_symlink():
                if entry.name not in skip and (entry.name.endswith(suffix) or entry.is_dir()):
                    findings.passed_by_entry(Path(entry.path), LINK)
            elif entry.name.endswith(suffix):
                if entry.is_file(follow_symlinks=False):
                    yield Path(entry.path)
                else:
                    findings.passed_by_entry(Path(entry.path), "no regular file")
        except OSError as error:
            findings.unreadable_entry(Path(entry.path), error)


def read_document(path: Path, findings: Findings) -> dict[str, object]:
    """The JSON object in a small file; empty where it holds none."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            findings.note("a session's description is too large")
            return {}
        value = orjson.loads(path.read_bytes())
    except OSError as error:
        findings.unreadable_entry(path, error)
        return {}
    except ValueError:
        findings.bad_lines["a session's description is no JSON"] += 1
        return {}
    return value if isinstance(value, dict) else {}


def text_of(document: dict[str, object], key: str) -> str | None:
    value = document.get(key)
    return value if isinstance(value, str) and value else None
