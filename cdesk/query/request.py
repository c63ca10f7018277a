"""A query request: one cataloged template with checked parameters, asked by somebody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cdesk.contract.catalog import Catalog, Template
from cdesk.core.identity import Caller
from cdesk.state.tickets import BYTE_CAP_DEFAULT


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """One run that somebody asked for.

    run_id: the ticket's id, where there is a ticket. params: checked, defaults filled in.
    byte_cap: None means the default. fresh: run even where an earlier answer would do.
    dry_run: estimate only. own_rows_only: the caller may ask of all customers, but each row of this
    template would be of too few (`Template.as_asked_by`).
    """

    run_id: str
    caller: Caller
    session_id: str | None
    template: Template
    params: Mapping[str, Any]
    query_hash: str
    query_tag: str
    byte_cap: int | None = None
    fresh: bool = False
    dry_run: bool = False
    own_rows_only: bool = False

    @property
    def cap(self) -> int:
        """Bytes of result above which the answer is a sample."""
        return BYTE_CAP_DEFAULT if self.byte_cap is None else self.byte_cap

    @property
    def bound(self) -> dict[str, Any]:
        """All that is bound, by name, the caller's identity included: what `query_hash` is over."""
        return self.template.bound(
            self.params,
            customer=self.caller.customer,
            is_analyst=self.caller.is_analyst,
            least_customers=self.caller.least_customers,
        )

    @property
    def binds(self) -> list[Any]:
        """The values to bind, in order; the customer comes from the caller's identity."""
        return self.template.bind(
            self.params, customer=self.caller.customer, is_analyst=self.caller.is_analyst
        )

    @property
    def sees_everyone(self) -> bool:
        """Whether rows of all customers go into the answer."""
        return self.template.sees_everyone(is_analyst=self.caller.is_analyst)

    def named_activities(self) -> list[str]:
        """The activities that the request names, the system's own among them; sorted."""
        named: set[str] = set()
        for parameter in self.template.parameters:
            value = self.params.get(parameter.name)
            if value is not None and parameter.type in ("activity", "list[activity]"):
                named.update(value if isinstance(value, list) else [value])
        return sorted(named)


def make_request(
    catalog: Catalog,
    caller: Caller,
    *,
    run_id: str,
    query_tag: str,
    template: str,
    params: Mapping[str, Any],
    session_id: str | None = None,
    byte_cap: int | None = None,
    fresh: bool = False,
    dry_run: bool = False,
    timezone: str = "UTC",
) -> QueryRequest:
    """A checked request; `timezone` is the person's.

    Raises:
        NotFound: the catalog has no such template. Forbidden: it is not for this caller.
        InvalidField: a parameter.
    """
    found = catalog.get(template)
    if found.scope == "org":
        caller.require_analyst(f"template {found.name}")
    checked = found.check_params(params, timezone=timezone)
    asking = found.as_asked_by(caller)
    return QueryRequest(
        run_id=run_id,
        caller=asking,
        session_id=session_id,
        template=found,
        params=checked,
        query_hash=found.query_hash(
            checked,
            customer=asking.customer,
            is_analyst=asking.is_analyst,
            least_customers=asking.least_customers,
        ),
        query_tag=query_tag,
        byte_cap=byte_cap,
        fresh=fresh,
        dry_run=dry_run,
        own_rows_only=asking is not caller,
    )
