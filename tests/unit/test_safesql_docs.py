"""docs/safesql.md keeps up with the project: every template, and what a result holds."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from cdesk.artifacts import formats as artifacts
from cdesk.artifacts import values
from cdesk.artifacts.local import ABANDONED_SECONDS
from cdesk.artifacts.records import RETENTION_DAYS
from cdesk.query import evidence
from cdesk.query import executor as results
from cdesk.state import tickets
from uploader.uploader import Uploader

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "safesql.md").read_text(encoding="utf-8")
TEMPLATES = sorted(path.stem for path in (ROOT / "analyses" / "safesql").glob("*.sql"))


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_is_on_the_page(name: str) -> None:
    assert re.search(rf"`{name}[(`]", PAGE)


def test_every_name_in_the_table_is_a_template() -> None:
    rows = re.findall(r"^\| (`.*?) \| (?:customer|caller|org) \|", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)", row)}
    assert named == set(TEMPLATES)


def test_the_figures_on_the_page_are_those_of_the_code() -> None:
    assert f"{int(results.TIMEOUT_SECONDS)} s a query" in PAGE
    assert f"for {int(results.PATIENCE_SECONDS)} s" in PAGE
    assert f"within {tickets.EXPIRY_SECONDS // 60} min" in PAGE
    assert f"ticket {tickets.KEEP_DAYS} days" in PAGE
    assert f"({tickets.BYTE_CAP_DEFAULT // 2**20} MiB unless" in PAGE
    assert f"over {values.PREVIEW_CELL:,} characters" in PAGE
    assert f"{evidence.VALUE_CELLS:,} cells and {evidence.VALUE_BYTES // 1024} KiB" in PAGE
    assert f"over {artifacts.MAX_RESULT_BYTES // 2**30} GiB" in PAGE


def test_the_page_of_contracts_says_how_long_things_are_kept() -> None:
    page = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
    archive_days = inspect.signature(Uploader).parameters["keep_days"].default
    for row in (
        f"| a ticket in `state.db` | {tickets.KEEP_DAYS} days after it ended |",
        f"asked again | {RETENTION_DAYS} days, or as soon as",
        f"has expired ({RETENTION_DAYS} days after it was stored)",
        f"| {ABANDONED_SECONDS // 3600} hours after the last write |",
        f"| a landed queue file in the archive | {archive_days:.0f} days;",
    ):
        assert row in page, row
