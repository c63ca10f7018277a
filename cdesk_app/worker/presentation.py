"""What an answer gets beside its rows. The renderer stands above the worker, so the command that
starts a worker hands a presenter in; without one, an answer leaves as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from cdesk.artifacts.store import ArtifactStore
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.query.request import QueryRequest


@dataclass(frozen=True, slots=True)
class Presented:
    """An answer with its words and link; `paint` makes the picture of its chart, where it has one
    and that is not there yet.
    """

    answer: dict[str, Any]
    paint: Callable[[], None] | None = None


class Presenter(Protocol):
    """Presents the answers of one state directory. Safe to use from several threads."""

    def present(self, request: QueryRequest, answer: Mapping[str, Any]) -> Presented:
        """The answer with what is said and shown beside it. Never raises for want of a picture."""

    def clean_up(self) -> int:
        """Forget what was made for answers that have gone; how many files."""

    def close(self) -> None:
        """End what was started for it."""


PresenterFactory: TypeAlias = Callable[[Settings, StateDirectory, ArtifactStore, bool], Presenter]
"""(settings, state directory, artifacts, whether the worker stays) → its presenter."""


class PlainPresenter:
    """Leaves answers as they are."""

    def present(self, request: QueryRequest, answer: Mapping[str, Any]) -> Presented:
        del request
        return Presented(dict(answer))

    def clean_up(self) -> int:
        return 0

    def close(self) -> None:
        return


def plain_presenter(
    settings: Settings, home: StateDirectory, artifacts: ArtifactStore, stays: bool
) -> Presenter:
    """The presenter of a worker that nobody handed one."""
    del settings, home, artifacts, stays
    return PlainPresenter()
