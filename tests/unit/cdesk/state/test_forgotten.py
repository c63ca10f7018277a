"""What was forgotten is hidden for its owner, until a build has long taken it out."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

from contexts import stamp

from cdesk.core.clock import parse_ts
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk.state.forgotten import KEEP_DAYS, forget_hidden, hidden_insights, hide_insight
from cdesk.state.pending import pending_insights
from mcp_shim.context import empty_context, hide


def test_one_hides_ones_own_alone_with_the_older_ones_on_their_way(
    state_home: StateDirectory,
) -> None:
    with closing(open_state(state_home.state_db)) as state:
        for id, customer, metric, minute in (
            ("old", "ada", "m", 0),
            ("named", "ada", "m", 1),
            ("new", "ada", "m", 2),
            ("other", "ada", "n", 0),
            ("theirs", "bob", "m", 0),
        ):
            state.execute(
                "insert into pending_insights (id, customer, ts, subject, metric, value) "
                "values (?, ?, ?, 's', ?, '1')",
                (id, customer, stamp(minute), metric),
            )
        for id in ("named", "theirs"):
            hide_insight(state, id, customer="ada", now=stamp(5))
        assert pending_insights(state) == {"new", "other", "theirs"}
        assert hidden_insights(state, "ada") == {"named", "theirs"}
        assert hidden_insights(state, "bob") == set()
        soon = parse_ts(stamp(5)) + timedelta(days=KEEP_DAYS)
        assert forget_hidden(state, now=soon) == 0
        assert forget_hidden(state, now=soon + timedelta(seconds=1)) == 2


def test_a_fact_takes_the_older_guesses_along() -> None:
    def entry(id: str, minute: int, metric: str = "m") -> dict[str, str]:
        return {"insight_id": id, "subject": "s", "metric": metric, "ts": stamp(minute)}

    sections = empty_context() | {
        "insights": [entry("fact", 2), entry("other", 2, "n")],
        "unverified": [entry("before", 1), entry("after", 3)],
    }
    hide(sections, frozenset(("fact",)))
    left = [item["insight_id"] for name in ("insights", "unverified") for item in sections[name]]
    assert left == ["other", "after"]
