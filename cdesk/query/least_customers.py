"""Rows of fewer customers than the caller is shown, left out of an answer before anything of it is
kept: its file, pages, summary, counts, evidence and proof are of what remains
(docs/safesql.md, "Few customers").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cdesk.contract.catalog import NO_CUSTOMERS
from cdesk.query.request import QueryRequest

if TYPE_CHECKING:
    import pyarrow as pa


class FewCustomers:
    """Leaves out of one answer what is of too few customers, and counts it."""

    def __init__(self, request: QueryRequest) -> None:
        self._least = request.caller.least_customers
        self._column = request.template.customers_behind_row
        self._own_rows_only = request.own_rows_only
        self._applies = applies(request)
        self.left_out = 0

    def without(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches without such rows. A row whose customers nothing counts is one of them."""
        for batch in batches:
            kept = self._kept(batch) if self._applies else batch
            self.left_out += batch.num_rows - kept.num_rows
            yield kept

    def _kept(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self._column not in batch.schema.names:
            return batch.slice(0, 0)
        import pyarrow.compute as pc  # here: an idle worker does without

        enough = pc.greater_equal(batch.column(self._column), self._least)
        return batch.filter(pc.fill_null(enough, fill_value=False))

    @property
    def note(self) -> str | None:
        """What the answer says of it."""
        if self._own_rows_only:
            return (
                f"only this customer's rows: a row of others would be of one customer, fewer than "
                f"{self._least}"
            )
        if not self.left_out:
            return None
        return f"left out {self.left_out:,} rows of fewer than {self._least} customers"


def applies(request: QueryRequest) -> bool:
    """Whether rows may have to be left out of the answer to `request`."""
    return (
        request.sees_everyone
        and request.caller.least_customers > 1
        and request.template.customers_behind_row != NO_CUSTOMERS
    )
