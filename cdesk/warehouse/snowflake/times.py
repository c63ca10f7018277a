"""TIMESTAMP_NTZ values, which are in UTC here, and aware datetimes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TICK: Final = timedelta(microseconds=1)


def utc(value: datetime | None) -> datetime | None:
    """A TIMESTAMP_NTZ as an aware datetime."""
    return None if value is None else value.replace(tzinfo=UTC)


def naive_text(value: datetime) -> str:
    """An instant as the text of a TIMESTAMP_NTZ, to the microsecond."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
