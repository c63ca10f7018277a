"""Seeds for every round, and the report that a whole run (`make chaos`) writes to
docs/reliability.md.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos_harness import Outcome, Round
from chaos_report import write_report

_OUTCOMES: list[Outcome] = []


@pytest.fixture
def outcomes() -> list[Outcome]:
    """Where a round puts what it came to."""
    return _OUTCOMES


@pytest.fixture
def chaos(tmp_path: Path) -> Iterator[Callable[..., Round]]:
    """Makes rounds, by a seed of their own or the one of CDESK_CHAOS_SEED; ends their processes
    whatever happens.
    """
    rounds: list[Round] = []

    def make(scenario: str, number: int = 0) -> Round:
        given = os.environ.get("CDESK_CHAOS_SEED")
        seed = int(given) if given else random.SystemRandom().randrange(2**32)
        rounds.append(Round(scenario, seed, tmp_path / f"round-{len(rounds)}-{number}"))
        return rounds[-1]

    yield make
    for one in rounds:
        one.close()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Only a run that kept its promise is reported; one that did not has said so already."""
    marks = session.config.getoption("markexpr")
    if _OUTCOMES and exitstatus == 0 and "chaos" in marks and "not chaos" not in marks:
        write_report(_OUTCOMES)
