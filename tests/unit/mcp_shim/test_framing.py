"""Lines that no server can serve: who waits for an answer gets one, and nobody else does."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from mcp_types.jsonrpc import (
    INVALID_REQUEST,
    PARSE_ERROR,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCResponse,
)

from mcp_shim.transports.framing import (
    HEAD_BYTES,
    TAIL_BYTES,
    Batch,
    LineSplitter,
    MessageTooLong,
    encode_message,
    encode_result,
    normalise,
    parse_message,
    refuse,
    split_batch,
)

NONE = object()
LONE = b'"params":{"a":"\\ud800"}'


def refused(line: bytes) -> Any:
    """The id and code of the answer to a line that cannot be served; NONE where there is none."""
    answer = refuse(line, parse_message(line))
    if answer is None:
        return NONE
    assert answer.endswith(b"}\n")
    assert answer.count(b"\n") == 1
    told = orjson.loads(answer)
    assert told.keys() == {"jsonrpc", "id", "error"}
    return told["id"], told["error"]["code"]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        # What is served, or that nobody waits for.
        (b'{"jsonrpc":"2.0","id":1,"method":"x"}', NONE),
        (b'{"jsonrpc":"2.0","method":"x"}', NONE),
        (b'{"jsonrpc":"2.0","method":"x","params":{"id":1}}', NONE),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', NONE),
        (b'{"jsonrpc":"2.0","id":1,"error":{"code":"?"}}', NONE),
        (b'{"id":1}', NONE),
        (b"no JSON", NONE),
        (b'[{"method":"x","id":1}]', NONE),
        (b'{"jsonrpc":"2.0","method":5}', NONE),
        # An id that the SDK takes for none.
        (b'{"jsonrpc":"2.0","id":1.5,"method":"x"}', (1.5, INVALID_REQUEST)),
        (b'{"jsonrpc":"2.0","id":null,"method":"x"}', (None, INVALID_REQUEST)),
        (b'{"jsonrpc":"2.0","id":true,"method":"x"}', (None, INVALID_REQUEST)),
        (b'{"jsonrpc":"2.0","id":[7],"method":"x"}', (None, INVALID_REQUEST)),
        # Whole JSON, and no request of the protocol.
        (b'{"jsonrpc":"1.0","id":7,"method":"x"}', (7, INVALID_REQUEST)),
        (b'{"id":"\xc3\xa9\\"","method":"x"}', ('\u00e9"', INVALID_REQUEST)),
        (b'{"params":{"id":8},"id":7,"method":5}', (7, INVALID_REQUEST)),
        (b'{"jsonrpc":"2.0","id":7,"method":"x","params":[]}', (7, INVALID_REQUEST)),
        # No JSON that can be read: the id stands where a request's stands.
        (b'{"jsonrpc":"2.0","id":7,"method":"x",' + LONE + b"}", (7, PARSE_ERROR)),
        (b'{"jsonrpc":"2.0","id":7,"method":"x"', (7, PARSE_ERROR)),
        (b' {"method" : "x" , "jsonrpc":"2.0" , "id" : -7 , ?', (-7, PARSE_ERROR)),
        (b'{"id":"a\\"b","method":"x",?', ('a"b', PARSE_ERROR)),
        (b'{"method":"x","params":{"id":1,?},"id":7}', (7, PARSE_ERROR)),
        (b'{"params":[?] , "method":"x" , "id":"7" , "jsonrpc":"2.0" } ', ("7", PARSE_ERROR)),
        (b'{"method":"x","params":{"id":1,?}}', NONE),
        (b'{"params":{"id":1},"method":"x",?', NONE),
        (b'{"id":"\xff","method":"x",?', NONE),
        (b'{"id":7,?', NONE),
    ],
)
def test_a_request_that_cannot_be_served_is_answered_under_its_id(line: bytes, answer: Any) -> None:
    assert refused(line) == answer


def test_an_id_that_no_number_can_hold_comes_back_as_it_was_written() -> None:
    digits = b"1" * 5_000
    line = b'{"jsonrpc":"2.0","id":' + digits + b',"method":"x","params":[]}'
    answer = refuse(line, parse_message(line))
    assert answer is not None
    assert answer.startswith(b'{"jsonrpc":"2.0","id":' + digits + b',"error":{"code":')


def test_what_is_wrong_is_said_in_words_that_fit() -> None:
    def said(line: bytes | MessageTooLong, parsed: Any) -> str:
        answer = refuse(line, parsed)
        assert answer is not None
        return str(orjson.loads(answer)["error"]["message"])

    broken, odd = b'{"id":7,"method":"x"', b'{"id":7,"method":5}'
    assert said(broken, parse_message(broken)).startswith("the request cannot be read: it is no")
    assert said(odd, parse_message(odd)).startswith("the request is not valid: jsonrpc is to be")
    long = MessageTooLong(9_000_000, 8_388_608, b'{"id":7,"method":"x"', b"")
    assert said(long, long) == (
        "the request cannot be read: it is a message of 9,000,000 bytes; at most 8,388,608"
    )


@pytest.mark.parametrize(
    ("head", "tail", "answer"),
    [
        (b'{"id":7,"method":"x","params":"', b'"}', b"7"),
        (b'{"method":"x","params":"', b'"},"id":8}', b"8"),
        (b'{"id":7,"params":"', b'"},"id":8}', b"7"),
        (b'{"method":"x","params":"', b'"}', None),
        (b'{"id":"\xff","method":"x"', b'"}', None),
    ],
)
def test_of_a_line_that_is_too_long_the_ends_tell_the_id(
    head: bytes, tail: bytes, answer: bytes | None
) -> None:
    long = MessageTooLong(100, 10, head, tail)
    told = refuse(long, long)
    if answer is None:
        assert told is None
    else:
        assert told is not None
        assert told.startswith(b'{"jsonrpc":"2.0","id":' + answer + b',"error":{"code":-32600,')


def test_what_stands_before_a_message_is_taken_off() -> None:
    assert normalise(b"{} \n") == b"{} \n"
    assert normalise(b'\xef\xbb\xbf \x00\t{"a":"\xef\xbb\xbf"}') == b'{"a":"\xef\xbb\xbf"}'
    assert normalise(b" \xef\xbb\xbf[1]") == b"[1]"
    assert normalise(b" \n") == b""


def test_bytes_that_are_no_text_become_the_sign_for_it() -> None:
    message = parse_message(b'{"jsonrpc":"2.0","method":"x","params":{"a":"\xff"}}')
    assert isinstance(message, JSONRPCNotification)
    assert message.params == {"a": "\ufffd"}
    assert isinstance(parse_message(b"\xff"), ValueError)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (b"[]", []),
        (b"[ \t]  ", []),
        (b'[1,{"a":[2]} , "x"]\r', [b"1", b'{"a":[2]}', b'"x"']),
        (b"[ " + b"9" * 5_000 + b"]", [b"9" * 5_000]),
        (b'["\xff"]', ['"\ufffd"'.encode()]),
        (b"[1,]", None),
        (b"[,1]", None),
        (b"[1 2]", None),
        (b"[1", None),
        (b"[1,", None),
        (b"[", None),
        (b"[1]x", None),
        (b"[1] ,", None),
        (b"[" * 100_000, None),
    ],
)
def test_a_batch_is_taken_apart_as_it_is_written(line: bytes, parts: list[bytes] | None) -> None:
    assert split_batch(line) == parts


def test_a_batch_is_answered_once_all_its_requests_are() -> None:
    sent: list[bytes] = []
    batch = Batch(sent.append)
    batch.waiting.update((1, 2))
    batch.add(b'{"id":1}\n')
    batch.waiting.discard(1)
    batch.finish()
    assert sent == []
    batch.waiting.discard(2)
    batch.add(None)  # nobody waits for it any more
    batch.add(b'{"id":3}')
    for _ in range(2):
        batch.finish()
    assert sent == [b'[{"id":1},{"id":3}]\n']
    Batch(sent.append).finish()
    assert len(sent) == 1, "notifications alone have no answer"


def long_lines(data: bytes, size: int, limit: int) -> list[bytes | MessageTooLong]:
    splitter = LineSplitter(limit)
    return [
        one
        for start in range(0, len(data), size)
        for one in splitter.feed(data[start : start + size])
    ]


@pytest.mark.parametrize("size", [1, 3, 5_000, 20_000])
def test_a_line_is_too_long_beyond_the_limit_and_keeps_its_ends(size: int) -> None:
    head, tail = b"<" * HEAD_BYTES, b">" * TAIL_BYTES
    fits = head + tail
    data = fits + b"\n" + head + b"|" + tail + b"\n" + b"x" * len(fits) + b"\n \n\nlast\n"
    one, long, other, last = long_lines(data, size, len(fits))
    assert (one, other, last) == (fits, b"x" * len(fits), b"last")
    assert isinstance(long, MessageTooLong)
    assert (long.head, long.tail) == (head, tail)
    assert str(long) == "a message of 5,121 bytes; at most 5,120"


def test_what_is_left_at_the_end_of_input_is_a_line_where_it_is_one() -> None:
    splitter = LineSplitter(limit=8)
    assert list(splitter.feed(b"a\n \t")) == [b"a"]
    assert splitter.finish() is None
    assert list(splitter.feed(b"b")) == []
    assert splitter.finish() == b"b"
    assert splitter.finish() is None, "once"
    assert list(splitter.feed(b"123456789")) == []
    assert splitter.finish() is None, "of one that is too long only the end"


def test_answers_are_one_line_of_the_protocol_each() -> None:
    assert encode_result("a", {"x": [1, None]}) == (
        b'{"jsonrpc":"2.0","id":"a","result":{"x":[1,null]}}\n'
    )
    big = encode_result(1, {"x": 2**64, "y": orjson.Fragment(b'{"a":1}')})
    assert big == b'{"jsonrpc":"2.0","id":1,"result":{"x":18446744073709551616,"y":{"a":1}}}\n'
    response = JSONRPCResponse(jsonrpc="2.0", id=1, result={"_meta": {"a": 1}})
    assert encode_message(response) == b'{"jsonrpc":"2.0","id":1,"result":{"_meta":{"a":1}}}\n'
    notification = JSONRPCNotification(jsonrpc="2.0", method="notifications/x")
    assert encode_message(notification) == b'{"jsonrpc":"2.0","method":"notifications/x"}\n'
    failed = JSONRPCError.model_validate(
        {"jsonrpc": "2.0", "id": 1, "error": {"code": 5, "message": "m"}}
    )
    assert encode_message(failed) == (
        b'{"jsonrpc":"2.0","id":1,"error":{"code":5,"message":"m"}}\n'
    )
