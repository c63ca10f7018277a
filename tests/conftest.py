"""What every test gets: no setting of the person who runs it, and a state directory of its own."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import logging
import os
import random
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.log import OURS
from cdesk_app.worker.dbt import build, economy
from tests import forked

ROOT = Path(__file__).resolve().parents[1]

UNITS = {
    "account": (
        "tests/integration/snowflake/",
        "tests/integration/activity_schema/test_relationships_on_snowflake.py",
    ),
    "questions": ("tests/integration/queries/",),
    "dbt": ("tests/integration/dbt/",),
    "macros": ("tests/unit/activity_schema/", "tests/unit/governance/", "tests/unit/macros/"),
}
"""What one process runs, because what the tests share takes long to make; the longest first."""
LONG = (
    "tests/integration/test_demo.py",
    "tests/integration/test_modes.py",
    "tests/integration/test_installation.py",
    "tests/integration/worker/",
    "tests/integration/shim_http/",
)
"""What waits for processes for long begins next, so that it doesn't end last: first the demo, whose
worker gets what others leave of the processor. A file of one test keeps the next beside it waiting,
which therefore is a short one.
"""


hypothesis.settings.register_profile(
    "cdesk",
    parent=hypothesis.settings.get_profile("default"),
    derandomize=False,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # a busy machine is no slow strategy
)
hypothesis.settings.load_profile("cdesk")


def pytest_configure(config: pytest.Config) -> None:
    """Properties draw other examples in each run, the same in all processes of one run."""
    if config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(random.SystemRandom().randrange(2**32))
    hypothesis.core.global_force_seed = int(config.option.hypothesis_seed)
    # Each connection of the Snowflake connector asks the computer's network otherwise which cloud it
    # is in, and waits for the answers.
    os.environ.setdefault("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")
    gc.disable()  # nothing that collecting the tests makes is garbage
    economy.compile_when_used()
    begin_elsewhere(config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Each test draws examples of its own: with one seed for all, those of a property would be the
    same for each of its parameters.
    """
    seed = f"{item.config.option.hypothesis_seed} {item.nodeid}"
    hypothesis.core.global_force_seed = zlib.crc32(seed.encode())


@pytest.hookimpl(trylast=True)  # Hypothesis evaluates no strategy before its own hook has run
def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    if getattr(config, "workerinput", None) is None and config.getoption("numprocesses", None):
        # Which characters there are takes a second to find out, and is kept in .hypothesis: by the
        # process that waits for the others, before they ask.
        threading.Thread(target=strategies.text().validate, daemon=True).start()


def begin_elsewhere(config: pytest.Config) -> None:
    """Each process of a run begins to collect at another file, so that it finds most of them
    rewritten by the others (pytest keeps what it has rewritten, where Python may write).
    """
    worker = getattr(config, "workerinput", None)
    if worker is None or config.option.ignore:
        return
    if [Path(argument).resolve() for argument in config.args] == [ROOT / "tests"]:
        files = sorted(str(path) for path in (ROOT / "tests").rglob("test_*.py"))
        number = int(worker["workerid"].removeprefix("gw"))
        first = len(files) * number // worker["workercount"]
        config.args = files[first:] + files[:first]


def pytest_collection_finish() -> None:
    gc.freeze()
    # The tests' own objects: what dbt, sqlglot and sqlfluff allocate by the hundred thousand is
    # mostly kept, and looked through for nothing at Python's thresholds (a tenth of the time).
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    seed = config.getoption("hypothesis_seed", None)
    terminalreporter.write_line(f"properties drew with --hypothesis-seed={seed}")


