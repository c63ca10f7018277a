"""A query's answer without credentials, and where others look on without personal data, before it
is stored or shown: every text, unless its column is declared safe.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cdesk.contract import redaction
from cdesk.contract.redaction import key_label, redact_value
from cdesk.contract.redaction.passes import PASSES

if TYPE_CHECKING:
    import pyarrow as pa

_SHORT: Final = 256


@functools.cache
def redaction_version() -> str:
    """Changes with the list, names of keys and rules of documents included: an answer that an
    older one let through stands no more.
    """
    digest = hashlib.sha256(repr(PASSES).encode())
    for module in sorted(Path(redaction.__file__).parent.glob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()[:16]


def redact_batches(
    batches: Iterable[pa.RecordBatch], *, personal: bool, safe: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """The batches, of the same schema, with what `redact_value` finds in their texts replaced.

    A column that is called like a credential or, where `personal`, like personal data is replaced
    whole. Numbers stay: they are what the engine computed.
    """
    import pyarrow as pa  # here: an idle worker does without

    for batch in batches:
        columns = [
            column
            if name in safe
            else _redacted(column, key_label(name, personal=personal), personal)
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _redacted(column: pa.Array, label: str, personal: bool) -> pa.Array:
    import pyarrow as pa

    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):  # JSON, which is text underneath
        return pa.ExtensionArray.from_storage(kind, _redacted(column.storage, label, personal))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _mapped(column, lambda text: _of_text(text, label, personal))
    if pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type):
        return _redacted(column.cast(kind.value_type), label, personal).cast(kind)
    if pa.types.is_nested(kind):
        values = [_of_nested(value, personal) for value in column.to_pylist()]
        return pa.array(values, kind)
    return column


def _mapped(column: pa.Array, change: Callable[[str], str]) -> pa.Array:
    """Each distinct text is looked at once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = pc.dictionary_encode(column.cast(pa.large_string()))
    texts = encoded.dictionary.to_pylist()
    changed = [change(text) for text in texts]
    if changed == texts:
        return column
    return pa.array(changed, pa.large_string()).take(encoded.indices).cast(column.type)


def _of_text(text: str, label: str, personal: bool) -> str:
    return (_seen_before if len(text) <= _SHORT else _looked_at)(text, label, personal)


@functools.lru_cache(maxsize=8_192)
def _seen_before(text: str, label: str, personal: bool) -> str:
    """One question's texts are mostly those of the one before: names, ids, short documents."""
    return _looked_at(text, label, personal)


def _looked_at(text: str, label: str, personal: bool) -> str:
    if label and text and not text.startswith("["):
        return f"[{label}]"
    return str(redact_value(text, personal=personal))


def _of_nested(value: Any, personal: bool) -> Any:
    """A list, struct or map, whose shape stays: only its texts change."""
    if isinstance(value, str):
        return _of_text(value, "", personal)
    if isinstance(value, dict):
        return {
            key: _of_text(item, key_label(key, personal=personal), personal)
            if isinstance(item, str)
            else _of_nested(item, personal)
            for key, item in value.items()
        }
    if isinstance(value, tuple):
        return tuple(_of_nested(item, personal) for item in value)
    if isinstance(value, list):
        return [_of_nested(item, personal) for item in value]
    return value
