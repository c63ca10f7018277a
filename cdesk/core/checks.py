"""Checks of a value: each takes it and raises ValueError(problem, allowed)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from cdesk.core.errors import shown

MAX_CUSTOMER: Final = 255
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""C0 and C1 control characters."""


def fail(problem: str, allowed: str) -> None:
    raise ValueError(problem, allowed)


def check_text(value: object, *, low: int, high: int, allowed: str) -> None:
    if not isinstance(value, str):
        fail(f"{shown(value)} is {type(value).__name__}", allowed)
    elif not low <= len(value) <= high:
        fail(f"{len(value):,} characters", allowed)
    elif not value.isascii() and not encodable(value):
        fail("holds a lone surrogate, which UTF-8 cannot carry", allowed)


def encodable(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_customer(value: object) -> None:
    allowed = f"1 to {MAX_CUSTOMER} characters, no control characters"
    check_text(value, low=1, high=MAX_CUSTOMER, allowed=allowed)
    if CONTROL.search(str(value)):
        fail("holds a control character", allowed)


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name that is most like another, of which the first 100 characters count; None
    where none is like it.
    """
    import difflib  # only here: a server that makes no mistake starts without it

    return next(iter(difflib.get_close_matches(name[:100], known, n=1, cutoff=cutoff)), None)
