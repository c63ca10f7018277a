"""Writes what dbt needs of cdesk/contract/redaction.py into macros/redaction: the list of patterns,
which DuckDB runs as SQL, and the module itself, which Snowflake runs inside its functions. A test
holds the written files to the module.

    python scripts/redaction_macros.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "macros" / "redaction"
MODULE = ROOT / "cdesk" / "contract" / "redaction.py"


def files() -> dict[Path, str]:
    """Path → text of each written file."""
    return {
        FOLDER / "redaction_passes.sql": _passes(),
        FOLDER / "redaction_python.sql": _python(),
    }


def _passes() -> str:
    from cdesk.contract import redaction

    lines = [
        "{# Written by scripts/redaction_macros.py from cdesk/contract/redaction.py. #}",
        "{% macro redaction_passes() -%}",
        "    {{ return([",
    ]
    for rules in redaction.PASSES:
        lines.append("        [")
        lines += [
            "            "
            + ", ".join(
                (
                    f"{{'label': {rule.label!a}",
                    f"'pattern': {rule.pattern!a}",
                    f"'becomes': {rule.becomes!a}",
                    f"'check': {rule.check!a}}},",
                )
            )
            for rule in rules
        ]
        lines.append("        ],")
    lines += [
        "    ]) }}",
        "{%- endmacro %}",
        "",
        "{# The prefixes and lengths of payment cards, as one pattern. #}",
        "{% macro _redaction_issuers() -%}",
        f"    {{{{ return({redaction.ISSUERS!a}) }}}}",
        "{%- endmacro %}",
        "",
    ]
    return "\n".join(lines)


def _python() -> str:
    source = MODULE.read_text(encoding="utf-8")
    if "$$" in source or "endraw" in source:
        raise ValueError("the module cannot stand inside a function: it holds $$ or endraw")
    return (
        "{# Written by scripts/redaction_macros.py: cdesk/contract/redaction.py, word for "
        "word. #}\n"
        "{% macro redaction_python() -%}\n{% raw -%}\n"
        + source
        + "{%- endraw %}\n{%- endmacro %}\n"
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
