"""Who may ask for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cdesk.core.errors import (
    Forbidden,
)
from cdesk.core.identity import Caller
from cdesk.query.request import make_request

if TYPE_CHECKING:
    from query_desk import Desk


def test_an_org_template_needs_the_analyst_role(desk: Desk) -> None:
    with pytest.raises(Forbidden, match="analyst"):
        make_request(
            desk.catalog, Caller("bob"), run_id="-", query_tag="-", template="everyone", params={}
        )
