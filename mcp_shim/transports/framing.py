"""The framing of MCP over a byte stream: one JSON-RPC message a line, parsed by the SDK's own
models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import orjson
from mcp_types import RequestId
from mcp_types.jsonrpc import (
    INVALID_REQUEST,
    PARSE_ERROR,
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
"""How much to keep of a line that is too long: a request's id stands before or after its
parameters.
"""


class MessageTooLong(ValueError):
    """A line longer than MAX_MESSAGE_BYTES; `head` and `tail` are its first and last bytes."""

    def __init__(self, size: int, limit: int, head: bytes, tail: bytes) -> None:
        super().__init__(f"a message of {size:,} bytes; at most {limit:,}")
        self.head = head
        self.tail = tail


# -- messages


def parse_message(line: bytes) -> JSONRPCMessage | Exception:
    """One line as the SDK's message, or the exception that its own transport would hand on.

    Bytes that are no UTF-8 become U+FFFD, as they do in the SDK's transport.
    """
    # Without any of these a request or notification cannot be another kind of message, so the SDK's
    # union, which tries every kind, is not needed.
    if b'"error"' not in line and b'"result"' not in line and b"\\u" not in line:
        kind = JSONRPCRequest if b'"id"' in line else JSONRPCNotification
        try:
            message: JSONRPCMessage = kind.__pydantic_validator__.validate_json(line)
        except ValidationError:
            pass  # none of the two: the SDK's union decides
        else:
            return message
    try:
        return jsonrpc_message_adapter.validate_json(line)
    except ValueError as error:
        if (readable := line.decode("utf-8", "replace").encode()) != line:
            return parse_message(readable)
        return error


def normalise(line: bytes) -> bytes:
    """The line without byte-order marks, blanks and control characters before it."""
    return line if line.startswith(b"{") else _BEFORE.sub(b"", line)


# -- what cannot be served

_BEFORE: Final = re.compile(rb"\A(?:\xef\xbb\xbf|[\x00-\x20])+")
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
_UNREADABLE: Final = (
    "the request cannot be read: it is no whole JSON, is nested too deep, or holds a lone "
    "surrogate (\\ud800 to \\udfff) or a number of more than 4,300 digits"
)
_INVALID: Final = (
    'the request is not valid: jsonrpc is to be "2.0", id text or an integer, method text, '
    "params an object"
)


class _Digits(str):
    """A number as it is written: Python reads no integer of more than 4,300 digits."""

    __slots__ = ()


_DECODER: Final = json.JSONDecoder(parse_int=_Digits, parse_float=_Digits)


def refuse(line: bytes | MessageTooLong, item: JSONRPCMessage | Exception) -> bytes | None:
    """The error answer to a request that cannot be served, or None where the line is none.

    The SDK drops a request that it cannot read (too long, a lone surrogate, a huge number, nested
    too deep) and takes one with an id of the wrong type for a notification. Whoever sent it would
    wait for ever, though it said which request it was. What is no request stays dropped.
    """
    if isinstance(line, MessageTooLong):
        return refusal(_scan_id(line.head, line.tail), INVALID_REQUEST, f"{_TOO_LONG} {line}")
    if not isinstance(item, Exception):
        if type(item) is not JSONRPCNotification or b'"id"' not in line:
            return None
        return refusal(_written_id(line), INVALID_REQUEST, _INVALID)
    if b'"method"' not in line:
        return None
    unreadable = (
        isinstance(item, ValidationError)
        and item.errors(include_url=False)[0]["type"] == "json_invalid"
    )
    code, text = (PARSE_ERROR, _UNREADABLE) if unreadable else (INVALID_REQUEST, _INVALID)
    return refusal(_written_id(line), code, text)


_TOO_LONG: Final = "the request cannot be read: it is"


def refusal(written_id: bytes | None, code: int, text: str) -> bytes | None:
    """An error answer to the request of this id, as JSON; None where there is no id."""
    if written_id is None:
        return None
    error = orjson.dumps({"code": code, "message": text})
    return b'{"jsonrpc":"2.0","id":' + written_id + b',"error":' + error + b"}\n"


def _written_id(line: bytes) -> bytes | None:
    """The id of a request as JSON; `null` for one that no answer can bear, None where there is no
    request or it has no id.
    """
    try:
        message = _DECODER.decode(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return _scan_id(line[:HEAD_BYTES], line[-TAIL_BYTES:])
    if not isinstance(message, dict) or "method" not in message or "id" not in message:
        return None
    request_id = message["id"]
    if isinstance(request_id, _Digits):
        return request_id.encode()
    return json.dumps(request_id).encode() if isinstance(request_id, str) else b"null"


def _scan_id(head: bytes, tail: bytes) -> bytes | None:
    """The id of a request that cannot be parsed: a member of the outermost object, with none but
    `jsonrpc` and `method` between it and the object's beginning, or its end.
    """
    found = _ID_BEFORE.match(head) or _ID_BEHIND.search(tail)
    return found[1] if found and _is_utf8(found[1]) else None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# -- batches (protocol 2025-03-26; served whatever the version)

_BLANKS: Final = re.compile(r"[ \t\r\n]*")


def split_batch(line: bytes) -> list[bytes] | None:
    """The messages of a JSON array as they are written, or None where it is none."""
    text = line.decode("utf-8", "replace")
    found: list[bytes] = []
    place = _skip(text, 1)
    while text[place : place + 1] != "]" or found:
        try:
            _, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            return None
        found.append(text[place:end].encode("utf-8", "replace"))
        place = _skip(text, end)
        if text[place : place + 1] != ",":
            break
        place = _skip(text, place + 1)
    return found if text[place : place + 1] == "]" and not text[place + 1 :].strip() else None


def _skip(text: str, place: int) -> int:
    found = _BLANKS.match(text, place)
    assert found is not None  # no blanks are some
    return found.end()


class Batch:
    """The answers to one batch, sent as one array once all have come."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._answers: list[bytes] = []
        self.waiting: set[object] = set()
        """Ids of its requests that have not been answered."""

    def add(self, answer: bytes | None) -> None:
        """Keep one answer (None for a request that nobody waits for any more)."""
        if answer is not None:
            self._answers.append(answer.rstrip(b"\n"))

    def finish(self) -> None:
        """Send the array if it is whole; a batch of notifications has none."""
        if not self.waiting and self._answers:
            self._send(b"[" + b",".join(self._answers) + b"]\n")
            self._answers = []


