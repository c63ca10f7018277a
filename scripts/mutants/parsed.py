"""Imported by the process that forks runs of tests of SQL: dbt, and this project's macros as they
are without a mutant, so that a run takes the text of one file and parses nothing.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

from scripts.mutants.first_round import take_text
from tests.unit.activity_schema import rendering

with tempfile.TemporaryDirectory() as _folder, warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for _engine in rendering.ENGINES:
        rendering.Renderer(Path(_folder) / _engine, _engine)


def take(file: str, text: str) -> None:
    """Put the text that a file has now in place of its parsed one."""
    for manifest in rendering.parsed.values():
        take_text(manifest, file, text)
