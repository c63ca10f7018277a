"""The catalog with its seal: what the installed project was compiled to, noted in `state.db` by
whoever compiled it. A `catalog.json` that is another is refused, whatever hashes it holds itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import orjson

from cdesk.contract.catalog import Catalog, CatalogReader, catalog_digest, load_catalog
from cdesk.core.errors import CatalogError, NewerVersion, StateDirectoryError
from cdesk.core.home import StateDirectory, write_private
from cdesk.state.database import open_state
from cdesk.state.facts import CatalogSeal, read_status, write_status


def open_catalog(home: StateDirectory) -> CatalogReader:
    """A reader that looks the seal up where the file is another than before."""
    return CatalogReader(home.catalog, seal=lambda: read_seal(home).digest)


def sealed_catalog(home: StateDirectory) -> Catalog:
    """The catalog as it stands.

    Raises:
        CatalogError: it is missing, unusable, or not the one that was compiled here.
    """
    return load_catalog(home.catalog, seal=lambda: read_seal(home).digest)


def read_seal(home: StateDirectory) -> CatalogSeal:
    """The seal as it stands.

    Raises:
        CatalogError: state.db cannot be read. NewerVersion: a newer cdesk wrote it.
    """
    try:
        with closing(open_state(home.state_db)) as state:
            return read_status(state, CatalogSeal)
    except NewerVersion:
        raise
    except (sqlite3.Error, StateDirectoryError) as error:
        raise CatalogError(f"the catalog cannot be checked ({error})") from None


def write_catalog(
    home: StateDirectory,
    state: sqlite3.Connection,
    document: Mapping[str, Any],
    *,
    now: str,
    project: str | None = None,
) -> None:
    """Write `document` to catalog.json and seal it. `project` is the fingerprint of the dbt project
    that it was compiled from.

    Raises:
        OSError, sqlite3.Error: it could not be written.
    """
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    write_private(home.catalog, orjson.dumps(document, option=options))
    digest = catalog_digest(document["dialect"], document["templates"])
    write_status(state, CatalogSeal(digest=digest, project=project), now=now)
