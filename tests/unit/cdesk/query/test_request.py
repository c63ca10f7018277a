"""Who may ask for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cdesk.core.errors import Forbidden
from cdesk.core.identity import ANALYST, Caller
from cdesk.query.request import QueryRequest, make_request

if TYPE_CHECKING:
    from query_desk import Desk


def test_an_org_template_needs_the_analyst_role(desk: Desk) -> None:
    with pytest.raises(Forbidden, match="analyst"):
        make_request(
            desk.catalog, Caller("bob"), run_id="-", query_tag="-", template="everyone", params={}
        )


def test_a_request_is_the_callers_own_with_all_that_is_bound(desk: Desk) -> None:
    bob = Caller("bob", frozenset((ANALYST,)))
    request = make_request(
        desk.catalog,
        bob,
        run_id="r",
        query_tag="t",
        template="numbers",
        params={"rows": 3},
        session_id="s",
        byte_cap=7,
        fresh=True,
        dry_run=True,
    )
    assert (request.run_id, request.query_tag, request.session_id) == ("r", "t", "s")
    assert (request.caller, request.template.name) == (bob, "numbers")
    assert (request.cap, request.byte_cap, request.fresh, request.dry_run) == (7, 7, True, True)
    assert request.bound == {"customer": "bob", "rows": 3}
    assert request.binds == ["bob", 3]
    assert (request.sees_everyone, request.own_rows_only) == (False, False)
    plain = make_request(
        desk.catalog, bob, run_id="r", query_tag="t", template="numbers", params={"rows": 3}
    )
    assert (plain.session_id, plain.byte_cap, plain.fresh, plain.dry_run) == (
        None,
        None,
        False,
        False,
    )
    assert plain.cap == 64 * 1024 * 1024
    assert plain.query_hash == request.query_hash


def test_who_asks_goes_into_the_hash_and_the_binds(desk: Desk) -> None:
    """`expired_artifacts` reads everybody's rows for an analyst, and the own ones for others."""

    def request(caller: Caller) -> QueryRequest:
        return make_request(
            desk.catalog,
            caller,
            run_id="r",
            query_tag="t",
            template="expired_artifacts",
            params={"uris": "u"},
        )

    plain, analyst = Caller("bob"), Caller("bob", frozenset((ANALYST,)))
    few = Caller("bob", frozenset((ANALYST,)), 5)
    one, other, third = (request(caller) for caller in (plain, analyst, few))
    assert (one.binds, other.binds) == (["u", "bob", False], ["u", "bob", True])
    assert (one.sees_everyone, other.sees_everyone) == (False, True)
    assert one.query_hash != other.query_hash
    # Each of its rows is of one customer: such an analyst reads the own ones.
    assert (third.own_rows_only, other.own_rows_only, one.own_rows_only) == (True, False, False)
    assert (third.sees_everyone, third.binds) == (False, ["u", "bob", False])
    assert third.bound == one.bound


def test_a_zone_that_nobody_names_is_the_persons(desk: Desk) -> None:
    parameter = {"name": "zone", "description": "-", "type": "timezone", "required": False}
    echo = {**desk.templates["echo"], "parameters": [parameter], "binds": ["zone"]}
    desk.write_catalog({"echo": echo})

    def zone(**options: str) -> object:
        return make_request(
            desk.catalog,
            Caller("bob"),
            run_id="r",
            query_tag="t",
            template="echo",
            params={},
            **options,  # type: ignore[arg-type]
        ).bound["zone"]

    assert (zone(), zone(timezone="Asia/Tokyo")) == ("UTC", "Asia/Tokyo")
