"""What the connector raises, as errors of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final, NoReturn

from cdesk.core.errors import (
    QueryCancelled,
    QueryTimedOut,
    WarehouseError,
    WarehouseNotBuilt,
    WarehouseUnavailable,
)
from cdesk.warehouse.snowflake.driver import errors as sf
from cdesk.warehouse.snowflake.login import error_code, first_line

_SETUP: Final = "dbt run-operation setup_snowflake --target snowflake"
DATA_ERRORS: Final[dict[int, str]] = {
    100035: "https://docs.snowflake.com/en/sql-reference/functions/to_timestamp",
    100038: "https://docs.snowflake.com/en/sql-reference/functions/to_decimal",
    100069: "https://docs.snowflake.com/en/sql-reference/functions/parse_json",
    100071: "https://docs.snowflake.com/en/sql-reference/functions/as",
    100072: "https://docs.snowflake.com/en/sql-reference/constraints-overview",
    100078: "https://docs.snowflake.com/en/sql-reference/data-types-text",
    100082: "https://docs.snowflake.com/en/user-guide/data-load-considerations-prepare",
}
"""What a landing may be refused for because of the lines themselves, by Snowflake's number and the
page that speaks of it: a timestamp, a number, JSON, a VARIANT that doesn't cast, a null, a text and
a document that are too long. Nothing else is a line's fault.
"""


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turns every error of the connector inside it into one of ours."""
    try:
        yield
    except (sf.Error, OSError) as error:
        refuse(error)


def refuse_landing(error: Exception) -> NoReturn:
    """An error of a landing as one of ours. WarehouseError, after which the uploader looks for the
    line that is at fault, only for DATA_ERRORS.
    """
    code, text = error_code(error), first_line(error)
    if code in DATA_ERRORS:
        raise WarehouseError(text) from None
    try:
        refuse(error)
    except (WarehouseUnavailable, WarehouseNotBuilt):
        raise
    except WarehouseError as found:
        raise WarehouseUnavailable(f"{found}; landing is tried again") from None


def refuse(error: Exception) -> NoReturn:
    """A connector error as one of ours, naming what mends it.
    https://docs.snowflake.com/en/developer-guide/python-connector/python-connector-api#errors
    """
    code, text = error_code(error), first_line(error)
    state = getattr(error, "sqlstate", None)
    if 390000 <= code < 400000:
        raise WarehouseUnavailable(
            f"the session has ended ({text}); it is tried again with a new one"
        ) from None
    if code in (606, 2043) and "warehouse" in text.lower():
        raise WarehouseError(
            "the warehouse is missing or not granted to this role; "
            f"an administrator runs: {_SETUP} ({text})"
        ) from None
    if code == 90073 or "resource monitor" in text.lower():
        raise WarehouseUnavailable(
            f"the credit quota is used up; see 'dbt run-operation apply_resource_monitors' ({text})"
        ) from None
    if code in (2003, 2043, 2141) or state == "42S02":
        raise WarehouseNotBuilt(
            f"an object is missing or not granted to this role: {text}; "
            f"run 'dbt build --target snowflake', and if it is built: {_SETUP}"
        ) from None
    if code == 904 or (state == "42000" and "invalid identifier" in text.lower()):
        raise WarehouseNotBuilt(
            f"the tables are of an older version ({text}); run: dbt build --target snowflake"
        ) from None
    if code == 3001 or state == "42501":
        raise WarehouseError(
            f"a privilege is missing: {text}; an administrator runs: {_SETUP}"
        ) from None
    if code == 630:
        raise QueryTimedOut("stopped by the statement timeout; narrow its parameters") from None
    if code == 604:
        raise QueryCancelled("the query was cancelled in Snowflake") from None
    if isinstance(error, sf.OperationalError | sf.InterfaceError | sf.InternalError | OSError):
        raise WarehouseUnavailable(f"Snowflake broke off ({text}); it is tried again") from None
    raise WarehouseError(text) from None
