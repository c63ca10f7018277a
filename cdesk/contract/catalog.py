"""The SafeSQL catalog: the only SQL that can run, and what may be bound into it
(docs/contracts.md).
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from cdesk.contract.records import (
    ACTIVITY_PATTERN,
    INT64_MAX,
    INT64_MIN,
    check_activity_name,
    proof_hash,
)
from cdesk.contract.redaction import redact_fields
from cdesk.contract.vocabulary import SHED_PRIORITY
from cdesk.core.checks import nearest
from cdesk.core.clock import parse_ts
from cdesk.core.config import zone_named
from cdesk.core.errors import (
    CatalogError,
    CatalogPending,
    ConfigurationError,
    InvalidField,
    NotFound,
    shown,
)
from cdesk.core.identity import ANALYST, Caller

Scope = Literal["customer", "caller", "org"]
Basis = Literal["system", "reported", "row"]
"""Whose word a column's values are: the system's, which recorded what is behind them; reported by
the model or a source that was brought in; or as each row says in its column `basis`.
"""
BASIS_COLUMN: Final = "basis"
TYPES: Final = (
    "string",
    "integer",
    "number",
    "boolean",
    "timestamp",
    "date",
    "enum",
    "activity",
    "uuid",
    "timezone",
)
"""Parameter types; `list[<type>]` is a list of one of them."""
FORMS: Final = {
    "boolean": "true or false",
    "activity": f"text that matches {ACTIVITY_PATTERN}, such as cdesk.user_asked",
    "timestamp": "RFC 3339 with an offset, such as 2026-01-31T12:00:00Z",
    "date": "such as 2026-01-31",
    "uuid": "36 lower-case characters, such as 0190a5f0-0000-7000-8000-000000000000",
    "timezone": "a name of the IANA time zone database, such as Europe/Berlin",
}
"""Type → what a value of it looks like."""
CATALOG_VERSION: Final = 1
NEWER_CATALOG: Final = "catalog.json was written by a newer cdesk; upgrade this one"
IDENTITY_BINDS: Final = ("customer", "is_analyst")
"""Binds that always come from the caller's identity, never from an argument."""
LEAST_CUSTOMERS: Final = "least_customers"
"""What an answer goes by from which rows of fewer customers are left out (not a bind)."""
NO_CUSTOMERS: Final = "none"
"""`customers_behind_row` of a template whose rows are figures of the system itself."""
MAX_STRING: Final = 1_000
MAX_LIST: Final = 100
MAX_PARAMS_BYTES: Final = 64 * 1024
"""All parameters of a call together, as JSON: they stand in its `query_run` record, which is one
line of bounded length.
"""
_EXACT: Final = 2**53
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}\Z")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


