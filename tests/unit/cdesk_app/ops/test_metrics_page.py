"""docs/metrics.md holds the lists of metrics and alerts as they are."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from cdesk.core.metrics import METRICS, OTHER
from cdesk_app.ops.alerts import ALERTS

PAGE = Path(__file__).resolve().parents[4] / "docs" / "metrics.md"


def part(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)


def alerts() -> str:
    rows = ["| alert | severity | fires when | for | runbook |", "|---|---|---|---|---|"]
    rows += [
        f"| `{one.name}` | {one.severity} | {one.summary} | {one.lasting} | {one.runbook} |"
        for one in ALERTS
    ]
    return "\n".join(rows) + "\n"


def listed() -> str:
    rows = ["| metric | type | unit | labels | what it says |", "|---|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
        rows.append(
            f"| `{metric.name}` | {metric.kind} | {metric.unit or '–'} | {labels} | {metric.help} |"
        )
    return "\n".join(rows) + "\n"


@pytest.mark.snapshot
def test_the_page_holds_every_metric_and_alert() -> None:
    text = PAGE.read_text(encoding="utf-8")
    wanted = part("metrics").sub(lambda match: match[1] + listed() + match[2], text)
    wanted = part("alerts").sub(lambda match: match[1] + alerts() + match[2], wanted)
    if os.environ.get("UPDATE_SNAPSHOT"):
        PAGE.write_text(wanted, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == wanted
    assert f"`{OTHER}`" in text
