"""Identity: another customer's anything is forbidden, whether or not it exists."""

from __future__ import annotations

import pytest

from cdesk.core.errors import Forbidden
from cdesk.core.identity import ANALYST, Caller


def test_a_caller_has_its_own_customer_only() -> None:
    caller = Caller("ada@example.com")
    caller.require_customer("ada@example.com")
    for other in ("bob@example.com", "", "ADA@example.com"):
        with pytest.raises(Forbidden, match="forbidden"):
            caller.require_customer(other)


def test_the_analyst_role_is_asked_for_by_name() -> None:
    Caller("ada", frozenset({ANALYST})).require_analyst("top_customers")
    with pytest.raises(Forbidden, match="top_customers needs the analyst role"):
        Caller("ada").require_analyst("top_customers")
