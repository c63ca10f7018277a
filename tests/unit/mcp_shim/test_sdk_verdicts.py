"""What the SDK is asked once says the same as the SDK asked each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mcp_types as types
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import methods
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from mcp_shim import sdk_verdicts
from mcp_shim.sdk_verdicts import ANSWER, MOST_KEPT, PlainCall, Verdicts, form_of

VERSIONS = (*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS)
NAMES = ("validate_client_request", "validate_client_notification", "serialize_server_result")
NOTHING_KEPT = Path("no", "such", "folder", "verdicts.json")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PARAMS = st.dictionaries(st.sampled_from(("name", "arguments", "_meta", "task", "x")), JSON)
PLAIN = st.fixed_dictionaries(
    {"name": st.text(), "arguments": st.dictionaries(st.text(), JSON) | st.none()}
)


@pytest.fixture(scope="module")
def sdk() -> Iterator[dict[str, Callable[..., Any]]]:
    """The SDK's own functions, while the remembering ones stand in their place."""
    own = {name: getattr(methods, name) for name in NAMES}
    sdk_verdicts.remember(Verdicts(NOTHING_KEPT, ["sdk 1"]))
    yield own
    for name, function in own.items():
        setattr(methods, name, function)


def outcome(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except (KeyError, ValidationError) as error:
        return type(error), str(error)


@given(st.sampled_from(VERSIONS), PARAMS | PLAIN)
def test_a_call_is_valid_where_the_sdk_says_so(
    sdk: dict[str, Callable[..., Any]], version: str, params: dict[str, Any]
) -> None:
    for method in ("tools/call", "prompts/get", "tools/list", "initialize", "no/such"):
        said = [
            outcome(lambda ask=ask, method=method: ask(method, version, params))
            for ask in (methods.validate_client_request, sdk["validate_client_request"])
        ]
        assert said[0] == said[1]


@given(PARAMS | PLAIN)
def test_the_handler_gets_the_name_and_arguments_that_the_sdk_would_give_it(
    params: dict[str, Any],
) -> None:
    def seen(kind: Any) -> object:
        made = kind.model_validate(params, by_name=False)
        return made.name, made.arguments

    assert outcome(lambda: seen(PlainCall)) == outcome(lambda: seen(types.CallToolRequestParams))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "data",
    [
        ANSWER,
        {**ANSWER, "isError": True},
        {**ANSWER, "content": [{"type": "text", "text": "no"}], "isError": True},
        {**ANSWER, "odd": 1},
    ],
)
def test_an_answer_has_the_shape_that_the_sdk_gives_it(
    sdk: dict[str, Callable[..., Any]], version: str, data: dict[str, Any]
) -> None:
    shaped = sdk["serialize_server_result"]("tools/call", version, data)
    for _ in range(2):
        found = methods.serialize_server_result("tools/call", version, data)
        assert found == shaped
        found["content"].append("of this answer alone")


def test_the_sdk_is_asked_once_for_each_form_and_each_time_for_any_other() -> None:
    asked: list[tuple[str, object]] = []
    validate = sdk_verdicts._validating(
        lambda _, version, params: asked.append((version, params)),
        Verdicts(NOTHING_KEPT, ["sdk 1"]),
    )
    plain = {"name": "a", "arguments": {"x": 1}}
    for version in ("1", "2"):
        for params in (plain, {"name": "b", "arguments": {}}, {"name": "c", "arguments": None}):
            validate("tools/call", version, params)
    assert [version for version, _ in asked] == ["1", "1", "2", "2"]
    for odd in ({**plain, "_meta": {}}, {"name": "a"}, {"name": 1, "arguments": {}}, None):
        asked.clear()
        for _ in range(2):
            validate("tools/call", "1", odd)
        assert len(asked) == 2
    assert form_of({"name": "a", "arguments": []}) is list


def test_a_form_that_the_sdk_refuses_is_put_to_it_again() -> None:
    def refuse(*_: object) -> None:
        raise KeyError("no")

    validate = sdk_verdicts._validating(refuse, Verdicts(NOTHING_KEPT, ["sdk 1"]))
    for method in ("tools/call", "tools/list"):
        for _ in range(2):
            with pytest.raises(KeyError):
                validate(method, "1", {"name": "a", "arguments": []})


def test_remembering_again_puts_the_sdks_own_functions_behind_it(
    sdk: dict[str, Callable[..., Any]],
) -> None:
    sdk_verdicts.remember(Verdicts(NOTHING_KEPT, ["sdk 1"]))
    for name, function in sdk.items():
        assert getattr(methods, name).asked_once is function


# -- from one start to the next

HELLO = ("initialize", "2025-11-25", {"protocolVersion": "2025-11-25", "n": [1, None]})


