"""The warehouse is kept for some landings in a row, and given up now and then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cdesk.warehouse.protocol import Stretch
from uploader import bulk as module
from uploader.bulk import BULK_SECONDS, Bulk


class Kept:
    def __init__(self, clock: list[float]) -> None:
        self.said: list[str] = []
        self.clock = clock
        self.stretch = Stretch(5, cast(Any, None))

    @contextmanager
    def bulk(self) -> Iterator[Stretch]:
        self.said.append("kept")
        yield self.stretch
        self.said.append("given up")


def test_it_is_kept_for_three_seconds_and_given_up_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    warehouse = Kept(clock)
    pause = SimpleNamespace(sleep=lambda _: warehouse.said.append("paused"))
    monkeypatch.setattr(module, "time", pause)
    with Bulk(cast(Any, warehouse), lambda: clock[0]) as bulk:
        assert (bulk.stretch, warehouse.said) == (None, [])
        bulk.hold()
        assert bulk.stretch is warehouse.stretch
        clock[0] += BULK_SECONDS - 0.5
        bulk.hold()
        assert warehouse.said == ["kept"]
        clock[0] += 0.5
        bulk.hold()
        assert warehouse.said == ["kept", "given up", "paused", "kept"]
        assert bulk.stretch is warehouse.stretch
        clock[0] += BULK_SECONDS - 0.5
        bulk.hold()
        bulk.release()
        assert bulk.stretch is None
        assert warehouse.said[4:] == ["given up"]
        bulk.hold()
    assert warehouse.said[5:] == ["kept", "given up"]
    assert bulk.stretch is None