def nearest_activity(value: str) -> str | None:
    """The name in the vocabulary that is most like this one, compared without the part before the
    dot; None where none is like it.
    """
    wanted = value[:100].lower().rpartition(".")[2]
    known = {name.rpartition(".")[2]: name for name in SHED_PRIORITY}
    near = nearest(wanted, known, cutoff=0.75)
    return known[near] if near is not None else None


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a template. `min`/`max` bound numbers (or a list's length), `values` an
    enum, `max_length` a string.
    """

    name: str
    type: str
    description: str = ""
    required: bool = True
    default: Any = None
    min: float | int | None = None
    max: float | int | None = None
    max_length: int | None = None
    values: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """What is allowed, for an error message: a form and an example where the type's name alone
        does not say.
        """
        scalar = self.type.removeprefix("list[").removesuffix("]")
        form = FORMS.get(scalar)
        return self.brief if form is None else f"{self.brief}: {form}"

    @property
    def brief(self) -> str:
        """Type and bounds, for a list of many parameters; FORMS says what the types are."""
        text = self.type
        if self.values:
            text = "one of " + ", ".join(self.values)
        if self.min is not None or self.max is not None:
            unit = " items" if self.type.startswith("list[") else ""
            text += (
                f" from {self.min} to {self.max}{unit}"
                if self.max is not None
                else f" of at least {self.min}{unit}"
            )
        if self.type in ("string", "list[string]"):
            text += f" of at most {self.max_length or MAX_STRING} characters"
        return text

    def check(self, value: Any) -> Any:
        """The value as it will be bound.

        Raises:
            InvalidField: naming the parameter, what was given and what is allowed.
        """
        if self.type.startswith("list["):
            if not isinstance(value, list):
                raise self._refused(value)
            low = 1 if self.min is None else int(self.min)
            high = MAX_LIST if self.max is None else int(self.max)
            if not low <= len(value) <= high:
                raise InvalidField(self.name, _items(len(value)), f"{low} to {high} items")
            return [self._scalar(self.type[5:-1], item, bounded=False) for item in value]
        return self._scalar(self.type, value, bounded=True)

    def _refused(self, value: Any) -> InvalidField:
        return InvalidField(self.name, f"{shown(value)} is not allowed", self.allowed)

    def _check_activity(self, value: str) -> None:
        """Refuse what is no name of an activity, suggesting the nearest known one."""
        try:
            check_activity_name(value)
        except ValueError:
            near = nearest_activity(value)
            hint = f" (did you mean {near}?)" if near else ""
            raise InvalidField(
                self.name, f"{shown(value)} is not allowed{hint}", self.allowed
            ) from None

    def _check_timezone(self, value: str) -> None:
        try:
            if not _ZONE.match(value):
                raise self._refused(value)
            zone_named(value)
        except ConfigurationError:
            raise self._refused(value) from None

    def _scalar(self, kind: str, value: Any, *, bounded: bool) -> Any:
        if kind == "boolean":
            if not isinstance(value, bool):
                raise self._refused(value)
            return value
        if kind == "integer" and isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON knows one kind of number
        if kind in ("integer", "number"):
            wanted = int if kind == "integer" else int | float
            if isinstance(value, bool) or not isinstance(value, wanted):
                raise self._refused(value)
            if isinstance(value, float) and not math.isfinite(value):
                raise self._refused(value)
            if isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX:
                raise self._refused(value)
            if bounded and (
                (self.min is not None and value < self.min)
                or (self.max is not None and value > self.max)
            ):
                raise self._refused(value)
            if kind == "number" and abs(value) <= _EXACT:
                return float(value) + 0.0  # 24, 24.0 and -0.0, 0.0: one question, one query_hash
            return value
        if not isinstance(value, str):
            raise self._refused(value)
        if len(value) > (self.max_length or MAX_STRING):
            raise InvalidField(
                self.name,
                f"{len(value):,} characters",
                f"at most {self.max_length or MAX_STRING:,}",
            )
        if "\x00" in value:
            raise InvalidField(self.name, "holds a null character", "text without it")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidField(
                self.name, "holds a lone surrogate", "text that UTF-8 can carry"
            ) from None
        if kind == "enum" and value not in self.values:
            raise self._refused(value)
        if kind == "uuid" and not _UUID.match(value):
            raise self._refused(value)
        if kind == "timezone":
            self._check_timezone(value)
        try:
            if kind == "activity":
                self._check_activity(value)
            elif kind == "date":
                return date.fromisoformat(value).isoformat()
            elif kind == "timestamp":
                return parse_ts(value).isoformat()
        except (ValueError, OverflowError):
            raise self._refused(value) from None
        return value


TIMEZONE: Final = Parameter(
    "timezone",
    "timezone",
    "Whose days and hours these are; the person's own where it is left out.",
    required=False,
)
"""The parameter of every template that binds it (the macros `to_local` and `from_local` do). Its
default is the person's, from configuration.
"""


@dataclass(frozen=True, slots=True)
class Template:
    """One cataloged query. `sql` has a `?` for each name in `binds`, in order.

    `reuse`: whether an earlier answer to the same question may be given again (docs/safesql.md);
    not where the template is asked to see the system as it is at this moment. `evidence_columns`:
    the columns whose values can prove an insight, each with whose word they are (`Basis`).
    `safe_columns`: text that an answer others look at shows as it is; all other text is redacted.
    `family`: a sentence on what all templates of this family do, the same in each of them, by which
    a list shows them as one. `listed`: whether a list for a model has it; cdesk asks the others for
    itself. `customers_behind_row`: the column that counts the customers behind a row; NO_CUSTOMERS
    where rows are figures of the system itself; None where a row may be of one customer.
    """

    name: str
    description: str
    scope: Scope
    parameters: tuple[Parameter, ...]
    sql: str
    binds: tuple[str, ...]
    example: Mapping[str, Any]
    hash: str
    reuse: bool = True
    evidence_columns: Mapping[str, Basis] = field(default_factory=dict)
    safe_columns: tuple[str, ...] = ()
    family: str | None = None
    listed: bool = True
    customers_behind_row: str | None = None

    def as_asked_by(self, caller: Caller) -> Caller:
        """Who asks this template when `caller` does: without the analyst role, so that the engine
        reads the own rows alone, where every row of others would be of too few customers.
        """
        rows_of_one = self.scope == "caller" and self.customers_behind_row is None
        if rows_of_one and caller.is_analyst and caller.least_customers > 1:
            return replace(caller, roles=caller.roles - {ANALYST})
        return caller

    def sees_everyone(self, *, is_analyst: bool) -> bool:
        """Whether rows of all customers go into an answer."""
        return self.scope == "org" or (self.scope == "caller" and is_analyst)

    def document(self) -> dict[str, Any]:
        """What a person or a model is told of it, as JSON."""
        return {
            "name": self.name,
            "description": self.description,
            "scope": self.scope,
            "parameters": [
                {
                    "name": parameter.name,
                    "type": parameter.type,
                    "description": parameter.description,
                    "required": parameter.required,
                    "default": parameter.default,
                    "allowed": parameter.allowed,
                }
                for parameter in self.parameters
            ],
            "evidence_columns": dict(self.evidence_columns),
            "example": dict(self.example),
            "sql": self.sql,
            "binds": list(self.binds),
            "hash": self.hash,
        }

    def check_params(self, params: Mapping[str, Any], *, timezone: str = "UTC") -> dict[str, Any]:
        """All parameters, checked, defaults filled in; `timezone` is the person's.

        Raises:
            InvalidField: one is missing, unknown, of the wrong type or out of range.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in params:
            if name not in known:
                near = nearest(str(name), known)
                hint = f" (did you mean {near}?)" if near else ""
                raise InvalidField(
                    f"params.{shown(name)}",
                    f"unknown for {self.name}{hint}",
                    ", ".join(known) or "no parameters",
                )
        checked: dict[str, Any] = {}
        for name, parameter in known.items():
            value = params.get(name)
            if value is None:
                if parameter.required:
                    raise InvalidField(name, f"missing for {self.name}", parameter.allowed)
                value = timezone if parameter.type == "timezone" else parameter.default
            checked[name] = None if value is None else parameter.check(value)
        if (size := len(orjson.dumps(checked))) > MAX_PARAMS_BYTES:
            raise InvalidField(
                "params", f"{size:,} bytes", f"at most {MAX_PARAMS_BYTES:,} bytes in all"
            )
        # What is searched for has been redacted where it was recorded.
        return dict(redact_fields(checked))

    def hints(self, checked: Mapping[str, Any]) -> list[str]:
        """A sentence for each activity that the vocabulary doesn't hold though it holds one much
        like it.

        They aren't refused: activities of one's own are no part of the vocabulary.
        """
        found: list[str] = []
        for parameter in self.parameters:
            if parameter.type not in ("activity", "list[activity]"):
                continue
            given = checked[parameter.name]
            for value in given if isinstance(given, list) else [given]:
                if value is None or value in SHED_PRIORITY:
                    continue
                if near := nearest_activity(value):
                    found.append(
                        f"{parameter.name}: {value} is not in the vocabulary; did you mean {near}?"
                    )
        return found

    def bind(self, params: Mapping[str, Any], *, customer: str, is_analyst: bool) -> list[Any]:
        """Values for the `?`s of `sql`, in order; `params` come from `check_params`."""
        identity = {"customer": customer, "is_analyst": is_analyst}
        return [identity[name] if name in identity else params[name] for name in self.binds]

    def bound(
        self,
        params: Mapping[str, Any],
        *,
        customer: str,
        is_analyst: bool,
        least_customers: int = 1,
    ) -> dict[str, Any]:
        """All that an answer goes by, by name: the checked parameters, what the identity gives, and
        `least_customers` where rows are left out by it.
        """
        identity: dict[str, Any] = {"customer": customer, "is_analyst": is_analyst}
        given = {name: identity[name] for name in self.binds if name in identity}
        if least_customers > 1 and self.sees_everyone(is_analyst=is_analyst):
            given[LEAST_CUSTOMERS] = least_customers
        return {**params, **given}

    def query_hash(
        self,
        params: Mapping[str, Any],
        *,
        customer: str,
        is_analyst: bool,
        least_customers: int = 1,
    ) -> str:
        return query_hash(
            self.sql,
            self.bound(
                params,
                customer=customer,
                is_analyst=is_analyst,
                least_customers=least_customers,
            ),
        )


_TOKENS = re.compile(
    r"""(?P<string>'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\$.*?\$\$)"""
    r"""|(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<blank>\s+)""",
    re.DOTALL,
)


@functools.lru_cache(maxsize=512)
def normalise_sql(sql: str) -> str:
    """Comments stripped, white space outside quotes folded to one blank, trimmed. Case stays."""

    def replace(match: re.Match[str]) -> str:
        return match.group("string") or " "

    text = _TOKENS.sub(replace, sql)
    return _TOKENS.sub(replace, text).strip()


def query_hash(sql: str, params: Mapping[str, Any]) -> str:
    """First 16 hex digits of SHA-256 over the normalised SQL, a line feed, and the parameters as
    JSON with keys sorted at every depth.
    """
    return proof_hash(normalise_sql(sql), canonical_params(params))


def canonical_params(params: Mapping[str, Any]) -> str:
    """Parameters as JSON text with keys sorted at every depth."""
    return orjson.dumps(params, option=orjson.OPT_SORT_KEYS).decode()


@dataclass(frozen=True, slots=True)
class Catalog:
    """All templates of one compiled project."""

    dialect: str
    content_hash: str
    generated_at: str
    templates: Mapping[str, Template]

    def get(self, name: object) -> Template:
        """Raises NotFound for an unknown name, suggesting the nearest."""
        template = self.templates.get(name) if isinstance(name, str) else None
        if template is None:
            near = nearest(name, self.templates) if isinstance(name, str) else None
            hint = f"did you mean {near}? " if near else ""
            raise NotFound(
                f"template {shown(name)} is not in the catalog; {hint}"
                f"known: {', '.join(sorted(self.templates))}"
            )
        return template


def catalog_digest(dialect: object, templates: object) -> str:
    """SHA-256 over what can run and how, in 64 hex digits; whatever the file says of itself."""
    document = {"dialect": dialect, "templates": templates}
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def load_catalog(path: Path, *, seal: Callable[[], str | None] | None = None) -> Catalog:
    """Read `catalog.json`. `seal` gives the digest of the catalog that the installed project was
    compiled to (cdesk/state/catalog.py): without it the file is believed.

    Raises:
        CatalogPending: it is missing (no build has run yet), or not the one that this installation
            compiled: a worker writes it. CatalogError: it is not of the contract.
    """
    try:
        data = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise CatalogPending(
            "the query catalog is not there yet: the worker writes it with its first build; "
            "try again in half a minute, or run 'cdesk worker --once'"
        ) from None
    except (OSError, ValueError) as error:
        raise CatalogError(f"{path} cannot be read ({error}); run 'cdesk refresh'") from None
    try:
        if data.get("v", CATALOG_VERSION) > CATALOG_VERSION:
            raise CatalogError(NEWER_CATALOG)
        if seal is not None and catalog_digest(data["dialect"], data["templates"]) != seal():
            raise CatalogPending(
                f"{path} is not the catalog that this installation compiled; run 'cdesk refresh'"
            )
        templates = {
            name: Template(
                name=name,
                description=item["description"],
                scope=item["scope"],
                parameters=tuple(
                    Parameter(**{**entry, "values": tuple(entry.get("values") or ())})
                    for entry in item["parameters"]
                ),
                sql=item["sql"],
                binds=tuple(item["binds"]),
                example=item.get("example") or {},
                hash=item["hash"],
                reuse=bool(item.get("reuse", True)),
                evidence_columns=dict(item.get("evidence_columns") or {}),
                safe_columns=tuple(item.get("safe_columns") or ()),
                family=item.get("family"),
                listed=bool(item.get("listed", True)),
                customers_behind_row=item.get("customers_behind_row"),
            )
            for name, item in data["templates"].items()
        }
        return Catalog(data["dialect"], data["content_hash"], data["generated_at"], templates)
    except (KeyError, TypeError, AttributeError) as error:
        raise CatalogError(
            f"{path} is not of this version ({error!r}); run 'cdesk refresh'"
        ) from None


class CatalogReader:
    """The catalog of a state directory, read again when its file has changed. Safe to use from
    several threads. `seal` as in `load_catalog`.
    """

    def __init__(self, path: Path, *, seal: Callable[[], str | None]) -> None:
        self._path = path
        self._name = os.fspath(path)
        self._seal = seal
        self._turn = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._catalog: Catalog | None = None

    def look(self) -> Catalog | None:
        """The catalog as it stands, or None where there is none that can be used."""
        try:
            return self.get()
        except CatalogError:
            return None

    def get(self) -> Catalog:
        """The catalog as it stands.

        Raises:
            CatalogError: it is missing or unusable.
        """
        try:
            status = os.stat(self._name)  # noqa: PTH116 - on every call of submit_query
        except OSError:
            return load_catalog(self._path, seal=self._seal)  # says what to do
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        with self._turn:
            if self._catalog is None or seen != self._seen:
                # What cannot be used is read again each time: the seal may follow the file.
                self._catalog = None
                self._catalog = load_catalog(self._path, seal=self._seal)
                self._seen = seen
            return self._catalog