class Sdk:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def take(self, *asked: Any) -> None:
        self.asked.append(asked)

    def shape(self, *asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return {"shaped": [asked[1]]}


def test_what_the_sdk_has_said_counts_for_the_next_start(tmp_path: Path) -> None:
    path, first, second = tmp_path / "verdicts.json", Sdk(), Sdk()
    for sdk in (first, second):
        verdicts = Verdicts(path, ["sdk 1"])
        for _ in range(2):
            verdicts.taken(sdk.take, *HELLO)
            assert verdicts.shaped(sdk.shape, *HELLO) == {"shaped": ["2025-11-25"]}
        verdicts.save()
    assert first.asked == [HELLO, HELLO]
    assert second.asked == []
    assert path.stat().st_mode & 0o077 == 0 or path.drive, "for the person alone"


@pytest.mark.parametrize(
    "asked",
    [
        ("tools/list", *HELLO[1:]),
        (HELLO[0], "2025-06-18", HELLO[2]),
        (*HELLO[:2], {**HELLO[2], "n": [1, False]}),
        (*HELLO[:2], {**HELLO[2], "more": None}),
        (*HELLO[:2], None),
    ],
)
def test_anything_else_is_put_to_the_sdk(tmp_path: Path, asked: tuple[Any, ...]) -> None:
    verdicts, sdk = Verdicts(tmp_path / "verdicts.json", ["sdk 1"]), Sdk()
    verdicts.taken(sdk.take, *HELLO)
    verdicts.shaped(sdk.shape, *HELLO)
    verdicts.taken(sdk.take, *asked)
    verdicts.shaped(sdk.shape, *asked)
    assert sdk.asked == [HELLO, HELLO, asked, asked]


def test_a_message_and_an_answer_of_the_same_words_are_two_things(tmp_path: Path) -> None:
    verdicts, sdk = Verdicts(tmp_path / "verdicts.json", ["sdk 1"]), Sdk()
    verdicts.taken(sdk.take, *HELLO)
    assert verdicts.shaped(sdk.shape, *HELLO)
    assert len(sdk.asked) == 2


@pytest.mark.parametrize(
    "kept",
    [
        None,
        b"",
        b"[]",
        b'{"sdk":["sdk 1"]}',
        b'{"sdk":["sdk 1"],"taken":1,"shaped":{}}',
        b'{"sdk":["sdk 1"],"taken":[],"shaped":{"a":1}}',
        "another version",
    ],
)
def test_a_file_that_cannot_be_read_or_is_of_another_sdk_says_nothing(
    tmp_path: Path, kept: bytes | str | None
) -> None:
    path, sdk = tmp_path / "verdicts.json", Sdk()
    if kept == "another version":
        older = Verdicts(path, ["sdk 0"])
        older.taken(sdk.take, *HELLO)
        older.save()
        sdk.asked.clear()
    elif isinstance(kept, bytes):
        path.write_bytes(kept)
    verdicts = Verdicts(path, ["sdk 1"])
    verdicts.taken(sdk.take, *HELLO)
    verdicts.shaped(sdk.shape, *HELLO)
    assert len(sdk.asked) == 2


def test_what_is_refused_or_cannot_be_written_down_is_not_kept(tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise KeyError("no")

    path, sdk = tmp_path / "verdicts.json", Sdk()
    verdicts = Verdicts(path, ["sdk 1"])
    with pytest.raises(KeyError):
        verdicts.taken(refuse, *HELLO)
    huge = (*HELLO[:2], {"n": 2**70})
    for _ in range(2):
        verdicts.taken(sdk.take, *huge)
        verdicts.shaped(sdk.shape, *huge)
    assert len(sdk.asked) == 4
    verdicts.save()
    assert not path.exists()


def test_the_file_holds_the_latest_and_a_disk_that_does_not_take_it_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, sdk = tmp_path / "verdicts.json", Sdk()
    verdicts = Verdicts(path, ["sdk 1"])
    for number in range(MOST_KEPT + 3):
        verdicts.taken(sdk.take, *HELLO[:2], number)
        verdicts.shaped(sdk.shape, *HELLO[:2], number)
    verdicts.save()
    kept = orjson.loads(path.read_bytes())
    assert len(kept["taken"]) == len(kept["shaped"]) == MOST_KEPT
    again = Verdicts(path, ["sdk 1"])
    sdk.asked.clear()
    again.taken(sdk.take, *HELLO[:2], MOST_KEPT + 2)
    assert sdk.asked == []
    nowhere = Verdicts(tmp_path / "gone" / "verdicts.json", ["sdk 1"])
    nowhere.taken(sdk.take, *HELLO)
    nowhere.save()
    assert [record.getMessage() for record in caplog.records] == ["verdicts not kept"]
