"""What a rule is, the signs that it may need, and what several kinds of pattern are built of."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple


class Rule(NamedTuple):
    """One kind of thing. `becomes` is a replacement with groups, `[label]` where it is empty.

    `hints` are lower-case texts of which one must occur for the pattern to match at all, `needs`
    the signs (below) of which one must show; without any the pattern is always tried. `check` names
    a test of the match beyond the pattern.
    """

    label: str
    pattern: str
    becomes: str = ""
    check: str = ""
    hints: tuple[str, ...] = ()
    needs: int = 0


# Signs that a text may hold a credential, each found in a fraction of what a pattern costs.
RUN = 1
"""Sixteen characters of a token, key or URL in a row."""
NAME = 2
"""A name such as `password`, as a word or at the end of one."""
AT = 4
"""An @ sign."""
FLAG = 8
"""What commands have: a dash after a space, a here-string, `echo`."""
SCHEME = 16
"""`Bearer` or `Basic`."""
CARD = 32
"""Thirteen digits in a row, or with what people put between them."""

SPACES = " \u00a0\u2007\u2009\u202f"
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"
SEP = f"[{SPACES}{DASHES}./-]"
LETTER = "A-Za-z\u00c0-\u024f"

STAND_IN = Rule("", r"\[(?:secret:)?[a-z_]{2,30}\]", hints=("[",))
"""What stands where something stood: a second pass over it changes nothing."""


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)
