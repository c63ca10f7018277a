"""The connector, imported in quiet: its vendored HTTP library warns, at every start, of versions of
packages that it doesn't use here.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import snowflake.connector as connector
    from snowflake.connector import errors
    from snowflake.connector.constants import CONNECTIONS_FILE, FIELD_ID_TO_NAME

__all__ = ["CONNECTIONS_FILE", "FIELD_ID_TO_NAME", "connector", "errors"]
