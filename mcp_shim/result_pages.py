"""Pages of stored results on the turn path: read where the worker has written them, else asked
for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cdesk.core.clock import format_ts
from cdesk.state.pages import ResultPage, ask_for_page, get_page

if TYPE_CHECKING:
    from mcp_shim.session import Session

RETRY_NS: Final = 30 * 1_000_000_000
"""A page that could not be written is asked for again after that."""


async def page_of(session: Session, artifact_id: str, page: int) -> ResultPage:
    """The page of one of the caller's results; one that isn't written yet is asked for.

    Raises:
        StateDirectoryError: state.db cannot be used.
    """
    customer, state = session.caller.customer, session.app.readers.state
    found = state.read(
        lambda connection: get_page(connection, artifact_id, page, customer=customer)
    )
    now_ns = session.app.readers.now_ns()
    if found is not None and (
        found.error_code is None or found.asked_at > format_ts(now_ns - RETRY_NS)
    ):
        return found
    now = format_ts(now_ns)
    await state.write(
        lambda connection: ask_for_page(connection, artifact_id, page, customer=customer, now=now)
    )
    session.app.records.wake_worker(at_once=True)
    return ResultPage(artifact_id, page, customer, now)


def page_progress(page: ResultPage) -> str:
    """What to say of a page that is waited for."""
    return f"page {page.page:,} is being written; ask again in a moment"
