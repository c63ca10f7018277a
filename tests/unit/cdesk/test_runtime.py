"""How far the worker's own environment is: said in words, tried again, ready once it holds what is
wanted.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cdesk.core.locks import FileLock
from cdesk.core.runtime import Runtime, SetUp, moment, wanted_in

MINUTE = 60 * 10**9
NOW = 1_790_000_000 * 10**9


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(tmp_path / "runtime", "cdesk 1 [worker]")


def begun(minutes: int, **more: object) -> SetUp:
    at = moment(NOW - minutes * MINUTE)
    return SetUp(**{"since": at, "at": at, **more})  # type: ignore[arg-type]


def test_it_says_how_far_it_is(runtime: Runtime) -> None:
    assert "about to be set up" in (runtime.told(NOW) or "")
    assert runtime.told_if_begun(NOW) is None
    runtime.keep_progress(begun(1))
    assert runtime.told(NOW + MINUTE // 2) == (
        "setting up, 2 of about 3 minutes; what you log is kept"
    )
    assert "setting up, 3 of about 3 minutes" in (runtime.told(NOW + 2 * MINUTE) or "")
    assert "4 minutes so far, about 3 as a rule" in (runtime.told(NOW + 2 * MINUTE + 10**9) or "")
    assert "9 minutes so far, about 3 as a rule" in (runtime.told(NOW + 8 * MINUTE) or "")
    assert runtime.told_if_begun(NOW) == runtime.told(NOW)
    runtime.keep_progress(begun(1, failures=2, error="no network"))
    assert runtime.told(NOW) == (
        "setting up the worker failed (no network); tried again in 4 minutes; what you log is kept"
    )
    assert "tried again in 1 minute;" in (runtime.told(NOW + 3 * MINUTE) or "")
    assert "tried again in 1 minute;" in (runtime.told(NOW + 9 * MINUTE) or "")


def test_it_is_tried_again_after_a_while_and_by_one_process(runtime: Runtime) -> None:
    assert runtime.is_due(NOW)
    runtime.keep_progress(begun(4, failures=2, error="no network"))
    assert not runtime.is_due(NOW)
    assert runtime.is_due(NOW + MINUTE)
    runtime.keep_progress(begun(4))
    assert runtime.is_due(NOW), "whoever was at it has died: the next one goes on"
    with FileLock(runtime.lock):
        assert not runtime.is_due(NOW)


def test_it_is_ready_with_what_is_wanted_and_not_with_another_version(runtime: Runtime) -> None:
    runtime.mark_ready()
    assert not runtime.is_ready(), "there is no Python"
    runtime.python.parent.mkdir(parents=True)
    runtime.python.touch()
    assert runtime.is_ready()
    assert runtime.told(NOW) is None
    assert not Runtime(runtime.folder, "cdesk 2 [worker]").is_ready()
    runtime.unmark()
    assert not runtime.is_ready()


def test_another_warehouse_needs_other_extras() -> None:
    assert wanted_in("1", "duckdb") == ("render,worker", "cdesk 1 [render,worker]")
    assert wanted_in("1", "snowflake") == ("render,snowflake", "cdesk 1 [render,snowflake]")
