"""The framing of MCP over a byte stream: one JSON-RPC message a line, parsed by the SDK's own
models.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import orjson
from mcp.shared.message import SessionMessage
from mcp_types.jsonrpc import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
"""A longer line is skipped up to its line feed; where it was a request, the answer says so."""
HEAD_BYTES: Final = 4_096
TAIL_BYTES: Final = 1_024
"""What is kept of a line that is too long: a request's id stands before its parameters, or behind
them.
"""


class MessageTooLong(ValueError):
    """A line longer than MAX_MESSAGE_BYTES; `head` and `tail` are its first and last bytes."""

    def __init__(self, size: int, limit: int, head: bytes, tail: bytes) -> None:
        super().__init__(f"a message of {size:,} bytes; at most {limit:,}")
        self.head = head
        self.tail = tail


# -- messages

_AMBIGUOUS: Final = (b'"error"', b'"result"', b"\\u")
"""A line without any of these that is a request or a notification is nothing else (the SDK's union
tries every kind, which takes time).
"""


def parse_message(line: bytes) -> SessionMessage | Exception:
    """One line as the SDK's message, or the exception that its own transport would hand on."""
    if not any(mark in line for mark in _AMBIGUOUS):
        kind = JSONRPCRequest if b'"id"' in line else JSONRPCNotification
        try:
            return SessionMessage(kind.model_validate_json(line, by_name=False))
        except ValidationError:
            pass  # none of the two: the SDK's union decides
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


_ID: Final = rb'"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+)'
_SCALARS: Final = rb'"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"'
_ID_BEFORE: Final = re.compile(rb"\s*\{\s*(?:" + _SCALARS + rb"\s*,\s*)*" + _ID)
_ID_BEHIND: Final = re.compile(
    rb"[}\]]\s*,\s*(?:"
    + _SCALARS
    + rb"\s*,\s*)*"
    + _ID
    + rb"(?:\s*,\s*"
    + _SCALARS
    + rb")*\s*\}\s*\Z"
)


def refuse_unreadable(line: bytes | MessageTooLong, error: Exception) -> bytes | None:
    """The error answer to a request that cannot be read (too long, a lone surrogate, nesting beyond
    the parser's bound), or None.

    The SDK drops such a line; whoever sent it would wait for ever, though it said which request it
    was. Everything else that is dropped (no JSON, no request, no id) stays so.
    """
    if isinstance(line, MessageTooLong):
        request_id = _scan_id(line.head, line.tail)
        text = f"the request cannot be read: it is {line}"
        code = INVALID_REQUEST
    else:
        if (
            not isinstance(error, ValidationError)
            or error.errors(include_url=False)[0]["type"] != "json_invalid"
        ):
            return None
        request_id = _parsed_id(line)
        text = "the request cannot be read: it holds a lone surrogate (\\ud800 to \\udfff), or is nested too deep"
        code = PARSE_ERROR
    if isinstance(request_id, bool) or not isinstance(request_id, str | int):
        return None
    answer = JSONRPCError(jsonrpc="2.0", id=request_id, error=ErrorData(code=code, message=text))
    with contextlib.suppress(ValueError):  # an id that UTF-8 cannot carry
        return encode_message(answer)
    return None


def _parsed_id(line: bytes) -> object:
    try:
        message = json.loads(line)
    except RecursionError:
        return _scan_id(line[:HEAD_BYTES], line[-TAIL_BYTES:])
    except ValueError:
        return None
    return message.get("id") if isinstance(message, dict) and "method" in message else None


def _scan_id(head: bytes, tail: bytes) -> object:
    """The id of a request that cannot be parsed: a member of the outermost object, with none but
    `jsonrpc` and `method` between it and the object's beginning, or its end.
    """
    found = _ID_BEFORE.match(head) or _ID_BEHIND.search(tail)
    return json.loads(found[1]) if found else None


def encode_message(message: JSONRPCMessage) -> bytes:
    """The message as one line, its line feed included.

    A result may hold `orjson.Fragment`s as values: JSON that is written as it stands.
    """
    if type(message) is JSONRPCResponse:
        # The result is plain JSON data by now; orjson writes it several times as fast as the model
        # does.
        try:
            return orjson.dumps(
                {"jsonrpc": "2.0", "id": message.id, "result": message.result},
                option=orjson.OPT_APPEND_NEWLINE,
            )
        except TypeError:  # a number beyond 64 bits, the id perhaps: the model can write it
            message = message.model_copy(update={"result": _without_fragments(message.result)})
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode("utf-8") + b"\n"


def _without_fragments(result: dict[str, Any]) -> dict[str, Any]:
    return {
        name: orjson.loads(orjson.dumps(value)) if isinstance(value, orjson.Fragment) else value
        for name, value in result.items()
    }


class LineSplitter:
    """Cuts a stream of bytes into lines; an overlong line becomes one `MessageTooLong`."""

    def __init__(self, limit: int = MAX_MESSAGE_BYTES) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._head: bytes | None = None
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes | MessageTooLong]:
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            piece = data[start:end]
            start = end + 1
            if self._rest or self._head is not None:
                self._take(piece)
                piece = bytes(self._rest)
                self._rest.clear()
            if self._head is not None:
                yield MessageTooLong(self._size, self._limit, self._head, piece[-TAIL_BYTES:])
                self._head = None
            elif len(piece) > self._limit:
                yield MessageTooLong(
                    len(piece), self._limit, piece[:HEAD_BYTES], piece[-TAIL_BYTES:]
                )
            elif not piece.isspace() and piece:
                yield piece
        if start < len(data):
            self._take(data[start:])

    def _take(self, piece: bytes) -> None:
        """Keep a part of a line; of one that is too long only its beginning and its end."""
        self._rest += piece
        if self._head is not None:
            self._size += len(piece)
        elif len(self._rest) > self._limit:
            self._head, self._size = bytes(self._rest[:HEAD_BYTES]), len(self._rest)
        if self._head is not None:
            del self._rest[:-TAIL_BYTES]

    def finish(self) -> bytes | None:
        """What came after the last line feed, if it is a message without its end."""
        rest = bytes(self._rest) if self._head is None else b""
        self._rest.clear()
        return rest if rest.strip() else None
