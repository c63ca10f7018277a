"""The pages that name a proof for each rule name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("activityschema.md", "requirements.md")


def proofs(page: str) -> list[tuple[str, str | None]]:
    """File and test of every proof that a page names."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [
        (file, name or None) for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_proof_that_a_page_names_exists(page: str) -> None:
    named = proofs(page)
    assert named
    missing = [
        (file, name)
        for file, name in named
        if not (ROOT / file).is_file()
        or (name and f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8"))
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_every_row_of_a_page_of_proofs_has_one(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    heads = ("| rule |", "| target |")
    bare = [
        row
        for row in rows
        if not row.startswith(heads) and not re.search(r"tests/|bench|make ", row)
    ]
    assert bare == []
