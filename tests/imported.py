"""What a process has imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


def modules_after(code: str, environ: Mapping[str, str] | None = None) -> set[str]:
    """The names of modules that `code` prints, in a Python of its own."""
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=ROOT,
        env=environ,
    )
    return set(run.stdout.split())
