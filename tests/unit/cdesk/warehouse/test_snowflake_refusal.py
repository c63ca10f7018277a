"""What the connector raises, as errors of ours that name what mends them."""

from __future__ import annotations

from typing import Any

import pytest

from cdesk.core.errors import (
    QueryCancelled,
    QueryTimedOut,
    WarehouseError,
    WarehouseNotBuilt,
    WarehouseUnavailable,
)
from cdesk.warehouse.snowflake.driver import errors as sf
from cdesk.warehouse.snowflake.login import error_code, first_line
from cdesk.warehouse.snowflake.refusal import DATA_ERRORS, refuse, refuse_landing, refusing

SETUP = "an administrator runs: dbt run-operation setup_snowflake --target snowflake"


def error(errno: int, text: str = "x", state: str | None = None, kind: Any = None) -> Exception:
    made: Exception = (kind or sf.ProgrammingError)(msg=text, errno=errno, sqlstate=state)
    return made


CASES = [
    (389999, "x", None, WarehouseError, "x$"),
    (390000, "x", None, WarehouseUnavailable, "the session has ended .*; it is tried again with"),
    (399999, "x", None, WarehouseUnavailable, "the session has ended"),
    (400000, "x", None, WarehouseError, "x$"),
    (606, "No active Warehouse", None, WarehouseError, f"the warehouse is missing .*{SETUP}"),
    (606, "no active session", None, WarehouseError, "no active session$"),
    (2043, "no warehouse X", None, WarehouseError, f"the warehouse is missing .*{SETUP}"),
    (2043, "no schema X", None, WarehouseNotBuilt, "an object is missing .*dbt build"),
    (2003, "x", None, WarehouseNotBuilt, "an object is missing .*dbt build"),
    (2141, "x", None, WarehouseNotBuilt, "an object is missing .*dbt build"),
    (1, "x", "42S02", WarehouseNotBuilt, "an object is missing .*dbt build"),
    (90073, "x", None, WarehouseUnavailable, "the credit quota is used up"),
    (1, "a Resource Monitor", None, WarehouseUnavailable, "the credit quota is used up"),
    (904, "x", None, WarehouseNotBuilt, "the tables are of an older version .*dbt build"),
    (1, "Invalid Identifier", "42000", WarehouseNotBuilt, "the tables are of an older version"),
    (1, "invalid identifier", None, WarehouseError, "invalid identifier$"),
    (1, "syntax", "42000", WarehouseError, "syntax$"),
    (3001, "x", None, WarehouseError, f"a privilege is missing: .*{SETUP}"),
    (1, "x", "42501", WarehouseError, "a privilege is missing"),
    (630, "x", None, QueryTimedOut, "stopped by the statement timeout; narrow its parameters"),
    (604, "x", None, QueryCancelled, "the query was cancelled in Snowflake"),
    (1, "x", None, WarehouseError, "x$"),
]


@pytest.mark.parametrize(("errno", "text", "state", "kind", "said"), CASES)
def test_each_number_and_state_is_the_error_that_names_its_remedy(
    errno: int, text: str, state: str | None, kind: type[Exception], said: str
) -> None:
    with pytest.raises(WarehouseError, match=said) as caught:
        refuse(error(errno, text, state))
    assert type(caught.value) is kind
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "raised",
    [
        error(251011, kind=sf.OperationalError),
        error(1, kind=sf.InterfaceError),
        error(1, kind=sf.InternalError),
        ConnectionResetError("x"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_broke_off_is_worth_trying_again(raised: Exception) -> None:
    with pytest.raises(WarehouseUnavailable, match=r"Snowflake broke off .*; it is tried again"):
        refuse(raised)


@pytest.mark.parametrize("raised", [error(604), OSError("x")])
def test_every_error_of_the_connector_inside_the_block_is_one_of_ours(raised: Exception) -> None:
    with pytest.raises(WarehouseError), refusing():
        raise raised
    with pytest.raises(KeyError), refusing():
        raise KeyError


@pytest.mark.parametrize("errno", sorted(DATA_ERRORS))
def test_a_landing_is_refused_for_what_is_documented_of_lines(errno: int) -> None:
    assert DATA_ERRORS[errno].startswith("https://docs.snowflake.com/en/")
    with pytest.raises(WarehouseError) as caught:
        refuse_landing(error(errno, "of a line\nwith its values"))
    assert (type(caught.value), "\n" in str(caught.value)) == (WarehouseError, False)
    assert "of a line" in str(caught.value)


@pytest.mark.parametrize(
    ("errno", "kind", "said"),
    [
        (390000, WarehouseUnavailable, "a new one$"),
        (2003, WarehouseNotBuilt, "an object is missing"),
        (3001, WarehouseUnavailable, "a privilege is missing.*; landing is tried again$"),
        (630, WarehouseUnavailable, "; landing is tried again$"),
        (1, WarehouseUnavailable, "x; landing is tried again$"),
    ],
)
def test_nothing_else_is_a_lines_fault(errno: int, kind: type[Exception], said: str) -> None:
    with pytest.raises(WarehouseError, match=said) as caught:
        refuse_landing(error(errno))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (error(390100), 390100),
        (error(250001, "Failed to connect: 390144 JWT"), 390144),
        (error(-1, "Failed: 390144"), 390144),
        (error(250001, "1390144 and 3901440"), 250001),
        (error(2003, "behind it 390144"), 2003),
        (error(250001, "Incorrect Username or password was specified"), 390100),
        (error(250001, "JWT token is invalid"), 390144),
        (error(250001, "User temporarily locked"), 390102),
        (error(250001, "Role X specified in the connect string is not granted"), 390189),
        (error(250001, "OAuth access token expired"), 390318),
        (error(250001, "Invalid OAuth access token"), 390303),
        (error(250001, "Programmatic access token is invalid"), 394400),
        (error(250001, "IP 1.2.3.4 is not allowed to access Snowflake"), 390422),
        (error(250001, "no route"), 250001),
        (ValueError("JWT token is invalid"), 390144),
        (ValueError("x"), -1),
    ],
)
def test_the_number_of_a_refusal_is_found_wherever_the_connector_has_it(
    raised: Exception, code: int
) -> None:
    assert error_code(raised) == code


def test_a_message_is_one_line_of_two_hundred_characters() -> None:
    assert first_line(ValueError("\n first \nsecond")) == "first "
    assert first_line(ValueError("x" * 200)) == "x" * 200
    assert first_line(ValueError("x" * 201)) == "x" * 199 + "…"
    assert "the message" in first_line(error(1, "the message\nvalues"))
    assert "values" not in first_line(error(1, "the message\nvalues"))
