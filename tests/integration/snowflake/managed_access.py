"""Who may grant on what stands in a schema of managed access: its owner, or who manages the account's
grants; never the owner of the object.
https://docs.snowflake.com/en/user-guide/security-access-control-configure
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

_PAGE = "https://docs.snowflake.com/en/user-guide/security-access-control-configure"
_MANAGES_GRANTS = ("ACCOUNTADMIN", "SECURITYADMIN")
_NAME = r"(?P<name>[\w$.\"]+)"
_MADE = re.compile(
    rf"\s*(create\s+schema\s+(if\s+not\s+exists\s+)?{_NAME}\s+with|alter\s+schema\s+(?P<old>[\w$.\"]+)"
    r"\s+enable)\s+managed\s+access",
    re.IGNORECASE,
)
_OWNED = re.compile(
    rf"\s*grant\s+ownership\s+on\s+schema\s+{_NAME}\s+to\s+role\s+(?P<role>\w+)", re.IGNORECASE
)
_GRANTED = re.compile(
    r"\s*(?:grant|revoke)\s+[\w\s,]+?\s+on\s+(?:future\s+\w+\s+in\s+schema\s+(?P<schema>[\w$.\"]+)|"
    r"(?:table|view|semantic\s+view|procedure|function|pipe|mcp\s+server|(?:masking|row\s+access)\s+policy)"
    rf"\s+{_NAME})",
    re.IGNORECASE,
)


@dataclass
class ManagedAccess:
    owners: dict[str, str] = field(default_factory=dict)
    """DATABASE.SCHEMA of managed access → the role that owns it."""

    def refusal(self, statement: str, role: str, full: Callable[[str], str]) -> str | None:
        """Why `role` may not grant so, and None where it may. `full` makes DATABASE.SCHEMA.NAME of
        a name.
        """
        if found := _MADE.match(statement):
            self.owners.setdefault(_schema(found["name"] or found["old"]), role)
        elif found := _OWNED.match(statement):
            if (name := _schema(found["name"])) in self.owners:
                self.owners[name] = found["role"].upper()
        elif found := _GRANTED.match(statement):
            schema = _schema(found["schema"] or full(found["name"]).rpartition(".")[0])
            owner = self.owners.get(schema)
            if owner is not None and role not in (owner, *_MANAGES_GRANTS):
                return (
                    f"SQL access control error: Insufficient privileges to grant in the managed "
                    f"access schema {schema}, which {owner} owns; this session is {role}'s [{_PAGE}]"
                )
        return None


def _schema(name: str) -> str:
    return name.replace('"', "").upper()
