"""What Snowflake refuses though DuckDB, behind the stand-in, would run it. Each refusal names the
vendor's page that says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Refusal:
    """A form that the account refuses, with the code that it answers and the page that says so."""

    name: str
    page: str
    message: str
    errno: int
    sqlstate: str
    is_refused: Callable[[str], bool]

    @property
    def text(self) -> str:
        return f"SQL compilation error: {self.message} [{self.page}]"


_CTAS = re.compile(
    r"\s*create\s+(or\s+replace\s+)?((transient|temporary|temp)\s+)*table\s+"
    r"(if\s+not\s+exists\s+)?[\w$.\"]+\s*(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)


def clusters_without_columns(statement: str) -> bool:
    """Whether a `create table … as` is clustered without a list of column definitions."""
    found = _CTAS.match(statement)
    if found is None:
        return False
    rest = found["rest"]
    head = re.split(r"\bas\b", _outside_parentheses(rest), maxsplit=1, flags=re.IGNORECASE)
    is_query = len(head) == 2
    return (
        is_query and re.search(r"\bcluster\s+by\b", head[0], re.IGNORECASE) is not None
    ) and not rest.lstrip().startswith("(")


def _outside_parentheses(text: str) -> str:
    kept, depth = [], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth == 0 and character != ")":
            kept.append(character)
    return "".join(kept)


REFUSALS: Final = (
    Refusal(
        "ctas_cluster_by_needs_columns",
        "https://docs.snowflake.com/en/sql-reference/sql/create-table"
        "#create-table-as-select-also-referred-to-as-ctas",
        "column definitions are required where a clustering key is given in a CTAS",
        2262,
        "42601",
        clusters_without_columns,
    ),
)


def refusal_of(statement: str) -> Refusal | None:
    """The first refusal that a statement meets."""
    return next((one for one in REFUSALS if one.is_refused(statement)), None)
