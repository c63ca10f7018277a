"""What the SDK says of the form of a call, and of an answer's, asked once for each form.

For each call the SDK checks its parameters twice, against the protocol's version and against a
model of its own, and shapes the answer by a third model. What it says follows from the form alone:
a call has a name, which is text, and arguments, which are an object or none, and the SDK looks at
neither text nor object; an answer that our handler gives has no content yet. So each form is put to
the SDK when it first comes, and its word stands for those that follow. Any other form is put to it
each time. What a client says at each start, and is answered, is kept for the next one.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import mcp_types as types
import orjson
from mcp_types import methods

from cdesk.core.home import replacing

logger = logging.getLogger(__name__)

EACH_START: Final = frozenset(("initialize", "notifications/initialized", "tools/list"))
"""What every connection begins with."""
MOST_KEPT: Final = 16
"""Verdicts of each kind that a file holds: several clients may take turns."""
TOOL_CALL: Final = "tools/call"
ANSWER: Final[Mapping[str, Any]] = {"content": [], "isError": False, "resultType": "complete"}
"""What the handler of tool calls answers where all went well; the content joins it afterwards."""


class PlainCall:
    """The parameters of a call, as the handler gets them. In the place of the SDK's model, it makes
    that model of whatever has another form than one which the SDK has taken.
    """

    __slots__ = ("arguments", "name")

    _taken: Final[set[type]] = set()

    def __init__(self, name: str, arguments: dict[str, Any] | None) -> None:
        self.name = name
        self.arguments = arguments

    @classmethod
    def model_validate(
        cls, params: Mapping[str, Any], **options: Any
    ) -> PlainCall | types.CallToolRequestParams:
        """As `types.CallToolRequestParams.model_validate`, errors included."""
        form = form_of(params)
        if form in cls._taken:
            return cls(params["name"], params["arguments"])
        made = types.CallToolRequestParams.model_validate(params, **options)
        if form is not None:
            cls._taken.add(form)
        return made


def form_of(params: object) -> type | None:
    """The form of a call's parameters: the type of its arguments. None where it has another than
    that of a name and arguments.
    """
    if type(params) is not dict or len(params) != 2:
        return None
    if type(params.get("name")) is not str or "arguments" not in params:
        return None
    return type(params["arguments"])


class Verdicts:
    """What the SDK has said, and a file that takes it from one start to the next.

    A client opens each connection with the same messages, and they get the same answers. Whether
    those messages are valid, and which shape the answers have, costs a tenth of a start to find
    out. So what the SDK said is kept by the digest of what it was asked, to the letter, and counts
    for the versions of the SDK that said it.
    """

    def __init__(self, path: Path, sdk: Sequence[str]) -> None:
        """`path` need not be there. `sdk`: the versions of what decides."""
        self._path = path
        self._sdk = list(sdk)
        self._taken: dict[str, None] = {}
        self._shaped: dict[str, dict[str, Any]] = {}
        self._is_new = False
        try:
            kept = orjson.loads(path.read_bytes())
            if kept["sdk"] == self._sdk:
                self._taken = dict.fromkeys(map(str, kept["taken"]))
                self._shaped = {str(key): dict(value) for key, value in kept["shaped"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # none, or none that can be read: the SDK is asked

    def taken(self, ask: Callable[..., object], *asked: Any) -> object:
        """What `ask` answers to a message of every start, None for one that it took before."""
        key = _digest("message", *asked)
        if key in self._taken:
            return None
        answer = ask(*asked)
        if key is not None:
            self._taken[key] = None
            self._is_new = True
        return answer

    def shaped(self, ask: Callable[..., dict[str, Any]], *asked: Any) -> dict[str, Any]:
        """The shape that `ask` gives an answer of every start."""
        key = _digest("answer", *asked)
        known = self._shaped.get(key) if key is not None else None
        if known is None:
            known = ask(*asked)
            if key is not None:
                self._shaped[key] = known
                self._is_new = True
        return {**known}

    def save(self) -> None:
        """Keep what is new for the next start. A disk that does not take it costs nothing."""
        if not self._is_new:
            return
        self._is_new = False
        document = {
            "sdk": self._sdk,
            "taken": list(self._taken)[-MOST_KEPT:],
            "shaped": dict(list(self._shaped.items())[-MOST_KEPT:]),
        }
        try:
            with replacing(self._path, sync=False) as file:
                file.write(orjson.dumps(document))
        except OSError as error:
            logger.warning("verdicts not kept", extra={"facts": {"reason": error.strerror}})


def _digest(*asked: Any) -> str | None:
    """None for what orjson cannot write: it is asked each time."""
    try:
        return hashlib.sha256(orjson.dumps(asked)).hexdigest()
    except TypeError:
        return None


def remember(verdicts: Verdicts) -> None:
    """Have the SDK, in this process, say the same only once."""
    _put("validate_client_request", lambda ask: _validating(ask, verdicts))
    _put("validate_client_notification", lambda ask: _hearing(ask, verdicts))
    _put("serialize_server_result", lambda ask: _serializing(ask, verdicts))


def _put(name: str, wrapped: Callable[[Any], Any]) -> None:
    function = getattr(methods, name)
    remembering = wrapped(getattr(function, "asked_once", function))
    remembering.asked_once = getattr(function, "asked_once", function)
    setattr(methods, name, remembering)


def _validating(ask: Callable[..., None], verdicts: Verdicts) -> Callable[..., None]:
    taken: set[tuple[str, type]] = set()

    def validate(
        method: str, version: str, params: Mapping[str, Any] | None, **options: Any
    ) -> None:
        if options:
            ask(method, version, params, **options)
        elif method in EACH_START:
            verdicts.taken(ask, method, version, params)
        elif method != TOOL_CALL or (form := form_of(params)) is None:
            ask(method, version, params)
        elif (version, form) not in taken:
            ask(method, version, params)
            taken.add((version, form))

    return validate


def _hearing(ask: Callable[..., None], verdicts: Verdicts) -> Callable[..., None]:
    def validate(
        method: str, version: str, params: Mapping[str, Any] | None, **options: Any
    ) -> None:
        if method in EACH_START and not options:
            verdicts.taken(ask, method, version, params)
        else:
            ask(method, version, params, **options)

    return validate


def _serializing(
    ask: Callable[..., dict[str, Any]], verdicts: Verdicts
) -> Callable[..., dict[str, Any]]:
    shaped: dict[str, dict[str, Any]] = {}

    def serialize(
        method: str, version: str, data: Mapping[str, Any], **options: Any
    ) -> dict[str, Any]:
        if options:
            return ask(method, version, data, **options)
        if method in EACH_START:
            return verdicts.shaped(ask, method, version, data)
        if method != TOOL_CALL or data != ANSWER:
            return ask(method, version, data)
        known = shaped.get(version)
        if known is None:
            known = shaped[version] = ask(method, version, data)
        return {**known, "content": []}

    return serialize
