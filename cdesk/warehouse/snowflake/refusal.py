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


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turns every error of the connector inside it into one of ours."""
    try:
        yield
    except (sf.Error, OSError) as error:
        refuse(error)


_SETUP: Final = "dbt run-operation setup_snowflake --target snowflake"


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
            f"the warehouse is missing or not granted to this role; an administrator runs: {_SETUP} ({text})"
        ) from None
    if code == 90073 or "resource monitor" in text.lower():
        raise WarehouseUnavailable(
            f"the credit quota is used up; see 'dbt run-operation apply_resource_monitors' ({text})"
        ) from None
    if code in (2003, 2043) or state == "42S02":
        raise WarehouseNotBuilt(
            f"an object is missing or not granted to this role: {text}; run 'dbt build --target snowflake', and if it is built: {_SETUP}"
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
