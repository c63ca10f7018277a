"""What tests of the shim in one process share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bench.turn_path import fixtures
from cdesk.core.home import StateDirectory
from tests.unit.mcp_shim.desk import Desk, serve


@pytest.fixture
def run(state_home: StateDirectory) -> Callable[..., None]:
    """Run a test with a process over a state directory that has a catalog."""
    fixtures.catalog(state_home)

    def run_test(test: Callable[[Desk], Awaitable[None]], **options: Any) -> None:
        serve(lambda: Desk(state_home, **options), test)

    return run_test
