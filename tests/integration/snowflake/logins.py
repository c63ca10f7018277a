"""Which authentication and network policy a user logs in by, and what can't be dropped meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

_DROP_AUTHENTICATION = "https://docs.snowflake.com/en/sql-reference/sql/drop-authentication-policy"
_DROP_NETWORK = "https://docs.snowflake.com/en/sql-reference/sql/drop-network-policy"
_NAME = r"\"?(?P<name>[\w$.]+)\"?"
_USER = (
    r"\s*(?P<verb>create|alter|drop)\s+user\s+(?:if\s+(?:not\s+)?exists\s+)?"
    rf"{_NAME}\s*(?P<rest>.*)"
)
_POLICY = (
    r"\s*(?P<verb>create|drop)\s+(?P<kind>authentication|network)\s+policy\s+"
    rf"(?:if\s+(?:not\s+)?exists\s+)?{_NAME}"
)
_SHOW = r"\s*show\s+authentication\s+policies\s+like\s+'(?P<name>\w+)'\s+in\s+account"
_REFERENCES = (
    r"select\s+ref_entity_name\s+from\s+table\(.*policy_references\(\s*policy_name\s*=>\s*"
    r"'(?P<name>[\w.]+)'\s*\)\s*\)\s*where\s+ref_entity_domain\s*=\s*'USER'"
)
_DROP_DATABASE = rf"\s*drop\s+database\s+(?:if\s+exists\s+)?{_NAME}"


class Refused(Exception):
    """What the account answers, with the page that says so."""


@dataclass
class Logins:
    users: dict[str, dict[str, str]] = field(default_factory=dict)
    """user → disabled, authentication, network"""
    policies: dict[str, set[str]] = field(
        default_factory=lambda: {"authentication": set(), "network": set()}
    )

    def answer(self, statement: str, full: Callable[[str], str]) -> str | None:
        """The rows that answer a statement as SQL, "" for none; None where it isn't about logins.
        `full` makes DATABASE.SCHEMA.NAME of a name.

        Raises:
            Refused: something is still in use.
        """
        if found := re.match(_USER, statement, re.IGNORECASE | re.DOTALL):
            if found["verb"].lower() == "drop":
                self.users.pop(found["name"].upper(), None)
            else:
                self._user(found["name"].upper(), " ".join(found["rest"].split()), full)
            return ""
        if found := re.match(_POLICY, statement, re.IGNORECASE):
            self._policy(found["verb"].lower(), found["kind"].lower(), found["name"], full)
            return ""
        if found := re.match(_SHOW, statement, re.IGNORECASE):
            names = [
                name.split(".")
                for name in self.policies["authentication"]
                if name.endswith("." + found["name"].upper())
            ]
            rows = [f"('{name}', '{database}', '{schema}')" for database, schema, name in names]
            return _rows(rows, '"name", "database_name", "schema_name"')
        if found := re.search(_REFERENCES, " ".join(statement.split()), re.IGNORECASE):
            policy = full(found["name"])
            users = [u for u, said in self.users.items() if said.get("authentication") == policy]
            return _rows([f"('{user}')" for user in users], "ref_entity_name")
        if found := re.match(_DROP_DATABASE, statement, re.IGNORECASE):
            self._database(found["name"].upper() + ".")
        return None

    def _user(self, user: str, rest: str, full: Callable[[str], str]) -> None:
        said = self.users.setdefault(user, {})
        for name, value in re.findall(r"\b(disabled|network_policy) = (\w+)", rest, re.IGNORECASE):
            said[name.lower().removesuffix("_policy")] = value.upper()
        if found := re.match(r"set authentication policy ([\w.]+)", rest, re.IGNORECASE):
            said["authentication"] = full(found[1])
        if found := re.match(r"unset (authentication|network)[ _]policy", rest, re.IGNORECASE):
            said.pop(found[1].lower(), None)

    def _policy(self, verb: str, kind: str, name: str, full: Callable[[str], str]) -> None:
        name = full(name) if kind == "authentication" else name.upper()
        if verb == "create":
            self.policies[kind].add(name)
            return
        for user, said in self.users.items():
            if said.get(kind) == name:
                page = _DROP_NETWORK if kind == "network" else _DROP_AUTHENTICATION
                raise Refused(f"Cannot drop {kind} policy {name}: it is set on {user} [{page}]")
        self.policies[kind].discard(name)

    def _database(self, prefix: str) -> None:
        for user, said in self.users.items():
            if (policy := said.get("authentication", "")).startswith(prefix):
                raise Refused(
                    f"Cannot drop database because policy '{policy}' is set on user '{user}'. "
                    f"Unset the policy and then try the drop operation again "
                    f"[{_DROP_AUTHENTICATION}]"
                )
        kept = {name for name in self.policies["authentication"] if not name.startswith(prefix)}
        self.policies["authentication"] = kept


def _rows(rows: list[str], columns: str) -> str:
    if not rows:
        nulls = ", ".join(f"null::varchar as {column}" for column in columns.split(", "))
        return f"select {nulls} where false"
    return f"select * from (values {', '.join(rows)}) as r ({columns})"
