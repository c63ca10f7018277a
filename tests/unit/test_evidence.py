"""Which templates prove nothing is said twice, in their `meta` and in a macro that the memory is
judged by: the two agree.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def templates() -> dict[str, dict[str, object]]:
    """Name → meta."""
    found: dict[str, dict[str, object]] = {}
    for path in (ROOT / "analyses" / "safesql").glob("*.yml"):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["analyses"]:
            found[entry["name"]] = entry["config"]["meta"]
    return found


def test_the_macro_lists_the_templates_that_say_they_are_no_evidence() -> None:
    text = (ROOT / "macros" / "safesql" / "templates_without_evidence.sql").read_text(
        encoding="utf-8"
    )
    listed = re.findall(r"'(\w+)'", text.partition("macro templates_without_evidence")[2])
    assert listed == sorted(
        name for name, meta in templates().items() if meta.get("evidence") is False
    )


def test_a_template_that_shows_what_callers_wrote_is_no_evidence() -> None:
    """Insights' values, details, links: each template that selects one says so."""
    written = re.compile(
        r"^\s+(?:value|_feature_json as \w+|.* as feature_value|link|raw),?$", re.MULTILINE
    )
    metas = templates()
    for path in (ROOT / "analyses" / "safesql").glob("*.sql"):
        text = path.read_text(encoding="utf-8")
        single = "relationship_template" in text and "aggregate_" not in text
        if single or written.search(text):
            assert metas[path.stem].get("evidence") is False, path.stem
