"""What the process imports from which tests fork others (tests/forked.py), and does nothing else."""

from __future__ import annotations

import gc

import mcp.server.stdio  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pytest  # noqa: F401

from cdesk.warehouse import duckdb  # noqa: F401
from cdesk_app.worker import tickets  # noqa: F401
from cdesk_app.worker.dbt import builder, economy  # noqa: F401
from mcp_shim import main, server  # noqa: F401

gc.disable()
economy.lock_among_threads()
economy.compile_when_used()
economy.compare_when_used()

import dbt.adapters.duckdb  # noqa: E402
import dbt.cli.main  # noqa: E402, F401

gc.freeze()  # else each collection of a fork copies the pages of all that was imported
gc.enable()