def unit_of(nodeid: str) -> str:
    """Tests of one unit run in one process: those of UNITS, else those of a file."""
    file = nodeid.partition("::")[0]
    return next((unit for unit, begins in UNITS.items() if file.startswith(begins)), file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that two processes end at about the same time."""
    units = list(UNITS)

    def place(item: pytest.Item) -> tuple[int, int, bool, str]:
        file = item.nodeid.partition("::")[0]
        unit = unit_of(file)
        rank = units.index(unit) if unit in units else len(units)
        long = next((at for at, name in enumerate(LONG) if file.startswith(name)), len(LONG))
        return rank, long, "/integration/" not in file, file

    items.sort(key=place)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For `-n`: https://pytest-xdist.readthedocs.io/en/stable/distribution.html"""
    from xdist.scheduler import LoadScopeScheduling

    class ByUnit(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    return ByUnit(config, log)


_homes = itertools.count()


@pytest.fixture(autouse=True)
def _own_settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the state directory of the person who runs it."""
    for name in [name for name in os.environ if name.startswith("CDESK_")]:
        monkeypatch.delenv(name)
    if "tmp_path" in request.fixturenames:
        home = request.getfixturevalue("tmp_path") / "home"
    else:  # pytest looks through all folders of a run to name the next: none where none is used
        folder = request.getfixturevalue("tmp_path_factory").getbasetemp() / "homes"
        folder.mkdir(exist_ok=True)
        home = folder / str(next(_homes))
    monkeypatch.setenv("CDESK_HOME", str(home))
    monkeypatch.setenv("CDESK_CUSTOMER", "ada@example.com")
    monkeypatch.setenv("CDESK_WORKER", "off")
    monkeypatch.setenv("CDESK_RENDER", "off")


@contextlib.contextmanager
def _logging_as_it_was() -> Iterator[None]:
    """What a command sets up in this process is no other test's: which levels are heard, and where
    it goes.
    """
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, OURS)]
    levels, handlers = [one.level for one in loggers], list(root.handlers)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    for handler in list(root.handlers):
        if handler not in handlers and not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)
            handler.close()


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    with _logging_as_it_was():
        yield


@pytest.fixture(scope="module", autouse=True)
def _own_logging_of_a_module() -> Iterator[None]:
    with _logging_as_it_was():
        yield


@pytest.fixture(scope="session", autouse=True)
def _forked_builders() -> Iterator[None]:
    """Builders that a test starts in its own process need not import dbt (tests/forked.py)."""
    with pytest.MonkeyPatch.context() as patch:
        if forked.CAN_FORK:
            patch.setattr(build, "start_child", forked.start_builder)
        yield


@pytest.fixture
def state_home(tmp_path: Path) -> StateDirectory:
    """The state directory that a command run by this test uses."""
    return StateDirectory(tmp_path / "home").ensure()


UNDER_UMASK_0 = (
    "import os, sys; os.umask(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
"""`python -c` with this runs Python with what follows, every mode allowed to what it makes."""


def place_of_first_round(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `first_round` stands once a process of this run has made it."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "first_round"


@pytest.fixture(scope="session")
def first_round(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory after the first `cdesk worker --once`, with nothing in it yet: made once
    for all processes of a test run. Copy it.

    Made under umask 0, so that the modes of its files are what cdesk gives them.
    """
    made = place_of_first_round(tmp_path_factory)
    shared, lock = made.parent, FileLock(made.with_name("first_round.lock"))
    while not lock.acquire():
        time.sleep(0.2)
    try:
        if not made.exists():
            home = shared / "first_round_in_work" / "home"
            run = subprocess.run(
                [
                    *(sys.executable, "-c", UNDER_UMASK_0),
                    *("-m", "cdesk_app.cli.main", "worker", "--once", "--json"),
                ],
                env={
                    **os.environ,
                    "CDESK_HOME": str(home),
                    "CDESK_CUSTOMER": "ada@example.com",
                    "CDESK_WORKER": "off",
                    "CDESK_RENDER": "off",
                },
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            assert run.returncode == 0, run.stderr
            report = json.loads(run.stdout)
            assert report["builds"] == 1
            assert report["templates"]
            assert report["failed_tests"] == [], "the data tests of a new directory"
            home.rename(made)
    finally:
        lock.release()
    return made
