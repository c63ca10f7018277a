"""What is wrong with a text is said with what is allowed."""

from __future__ import annotations

import pytest

from cdesk.core.checks import check_text


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (5, "5 is int"),
        (None, "is NoneType"),
        ("", "0 characters"),
        ("abcd", "4 characters"),
        ("a\ud800", "lone surrogate"),
    ],
)
def test_a_text_that_does_not_fit_is_refused_with_the_reason(value: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        check_text(value, low=1, high=3, allowed="1 to 3 characters")


@pytest.mark.parametrize("value", ["a", "abc", "é", "名前"])
def test_a_text_at_its_bounds_fits(value: str) -> None:
    check_text(value, low=1, high=3, allowed="1 to 3 characters")
