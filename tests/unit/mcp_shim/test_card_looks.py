from __future__ import annotations

import pytest

from mcp_shim.card_looks import MOST, CardLooks

MS = 1_000_000


@pytest.mark.parametrize(
    ("looked", "done", "shown", "waited"),
    [(0, 500, 700, 200.0), (500, 0, 700, 200.0), (500, 500, 500, 0.0), (500, 900, 700, 0.0)],
    ids=["waits for the query", "comes later", "at once", "the clock was set back"],
)
def test_a_wait_begins_with_the_end_of_the_query_or_the_first_look(
    looked: int, done: int, shown: int, waited: float
) -> None:
    looks = CardLooks()
    looks.look("ticket", looked * MS)
    looks.look("ticket", (looked + 100) * MS)
    assert looks.shown("ticket", done_ns=done * MS, now_ns=shown * MS) == waited
    looks.look("ticket", (shown + 1) * MS)
    assert looks.shown("ticket", done_ns=done * MS, now_ns=(shown + 9) * MS) is None


def test_what_nobody_looked_at_was_not_waited_for_and_few_are_remembered() -> None:
    looks = CardLooks()
    assert looks.shown("ticket", done_ns=0, now_ns=MS) is None
    for number in range(MOST + 1):
        looks.look(str(number), 0)
    assert looks.shown("0", done_ns=0, now_ns=MS) is None
    assert looks.shown("1", done_ns=0, now_ns=MS) == 1.0
