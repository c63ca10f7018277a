"""Files that are kept beside a test and compared with what the code makes now."""

from __future__ import annotations

import os
from pathlib import Path

RENEWED_BY = "make snapshots"


def assert_kept(path: Path, found: str) -> None:
    """Compare `found` with the kept file; with UPDATE_SNAPSHOT set, renew the file instead.

    Mark the test with `snapshot`, so that `make snapshots` runs it.
    """
    if os.environ.get("UPDATE_SNAPSHOT"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    assert found == kept, (
        f"{path.name} is another now: '{RENEWED_BY}' renews it; "
        "read the difference before you commit it"
    )
