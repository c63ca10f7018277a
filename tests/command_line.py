"""Commands as a person gives them, in this process, and what a terminal does beside them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from cdesk_app.cli.main import main


def runner(capture: pytest.CaptureFixture[str], *command: str) -> Callable[..., str]:
    """What runs `cdesk <command> <words>` to the exit code that is given, 0 where none is, and
    returns what it says: on standard output where that is 0, else on standard error.
    """

    def run(*words: object, code: int = 0) -> str:
        assert main([*command, *map(str, words)]) == code
        streams = capture.readouterr()
        return streams.err if code else streams.out

    return run


class Terminal:
    """Somebody sits there."""

    def isatty(self) -> bool:
        return True


@contextlib.contextmanager
def typed(text: bytes) -> Iterator[None]:
    """While this lasts somebody has typed something that a command could read."""
    kept = os.dup(0)
    reader, writer = os.pipe()
    os.write(writer, text)
    os.close(writer)
    os.dup2(reader, 0)
    os.close(reader)
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)
