"""Who is asking: a customer, and the roles that go with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cdesk.core.config import Settings
from cdesk.core.errors import Forbidden

USER = "user"
ANALYST = "analyst"
ADMIN = "admin"
METRICS_ROLE = "metrics"
ROLES = (USER, ANALYST, ADMIN, METRICS_ROLE)
"""What a token of the HTTP service may carry. `user` adds nothing: everybody has their own data;
`metrics` may read the metrics.
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity behind a call. Over stdio it comes from configuration, over HTTP from the token;
    never from an argument.
    """

    customer: str
    roles: frozenset[str] = frozenset()
    least_customers: int = 1
    """Of how many customers a row that isn't the caller's alone has to be; 1 shows every row."""

    @property
    def is_analyst(self) -> bool:
        return ANALYST in self.roles

    def require_customer(self, customer: str) -> None:
        """Raises Forbidden for any customer but the caller's own, whether or not it exists."""
        if customer != self.customer:
            raise Forbidden(
                "forbidden: this connection serves one customer; "
                f"leave customer_id out or use {self.customer!r}"
            )

    def require_admin(self, what: str) -> None:
        if ADMIN not in self.roles:
            raise Forbidden(f"forbidden: {what} needs the {ADMIN} role")

    def require_analyst(self, what: str) -> None:
        if not self.is_analyst:
            raise Forbidden(f"forbidden: {what} needs the {ANALYST} role")


def stdio_caller(settings: Settings) -> Caller:
    """Who asks over stdio: the configured customer, with the roles of CDESK_ROLES and no other."""
    return Caller(settings.customer, frozenset(settings.roles))


def local_caller(settings: Settings) -> Caller:
    """Who asks by the `cdesk` command: the configured customer. On the embedded default the person
    can read the files anyway and has the analyst role.
    """
    caller = stdio_caller(settings)
    if settings.target != "duckdb":
        return caller
    return Caller(caller.customer, caller.roles | {ANALYST})


def customer_key(customer: str) -> str:
    """A name for a customer's folders and links that does not tell who it is: 16 hex digits."""
    return hashlib.sha256(customer.encode()).hexdigest()[:16]
