"""Writes what follows from the seed activity_features: the macro that the views and
`customer_stream` read, the module that the turn path checks by, and the table of
docs/feature_json.md. A test holds the written files to the seed.

    python scripts/activity_features.py
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEED = ROOT / "seeds" / "activity_features.csv"
MACRO = ROOT / "macros" / "contract" / "activity_features.sql"
MODULE = ROOT / "cdesk" / "contract" / "activity_features.py"
PAGE = ROOT / "docs" / "feature_json.md"
_WIDTH = 100
_TABLE = "| activity | key | type | set by | what it says |\n|---|---|---|---|---|\n"


def rows() -> list[dict[str, str]]:
    """The seed's rows, in its order."""
    with SEED.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files() -> dict[Path, str]:
    """Path → text of each written file."""
    types: dict[str, dict[str, str]] = {}
    for row in rows():
        types.setdefault(row["activity"], {})[row["key"]] = row["type"]
    page = PAGE.read_text(encoding="utf-8")
    return {
        MACRO: "".join(_macro(types)),
        MODULE: "".join(_module(types)),
        PAGE: page.partition(_TABLE)[0] + _TABLE + "".join(_table()),
    }


def _macro(types: dict[str, dict[str, str]]) -> Iterator[str]:
    yield (
        "{#\n"
        "    The keys of `feature_json` that each activity of the vocabulary declares, with their\n"
        "    types. A key may be missing in a record.\n"
        "    Written by scripts/activity_features.py from the seed of this name.\n"
        "#}\n"
        "{% macro activity_features() -%}\n"
        "    {{ return({\n"
    )
    for activity, keys in types.items():
        yield f"        '{activity}': {{\n"
        line = " " * 11
        for key, kind in keys.items():
            pair = f" '{key}': '{kind}',"
            if len(line) + len(pair) > _WIDTH:
                yield line + "\n"
                line = " " * 11
            line += pair
        yield line + "\n        },\n"
    yield "    }) }}\n{%- endmacro %}\n"


def _module(types: dict[str, dict[str, str]]) -> Iterator[str]:
    yield (
        '"""The keys of `feature_json` that each activity of the vocabulary declares, with their\n'
        "types. Written by scripts/activity_features.py from the seed of this name.\n"
        '"""\n\n'
        "from __future__ import annotations\n\n"
        "from typing import Final, Literal\n\n"
        'FeatureType = Literal["string", "integer", "number", "boolean", "object"]\n\n'
        "ACTIVITY_FEATURES: Final[dict[str, dict[str, FeatureType]]] = {\n"
    )
    for activity, keys in types.items():
        yield f'    "{activity}": {{\n'
        for key, kind in keys.items():
            yield f'        "{key}": "{kind}",\n'
        yield "    },\n"
    yield "}\n"


def _table() -> Iterator[str]:
    for row in rows():
        yield "| `{activity}` | `{key}` | {type} | {set_by} | {description} |\n".format(**row)


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
