"""Keeping the warehouse over several landings in a row."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Final

from cdesk.warehouse.protocol import Stretch, Warehouse

BULK_SECONDS: Final = 3.0
BULK_GAP_SECONDS: Final = 0.05


class Bulk:
    """Keeps the warehouse for several landings in a row, and gives it up every few seconds so that
    others get their turn.
    """

    def __init__(self, warehouse: Warehouse, monotonic: Callable[[], float]) -> None:
        self._warehouse = warehouse
        self._monotonic = monotonic
        self._stack = contextlib.ExitStack()
        self._until: float | None = None
        self.stretch: Stretch | None = None
        """How several batches land in one transaction, while the warehouse is kept and can."""

    def hold(self) -> None:
        if self._until is not None and self._monotonic() >= self._until:
            self.release()
            time.sleep(BULK_GAP_SECONDS)
        if self._until is None:
            self.stretch = self._stack.enter_context(self._warehouse.bulk())
            self._until = self._monotonic() + BULK_SECONDS

    def release(self) -> None:
        self._until = self.stretch = None
        self._stack.close()

    def __enter__(self) -> Bulk:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
