"""Ports for servers that are told theirs by number, in tests, benchmarks and `make observe`."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

_FIRST: Final = 20_000
_MANY: Final = 10_000
"""Below what systems give out by themselves: nobody else is given one between now and its use."""

_numbers = itertools.count(os.getpid() * 1_009)


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens; another one at each call."""
    for number in itertools.islice(_numbers, _MANY):
        port = _FIRST + number % _MANY
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise RuntimeError("no free port")
