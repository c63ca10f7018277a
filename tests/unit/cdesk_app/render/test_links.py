"""Links open what they were made for, for whom, until when; nothing else opens anything."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.core.identity import customer_key
from cdesk_app.render import links as render_links
from cdesk_app.render.links import (
    EVERYTHING,
    LINK_SECONDS,
    MAX_SECONDS,
    MAX_TOKEN,
    ROTATION_SECONDS,
    SESSION_SECONDS,
    LinkRefused,
    Links,
)

ADA = "ada@example.com"
ID = "0190a5f0-0000-7000-8000-000000000001"


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> int:
        return int(self.seconds * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def links(tmp_path: Path, clock: Clock) -> Links:
    return Links(StateDirectory(tmp_path), now_ns=clock)


def refused(links: Links, token: str, subject: str = ID) -> str:
    with pytest.raises(LinkRefused) as caught:
        links.check(token, "card", subject=subject)
    return caught.value.code


def test_a_link_opens_its_card_for_its_customer(links: Links) -> None:
    link = links.sign("card", customer=ADA, subject=ID, seconds=60)
    grant = links.check(link.token, "card", subject=ID)
    assert (grant.subject, grant.customer_key) == (ID, customer_key(ADA))
    assert grant.expires_at == link.expires_at == "2027-01-15T08:01:00.000000Z"
    assert ADA not in link.token


def test_it_opens_no_other_card_and_no_dashboard(links: Links) -> None:
    token = links.sign("card", customer=ADA, subject=ID).token
    assert refused(links, token, ID[:-1] + "2") == "link_invalid"
    with pytest.raises(LinkRefused):
        links.check(token, "dashboard")
    with pytest.raises(LinkRefused):
        links.check(token, "session")


def test_it_ends(links: Links, clock: Clock) -> None:
    token = links.sign("card", customer=ADA, subject=ID, seconds=60).token
    clock.seconds += 59.9
    links.check(token, "card", subject=ID)
    clock.seconds += 0.1
    assert refused(links, token) == "link_expired"


def test_no_link_lasts_longer_than_its_key_is_known(links: Links, clock: Clock) -> None:
    token = links.sign("card", customer=ADA, subject=ID, seconds=10**9).token
    clock.seconds += MAX_SECONDS - 1
    links.check(token, "card", subject=ID)
    clock.seconds += 2
    assert refused(links, token) == "link_expired"


def test_keys_change_and_old_links_still_hold(links: Links, clock: Clock, tmp_path: Path) -> None:
    links.sign("card", customer=ADA, subject=ID)
    clock.seconds += ROTATION_SECONDS - 10
    old = links.sign("card", customer=ADA, subject=ID, seconds=MAX_SECONDS).token
    clock.seconds += 20
    new = links.sign("card", customer=ADA, subject=ID).token
    keys = orjson.loads((tmp_path / "link_keys.json").read_bytes())["keys"]
    assert len({key["secret"] for key in keys}) == 2
    links.check(old, "card", subject=ID)
    links.check(new, "card", subject=ID)
    clock.seconds += ROTATION_SECONDS + MAX_SECONDS
    links.sign("card", customer=ADA, subject=ID)
    assert len(orjson.loads((tmp_path / "link_keys.json").read_bytes())["keys"]) == 1
    assert refused(links, old) == "link_invalid"


def test_what_is_revoked_stays_so_in_every_process(
    links: Links, clock: Clock, tmp_path: Path
) -> None:
    other = Links(StateDirectory(tmp_path), now_ns=clock)
    token = links.sign("card", customer=ADA, subject=ID).token
    another = links.sign("card", customer=ADA, subject=ID[:-1] + "2").token
    other.check(token, "card", subject=ID)
    links.revoke(ID)
    assert refused(other, token) == refused(links, token) == "link_revoked"
    links.check(another, "card", subject=ID[:-1] + "2")
    clock.seconds += 1
    links.check(links.sign("card", customer=ADA, subject=ID).token, "card", subject=ID)
    links.revoke(EVERYTHING)
    assert refused(links, another, ID[:-1] + "2") == "link_revoked"


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda b: base64.b64encode(b).decode()))
def test_nothing_that_was_not_signed_is_a_link(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert refused(Links(StateDirectory(Path(folder))), text) == "link_invalid"


def test_a_link_is_valid_in_one_spelling_alone(links: Links) -> None:
    """Cut, prolonged, one bit changed, or encoded otherwise: no link."""
    token = links.sign("card", customer=ADA, subject=ID).token
    body, mac = token.split(".")
    forged = orjson.loads(base64.urlsafe_b64decode(body + "=="))
    forged["x"] += 1
    changed = base64.urlsafe_b64encode(orjson.dumps(forged)).rstrip(b"=").decode()
    for text in (
        *(token[:n] for n in range(0, len(token), 7)),
        token + "=",
        token + "A",
        f"{token}.{mac}",
        f"{changed}.{mac}",
        f"{body}.{mac[::-1]}",
        f"{body}.",
        f".{mac}",
        token.swapcase(),
        token + "\n",
    ):
        assert refused(links, text) == "link_invalid", text
    links.check(token, "card", subject=ID)


def test_another_installations_links_open_nothing(
    links: Links, tmp_path_factory: pytest.TempPathFactory
) -> None:
    foreign = Links(StateDirectory(tmp_path_factory.mktemp("other")))
    assert refused(links, foreign.sign("card", customer=ADA, subject=ID).token) == "link_invalid"


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX")
def test_the_keys_are_the_owners_alone(links: Links, tmp_path: Path) -> None:
    links.sign("card", customer=ADA, subject=ID)
    assert stat.S_IMODE((tmp_path / "link_keys.json").stat().st_mode) == 0o600


def test_many_at_once_make_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(
                lambda _: Links(StateDirectory(tmp_path)).sign("card", customer=ADA, subject=ID),
                range(40),
            )
        )
    assert len(orjson.loads((tmp_path / "link_keys.json").read_bytes())["keys"]) == 1
    for link in made:
        Links(StateDirectory(tmp_path)).check(link.token, "card", subject=ID)


def test_a_link_lasts_a_day_unless_asked_otherwise_and_at_least_a_second(
    links: Links, clock: Clock
) -> None:
    clock.seconds += 0.5
    for asked, expires in (
        ({}, "2027-01-16T08:00:00.000000Z"),
        ({"seconds": 1}, "2027-01-15T08:00:01.000000Z"),
        ({"seconds": 0}, "2027-01-15T08:00:01.000000Z"),
        ({"seconds": -9}, "2027-01-15T08:00:01.000000Z"),
        ({"seconds": 10**9}, "2027-02-14T08:00:00.000000Z"),
    ):
        link = links.sign("card", customer=ADA, subject=ID, **asked)
        assert link.expires_at == expires
        assert links.check(link.token, "card", subject=ID).expires_at == expires
    assert (LINK_SECONDS, SESSION_SECONDS) == (86_400, 43_200)
    assert MAX_SECONDS == ROTATION_SECONDS == 30 * 86_400
    assert str(LinkRefused("link_expired", "it has expired")) == "it has expired"


def test_no_link_is_made_with_the_stand_in_for_a_key_that_nobody_has(links: Links) -> None:
    body = base64.urlsafe_b64decode(
        links.sign("card", customer=ADA, subject=ID).token.partition(".")[0] + "=="
    )
    forged = orjson.dumps({**orjson.loads(body), "k": "nobody's"})
    mac = hmac.new(b"\x00", forged, hashlib.sha256).digest()
    token = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (forged, mac))
    assert refused(links, token) == "link_invalid"


def test_what_is_too_long_for_a_link_is_not_even_read(
    links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def decode(text: str) -> bytes:
        read.append(len(text))
        raise ValueError(text)

    monkeypatch.setattr(render_links, "_decode", decode)
    for length in (MAX_TOKEN, MAX_TOKEN + 1):
        assert refused(links, "a." + "b" * (length - 2)) == "link_invalid"
    assert read == [1]


def test_a_key_is_changed_on_its_day_and_what_no_link_can_hold_is_forgotten(
    links: Links, clock: Clock, tmp_path: Path
) -> None:
    def kept() -> tuple[int, list[str]]:
        document = orjson.loads((tmp_path / "link_keys.json").read_bytes())
        return len(document["keys"]), sorted(document["revoked"])

    links.sign("card", customer=ADA, subject=ID)
    clock.seconds += ROTATION_SECONDS - 1
    links.sign("card", customer=ADA, subject=ID)
    links.revoke("old")
    assert kept() == (1, ["old"])
    clock.seconds += 1
    links.revoke("new")
    links.sign("card", customer=ADA, subject=ID)
    assert kept() == (2, ["new", "old"])
    clock.seconds += MAX_SECONDS - 1
    links.sign("card", customer=ADA, subject=ID)
    clock.seconds += 1
    links.sign("card", customer=ADA, subject=ID)
    assert kept() == (2, []), "the first key and both revocations are past their time"
    clock.seconds += 1
    links.revoke(ID)
    assert kept() == (2, [ID])


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b'{"keys": 1}', b"\xff\x00"),
        *(b'{"keys": [], "revoked": []}', b'{"keys": {}, "revoked": {}}'),
    ],
)
def test_damaged_keys_say_what_to_do(links: Links, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "link_keys.json").write_bytes(content)
    with pytest.raises(StateDirectoryError, match="remove it"):
        links.sign("card", customer=ADA, subject=ID)
