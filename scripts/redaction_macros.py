"""Writes what dbt needs of cdesk/contract/redaction into macros/redaction: the list of patterns,
which DuckDB runs as SQL, and the modules themselves as one text, which Snowflake runs inside its
functions. A test holds the written files to the modules.

    python scripts/redaction_macros.py
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "macros" / "redaction"
PACKAGE = "cdesk.contract.redaction"
MODULES = ROOT / "cdesk" / "contract" / "redaction"


def files() -> dict[Path, str]:
    """Path → text of each written file."""
    return {
        FOLDER / "redaction_passes.sql": _passes(),
        FOLDER / "redaction_python.sql": _python(),
    }


def _passes() -> str:
    from cdesk.contract.redaction.checks import ISSUERS
    from cdesk.contract.redaction.lookalikes import ANY_WRITTEN, IS_LATIN, MEANT, WORD, WRITTEN
    from cdesk.contract.redaction.passes import PASSES

    lines = [
        "{# Written by scripts/redaction_macros.py from cdesk/contract/redaction. #}",
        "{% macro redaction_passes() -%}",
        "    {{ return([",
    ]
    for rules in PASSES:
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
        "{# Letters that look like others, and what they are meant for. #}",
        "{% macro _redaction_lookalikes() -%}",
        "    {{ return({",
        f"        'written': {WRITTEN!a},",
        f"        'meant': {MEANT!a},",
        f"        'any_written': {ANY_WRITTEN!a},",
        f"        'word': {WORD!a},",
        f"        'is_latin': {IS_LATIN!a},",
        "    }) }}",
        "{%- endmacro %}",
        "",
        "{# The prefixes and lengths of payment cards, as one pattern. #}",
        "{% macro _redaction_issuers() -%}",
        f"    {{{{ return({ISSUERS!a}) }}}}",
        "{%- endmacro %}",
        "",
    ]
    return "\n".join(lines)


def _python() -> str:
    source = as_one_module()
    if "$$" in source or "endraw" in source:
        raise ValueError("the modules cannot stand inside a function: they hold $$ or endraw")
    return (
        "{# Written by scripts/redaction_macros.py: the modules of cdesk/contract/redaction, one "
        "after another. #}\n"
        "{% macro redaction_python() -%}\n{% raw -%}\n"
        + source
        + "{%- endraw %}\n{%- endmacro %}\n"
    )


def as_one_module() -> str:
    """The modules one after another, each behind those that it imports, without the imports that
    join them.

    Raises:
        ValueError: two modules define the same name.
    """
    parts: list[str] = []
    homes: dict[str, str] = {}
    for name in _in_order():
        source = (MODULES / f"{name}.py").read_text(encoding="utf-8")
        tree = ast.parse(source)
        for defined in _defined(tree):
            if homes.setdefault(defined, name) != name:
                raise ValueError(f"{homes[defined]}.py and {name}.py both define {defined}")
        lines = source.splitlines()
        for node in ast.walk(tree):
            if _is_dropped(node):
                for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                    lines[number - 1] = ""
        parts.append(f"# {name}.py\n" + "\n".join(lines).strip("\n"))
    return "from __future__ import annotations\n\n" + "\n\n\n".join(parts) + "\n"


def _in_order() -> list[str]:
    names: list[str] = []

    def add(name: str) -> None:
        source = (MODULES / f"{name}.py").read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE + "."):
                add((node.module or "").rpartition(".")[2])
        if name not in names:
            names.append(name)

    for path in sorted(MODULES.glob("[!_]*.py")):
        add(path.stem)
    return names


def _is_dropped(node: ast.AST) -> bool:
    """Whether a line joins the modules, or may stand but once, before all others."""
    return isinstance(node, ast.ImportFrom) and (
        node.module == "__future__" or (node.module or "").startswith(PACKAGE)
    )


def _defined(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
