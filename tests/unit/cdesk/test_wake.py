"""A wake-up is a hint: it arrives at the worker that announced itself, and is never an error
anywhere else.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import orjson
import pytest

from cdesk.core.home import StateDirectory
from cdesk.core.wake import WakeListener, WakeSender, read_worker


def test_a_sender_wakes_the_listener_and_follows_it_through_a_restart(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path).ensure()
    sender = WakeSender(home)
    assert not sender.send(), "nobody has announced itself"
    for _ in range(2):
        listener = WakeListener(home)
        assert sender.send()
        assert listener.wait(60)
        said = read_worker(home)
        assert said is not None
        assert (said.pid, said.port) == (os.getpid(), listener.address[1])
        listener.close()
    assert read_worker(home) is None
    sender.close()


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"pid": null, "port": 1}', b"\xff"])
def test_an_announcement_that_cannot_be_read_is_none(tmp_path: Path, text: bytes) -> None:
    home = StateDirectory(tmp_path).ensure()
    home.worker_json.write_bytes(text)
    assert read_worker(home) is None
    assert not WakeSender(home).send()


def test_a_burst_is_taken_as_one(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path).ensure()
    listener, sender = WakeListener(home), WakeSender(home)
    for _ in range(5):
        sender.send()
    time.sleep(0.05)
    assert listener.wait(60)
    assert not listener.wait(0)
    listener.close()
    sender.close()


def test_a_datagram_without_the_token_wakes_nobody(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path).ensure()
    listener = WakeListener(home)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(
            b"wake up", ("127.0.0.1", orjson.loads(home.worker_json.read_bytes())["port"])
        )
        assert not listener.wait(0.2)
    listener.close()


def test_the_token_is_not_shown(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path).ensure()
    listener = WakeListener(home)
    shown = read_worker(home)
    assert shown is not None
    token = orjson.loads(home.worker_json.read_bytes())["token"]
    assert token not in repr(shown)
    listener.close()
