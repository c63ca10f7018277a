"""A wake-up is a hint: it arrives at the worker that announced itself, and is never an error
anywhere else.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

import orjson

from cdesk.core.home import StateDirectory
from cdesk.core.wake import WakeListener, WakeSender, read_worker


def test_a_sender_wakes_the_listener_and_follows_it_through_a_restart(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path).ensure()
    sender = WakeSender(home)
    assert not sender.send(), "nobody has announced itself"
    for _ in range(2):
        listener = WakeListener(home)
        assert sender.send()
        assert listener.wait(5)
        listener.close()
    assert read_worker(home) is None
    sender.close()


def test_a_burst_is_taken_as_one(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path).ensure()
    listener, sender = WakeListener(home), WakeSender(home)
    for _ in range(5):
        sender.send()
    time.sleep(0.05)
    assert listener.wait(5)
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
    assert "token" not in shown
    listener.close()


def test_a_damaged_announcement_is_no_error(tmp_path: Path) -> None:
    home = StateDirectory(tmp_path).ensure()
    home.worker_json.write_bytes(b'{"port": "x"')
    assert not WakeSender(home).send()
    assert read_worker(home) is None