def refuse_batch(problem: str) -> bytes:
    """The answer to a batch that cannot be taken apart, or to a part of one that is no message."""
    text = f"{problem}: a batch is an array of requests and notifications"
    answer = refusal(b"null", INVALID_REQUEST, text)
    assert answer is not None
    return answer


# -- writing


def encode_result(request_id: RequestId, result: dict[str, Any]) -> bytes:
    """The answer to a request as one line, its line feed included.

    The result is plain JSON data, and may hold `orjson.Fragment`s as values: JSON that is written
    as it stands.
    """
    try:  # several times as fast as the SDK's model
        return orjson.dumps(
            {"jsonrpc": "2.0", "id": request_id, "result": result},
            option=orjson.OPT_APPEND_NEWLINE,
        )
    except TypeError:  # a number beyond 64 bits, the id perhaps: the model can write it
        whole = JSONRPCResponse(jsonrpc="2.0", id=request_id, result=_without_fragments(result))
        return _encode_by_model(whole)


def encode_message(message: JSONRPCMessage) -> bytes:
    """The message as one line, its line feed included. A result as in `encode_result`."""
    if type(message) is JSONRPCResponse:
        return encode_result(message.id, message.result)
    return _encode_by_model(message)


def _encode_by_model(message: JSONRPCMessage) -> bytes:
    return message.model_dump_json(exclude_unset=True).encode("utf-8") + b"\n"


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

    def feed(self, data: bytes) -> Iterable[bytes | MessageTooLong]:
        """The lines that end in `data`; what stands behind the last line feed is kept."""
        whole = len(data) - 1
        if (
            0 <= data.find(b"\n") == whole <= self._limit  # one line, as in most reads
            and not self._rest
            and self._head is None
        ):
            return () if data.isspace() else (data[:whole],)
        return self._split(data)

    def _split(self, data: bytes) -> Iterator[bytes | MessageTooLong]:
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
        """The bytes after the last line feed, if there are any."""
        rest = bytes(self._rest) if self._head is None else b""
        self._rest.clear()
        return rest if rest.strip() else None
