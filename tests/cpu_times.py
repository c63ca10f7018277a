"""What each test costs of the processor, with the processes that it starts: a measure that stands on
a machine which does other things as well. `make test-durations` loads this plugin.

A process that outlives its parent (a detached worker, a renderer) is counted only while it can be
seen as a child.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Generator
from pathlib import PurePosixPath

import psutil
import pytest

MOST = 20
_PROPERTY = "cpu_seconds"


def cpu_seconds() -> float:
    """User and system time of this process and its children, living and ended."""
    own = os.times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
        total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total


class CpuTimes:
    """Measures in the processes that run tests, and tells in the one that prints."""

    def __init__(self) -> None:
        self._last = cpu_seconds()
        self._tests: dict[str, float] = defaultdict(float)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        now = cpu_seconds()
        report.user_properties.append((_PROPERTY, now - self._last))
        self._last = now
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == _PROPERTY:
                self._tests[report.nodeid] += float(str(value))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        groups: dict[str, float] = defaultdict(float)
        for nodeid, seconds in self._tests.items():
            groups[PurePosixPath(nodeid.partition("::")[0]).parent.as_posix()] += seconds
        for title, found in (("by folder", groups), ("by test", self._tests)):
            terminalreporter.section(f"processor seconds {title}")
            for name, seconds in sorted(found.items(), key=lambda one: -one[1])[:MOST]:
                terminalreporter.write_line(f"{seconds:7.1f}  {name}")
        terminalreporter.write_line(f"{sum(groups.values()):7.1f}  in all")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(CpuTimes())
