"""Which engine a state directory uses. An engine's driver is imported only when that engine is
opened.
"""

from __future__ import annotations

from cdesk.core.config import Settings
from cdesk.core.errors import ConfigurationError
from cdesk.core.home import StateDirectory
from cdesk.warehouse.protocol import Warehouse


def open_warehouse(settings: Settings, home: StateDirectory, *, copies: bool = False) -> Warehouse:
    """The engine that `settings.target` names. Nothing is connected yet.

    copies: for the one worker that stays; on the embedded engine its questions read a copy of the
    file.

    Raises:
        ConfigurationError: the engine's driver or its settings are missing.
    """
    if settings.target == "snowflake":
        try:
            from cdesk.warehouse.snowflake.streaming import open_snowflake
        except ImportError:
            raise ConfigurationError(
                "target is 'snowflake': its driver is missing; run: pip install 'cdesk[snowflake]'"
            ) from None
        return open_snowflake(settings)
    from cdesk.warehouse.duckdb import DuckDBWarehouse

    return DuckDBWarehouse(home.warehouse, copies=home.copies if copies else None)
