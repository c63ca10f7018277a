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
_A_SECRET: Final = "password"
"""A name whose value is a credential."""
_LEAST_CARD: Final = 1e12
"""Numbers below have fewer digits than any card's."""


def is_known_plain(document: Mapping[str, Any]) -> bool:
    """Whether `redact_fields` leaves a flat document as it is. False where it holds what has to be
    looked at each time: long texts, large numbers, other documents.
    """
    for item in document.values():
        kind = type(item)
        if kind is int or kind is float or kind is bool:
            if item >= _LEAST_CARD:
                return False
        elif kind is not str or (item not in _PLAIN_TEXTS and not _is_plain_text(item)):
            return False
    return _are_plain_keys(tuple(document))


_PLAIN_TEXTS: Final[set[str]] = set()
"""Texts that were looked at and are left as they are."""
_MOST_TEXTS: Final = 65_536


def _is_plain_text(text: str) -> bool:
    if len(text) > _SHORT or redact_value(text) is not text:
        return False
    if len(_PLAIN_TEXTS) >= _MOST_TEXTS:
        _PLAIN_TEXTS.clear()
    _PLAIN_TEXTS.add(text)
    return True


@lru_cache(maxsize=4_096)
def _are_plain_keys(keys: tuple[str, ...]) -> bool:
    """Whether nothing is redacted for its key's sake: not for what it is called, and not for what
    the name in a pair of name and value says, whatever that is. Then each text stands for itself,
    and a number is of no account.
    """
    if any(key_label(key) for key in keys):
        return False
    documents = ({key: _A_SECRET if key == name else "-" for key in keys} for name in keys)
    return all(redact_value(document) is document for document in documents)
