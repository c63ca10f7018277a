"""What a process has imported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


def modules_after(code: str, environ: Mapping[str, str] | None = None) -> set[str]:
    """The names of modules that `code` prints, in a Python of its own that nobody measures: what
    measures it imports modules, too.
    """
    given = os.environ if environ is None else environ
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=ROOT,
        env={name: value for name, value in given.items() if not name.startswith("COVERAGE_")},
    )
    return set(run.stdout.split())
