"""docs/metrics.md holds the list of metrics as it is."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from cdesk.core.metrics import METRICS, OTHER

PAGE = Path(__file__).resolve().parents[4] / "docs" / "metrics.md"
PART = re.compile(r"(<!-- metrics: begin -->\n).*?(<!-- metrics: end -->)", re.DOTALL)


def listed() -> str:
    rows = ["| metric | type | unit | labels | what it says |", "|---|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
        rows.append(
            f"| `{metric.name}` | {metric.kind} | {metric.unit or '–'} | {labels} | {metric.help} |"
        )
    return "\n".join(rows) + "\n"


@pytest.mark.snapshot
def test_the_page_holds_every_metric() -> None:
    text = PAGE.read_text(encoding="utf-8")
    wanted = PART.sub(lambda match: match[1] + listed() + match[2], text)
    if os.environ.get("UPDATE_SNAPSHOT"):
        PAGE.write_text(wanted, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == wanted
    assert f"`{OTHER}`" in text
