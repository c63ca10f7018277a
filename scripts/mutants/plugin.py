"""What a test run of `make mutants` does otherwise than `make test`: it notes which test reaches
which line and how long each takes, or runs the tests that it is given, in their order.

Loaded with `-p scripts.mutants.plugin`; told what to do by variables of the environment:
MUTANTS_TIMES and MUTANTS_TESTS name files of JSON, to be written and to be read;
MUTANTS_FIRST_ROUND is a first round that was made without a mutant, to be taken with the text
of MUTANTS_FILE where a test asks for one.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import Phase

TIMES = "MUTANTS_TIMES"
TESTS = "MUTANTS_TESTS"
FIRST_ROUND = "MUTANTS_FIRST_ROUND"
FILE = "MUTANTS_FILE"
BUILT = "kept_answers.duckdb"
"""What tests/integration/dbt/test_kept_answers.py builds, beside the first round."""


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """A mutant that a property notices is noticed: nobody waits for its smallest example."""
    default = hypothesis.settings.get_profile("default")
    hypothesis.settings.register_profile(
        "mutants",
        parent=hypothesis.settings(default, deadline=None, database=None),
        phases=[Phase.explicit, Phase.generate],
    )
    hypothesis.settings.load_profile("mutants")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    if TESTS in os.environ:
        _choose(config, items)
    if FIRST_ROUND in os.environ and any(
        "first_round" in getattr(item, "fixturenames", ()) for item in items
    ):
        _take_first_round(session)


def _choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The tests that are asked for alone, in the order in which they are; a name without its
    brackets stands for all of its parameters.
    """
    wanted = json.loads(Path(os.environ[TESTS]).read_text(encoding="utf-8"))
    places = {nodeid: place for place, nodeid in enumerate(wanted)}
    chosen: list[tuple[int, pytest.Item]] = []
    others: list[pytest.Item] = []
    for item in items:
        place = places.get(item.nodeid, places.get(item.nodeid.partition("[")[0]))
        if place is None:
            others.append(item)
        else:
            chosen.append((place, item))
    items[:] = [item for _, item in sorted(chosen, key=lambda one: one[0])]
    if others:
        config.hook.pytest_deselected(items=others)


class Measured:
    """Each test's seconds, which of them fail, and their names as the contexts of what coverage.py
    sees meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds: dict[str, float] = {}
        self._failed: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        from coverage import Coverage

        measuring = Coverage.current()
        if measuring is not None:
            measuring.switch_context(item.nodeid)
        answer = yield
        if measuring is not None:
            measuring.switch_context("")
        return answer

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object]
    ) -> Generator[None, object, object]:
        """What several tests share is made within the first of them, and used by all."""
        from coverage import Coverage

        measuring = Coverage.current()
        if measuring is None or fixturedef.scope == "function":
            return (yield)
        name = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
        measuring.switch_context(f"{name} (setup)")
        answer = yield
        measuring.switch_context(name)
        return answer

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self._failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        told = {"seconds": self._seconds, "failed": self._failed}
        self._path.write_text(json.dumps(told), encoding="utf-8")


def pytest_sessionstart(session: pytest.Session) -> None:
    if TIMES in os.environ:
        session.config.pluginmanager.register(Measured(Path(os.environ[TIMES])))
    parsed = sys.modules.get("scripts.mutants.parsed")
    if parsed is not None and FILE in os.environ:
        file = os.environ[FILE]
        parsed.take(file, (session.config.rootpath / file).read_text(encoding="utf-8"))


def _take_first_round(session: pytest.Session) -> None:
    from scripts.mutants.first_round import DoesNotBuild, take_first_round

    base: Path = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    try:
        take_first_round(
            Path(os.environ[FIRST_ROUND]),
            base / "first_round",
            root=session.config.rootpath,
            file=os.environ[FILE],
        )
    except DoesNotBuild as error:
        pytest.exit(str(error), returncode=1)
