"""Documents of which it is known that nothing in them is redacted: the same keys and short texts
come again and again from a source, and are looked at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from cdesk.contract.redaction.document import redact_value
from cdesk.contract.redaction.keys import key_label

_SHORT: Final = 200
_LEAST_CARD: Final = 1e12
"""Numbers below have fewer digits than any card's."""


def is_known_plain(document: Mapping[str, Any]) -> bool:
    """Whether `redact_fields` leaves a flat document as it is. False where it holds what has to be
    looked at each time: long texts, large numbers, other documents.
    """
    shape: list[tuple[str, str | None]] = []
    for key, item in document.items():
        if isinstance(item, str):
            if len(item) > _SHORT:
                return False
            shape.append((key, item))
        elif isinstance(item, int | float) and item < _LEAST_CARD:
            shape.append((key, None))
        else:
            return False
    return _is_plain(tuple(shape))


@lru_cache(maxsize=16_384)
def _is_plain(shape: tuple[tuple[str, str | None], ...]) -> bool:
    """A number is of no account where nothing names it: neither its own key, which is looked at
    with a text that any label would replace, nor the name in a pair of name and value.
    """
    if any(key_label(key) for key, _ in shape):
        return False
    document = {key: "-" if text is None else text for key, text in shape}
    return redact_value(document) is document
