"""What the subcommands print: aligned tables, JSON, sizes and ages, and progress where a terminal
looks on.
"""

from __future__ import annotations

import codecs
import io
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Protocol, TextIO

import orjson

from cdesk.core.clock import parse_ts
from cdesk.core.plain import plain, plain_json
from cdesk_app.cli.encoding import escaped, is_narrow

MAX_CELL = 1_000
"""Characters of a table cell before it is cut with an ellipsis, however wide the terminal is."""
MIN_CELL = 8
"""Characters that a column keeps in a narrow terminal."""


def terminal_width() -> int | None:
    """Columns of the terminal that standard output goes to; None where it goes elsewhere."""
    if not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size(fallback=(0, 0)).columns or None


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    indent: int = 0,
    width: int | None = None,
) -> str:
    """Rows under their column names, one line each; numbers to the right.

    In `width` characters (None: as many as it takes) the widest columns are cut.
    """
    body = [list(row) for row in rows]
    cells = [[_cell(value) for value in row] for row in body]
    right = [
        bool(body) and all(_is_number(row[index]) or row[index] is None for row in body)
        for index in range(len(columns))
    ]
    widths = [
        max([len(name), *(len(row[index]) for row in cells)]) for index, name in enumerate(columns)
    ]
    if width is not None:
        widths = _fitted(widths, width - indent - 2 * (len(widths) - 1))

    def line(texts: Sequence[str]) -> str:
        parts = (
            _cut(text, room).rjust(room) if to_right else _cut(text, room).ljust(room)
            for text, room, to_right in zip(texts, widths, right, strict=True)
        )
        return (" " * indent + "  ".join(parts)).rstrip()

    return "\n".join((line(columns), line(["-" * room for room in widths]), *map(line, cells)))


def pairs(items: Sequence[tuple[str, object]], *, indent: int = 0) -> str:
    """Names and values, one pair a line."""
    width = max((len(name) for name, _ in items), default=0)
    return "\n".join(
        f"{' ' * indent}{name:<{width}}  {_shown(value)}".rstrip() for name, value in items
    )


def to_json(value: object) -> str:
    """Readable JSON, dates and the like as text; in ASCII where stdout lacks characters."""
    try:
        encoded = orjson.dumps(value, option=orjson.OPT_INDENT_2)
    except TypeError:  # a value of another kind, or the name of a file that is no text
        encoded = orjson.dumps(_with_text(value), option=orjson.OPT_INDENT_2, default=str)
    text = plain_json(encoded).decode()
    return escaped(text) if is_narrow(sys.stdout) else text


def _with_text(value: Any) -> Any:
    """The value with what no UTF-8 holds as escapes."""
    if is_dataclass(value) and not isinstance(value, type):
        return _with_text(asdict(value))
    if isinstance(value, dict):
        return {_with_text(name): _with_text(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_text(one) for one in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


class PlainOutput(io.TextIOBase):
    """Standard output for a person: whatever is printed, no control character gets through."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        self._out.write(plain(text))
        return len(text)

    def flush(self) -> None:
        self._out.flush()

    def isatty(self) -> bool:
        return self._out.isatty()

    def fileno(self) -> int:
        return self._out.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._out.encoding

    @property
    def buffer(self) -> BinaryIO:
        """For an export: the bytes as they are into a file or pipe, plain to a terminal."""
        return _PlainBytes(self._out) if self._out.isatty() else self._out.buffer  # type: ignore[return-value]


class _PlainBytes(io.BufferedIOBase):
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._out.write(plain(self._decoder.decode(bytes(data)).replace("\r\n", "\n")))
        return len(data)

    def flush(self) -> None:
        self._out.flush()


def size(count: int) -> str:
    """A number of bytes for a person: `512 B`, `1.4 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{count} B" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def age(ts: str | None, *, now: datetime | None = None) -> str:
    """How long ago an RFC 3339 timestamp was: `12 s ago`, `3 h ago`; `never` for None."""
    if ts is None:
        return "never"
    seconds = ((now or datetime.now(UTC)) - parse_ts(ts)).total_seconds()
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


class Progress(Protocol):
    """Counts work done, in the unit that it was made with."""

    n: float
    total: float | None

    def update(self, n: float | None = ...) -> object: ...

    def set_description_str(self, desc: str | None = ..., refresh: bool | None = ...) -> object: ...


@contextmanager
def progress(
    what: str, *, total: int | None, unit: str = "it", scale: bool = False
) -> Iterator[Progress]:
    """A progress bar on stderr, shown after half a second of work and only where stderr is a
    terminal.
    """
    from tqdm import tqdm

    with tqdm(
        desc=what,
        total=total,
        unit=unit,
        unit_scale=scale,
        unit_divisor=1024 if scale else 1000,
        delay=0.5,
        leave=False,
        disable=not sys.stderr.isatty(),
        file=sys.stderr,
        dynamic_ncols=True,
    ) as bar:
        yield bar


@contextmanager
def waiting(what: str) -> Iterator[Callable[[str], None]]:
    """A line on stderr that says what is being waited for, and how long already; after a second,
    and only on a terminal.

    Yields a function that changes what the line says.
    """
    said = [what]
    done = threading.Event()

    def tick() -> None:
        started = time.monotonic()
        pause = 1.0
        while not done.wait(pause):
            print(
                f"\r\x1b[K{said[0]} … {time.monotonic() - started:.0f} s",
                end="",
                file=sys.stderr,
                flush=True,
            )
            pause = 0.2
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def say(text: str) -> None:
        said[0] = f"{what}: {text}"

    ticker = threading.Thread(target=tick, daemon=True) if sys.stderr.isatty() else None
    if ticker:
        ticker.start()
    try:
        yield say
    finally:
        done.set()
        if ticker:
            ticker.join()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, dict | list):
        return orjson.dumps(value, default=str).decode()
    return str(value)


def _cell(value: Any) -> str:
    return _cut(" ".join(_shown(value).split()), MAX_CELL)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def _fitted(widths: Sequence[int], room: int) -> list[int]:
    """The widths cut to `room` in all, the widest first; none below MIN_CELL."""
    cap = max(widths, default=0)
    while sum(min(one, cap) for one in widths) > room and cap > MIN_CELL:
        cap -= 1
    fitted = [min(one, cap) for one in widths]
    spare = max(room - sum(fitted), 0)
    for index, one in enumerate(widths):  # what rounding left over
        more = min(one - fitted[index], spare, 1)
        fitted[index] += more
        spare -= more
    return fitted
