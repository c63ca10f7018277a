"""What `cdesk status` and `cdesk doctor` say of the HTTP service."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from cdesk.core.clock import format_ts
from cdesk.core.config import HttpSettings, Settings, load_settings
from cdesk.core.home import StateDirectory
from cdesk.core.locks import FileLock
from cdesk.core.metrics import AUTH_REFUSALS, RATE_LIMITED
from cdesk.state.access import AccessStore
from cdesk.state.counts import Counts
from cdesk.state.http_service import is_running, look_at_service, registered
from cdesk_app.cli.doctor import Finding
from cdesk_app.cli.http_service import examine_service, service_told
from scripts.ports import free_port


@pytest.fixture
def url() -> Iterator[str]:
    """Something listens there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/mcp"


def add_token(home: StateDirectory, *, expires_in: float | None = None) -> None:
    now = time.time_ns()
    expires_at = None if expires_in is None else format_ts(now + int(expires_in * 1e9))
    with closing(AccessStore(home.access_db)) as store:
        store.add_tokens(["ada"], expires_at=expires_at, now=format_ts(now))


def settings(home: StateDirectory, **environ: str) -> Settings:
    return load_settings({"CDESK_HOME": str(home.root), "CDESK_CUSTOMER": "ada", **environ})


def findings(home: StateDirectory, **environ: str) -> list[Finding]:
    return list(examine_service(settings(home, **environ), look_at_service(home)))


def test_where_there_is_none_that_is_all_that_is_said(state_home: StateDirectory) -> None:
    assert service_told(look_at_service(state_home)) == "not running"
    assert not state_home.access_db.exists()
    assert [one.level for one in findings(state_home)] == ["ok"]
    add_token(state_home)
    told = service_told(look_at_service(state_home))
    assert told == "not running; 1 valid tokens, 0 sessions", "somebody may use it once it runs"


def test_a_running_service_is_told_with_tokens_and_refusals(
    state_home: StateDirectory, url: str
) -> None:
    add_token(state_home)
    with closing(Counts(state_home, "http")) as counts:
        counts.add(AUTH_REFUSALS, "no_token", by=2)
        counts.add(AUTH_REFUSALS, "unknown_token")
        counts.add(RATE_LIMITED, by=4)
        counts.flush()
    with registered(state_home, url, HttpSettings(workers=3)):
        told = service_told(look_at_service(state_home))
        [finding] = findings(state_home)
    assert url in told
    assert "3 processes" in told
    assert "1 valid tokens" in told
    assert "3 requests refused for their token, 4 for a limit" in told
    assert (finding.level, "by a token" in finding.found) == ("ok", True)
    assert look_at_service(state_home).registration is None
    assert not state_home.http_json.exists()


def test_a_service_that_was_killed_does_not_run(state_home: StateDirectory, url: str) -> None:
    with registered(state_home, url, HttpSettings()):
        left = state_home.http_json.read_bytes()
    state_home.http_json.write_bytes(left)
    assert look_at_service(state_home).registration is None


def test_a_second_service_leaves_the_first_ones_word(state_home: StateDirectory, url: str) -> None:
    with registered(state_home, url, HttpSettings()):
        with registered(state_home, "http://127.0.0.1:1/mcp", HttpSettings()):
            pass
        found = look_at_service(state_home).registration
    assert found is not None
    assert found.url == url


@pytest.mark.parametrize(
    ("http", "token", "level", "said"),
    [
        (HttpSettings(), False, "note", "every call is refused"),
        (HttpSettings(host="0.0.0.0"), True, "note", "without TLS"),
        (HttpSettings(host="0.0.0.0", url="https://x.example"), True, "ok", "by a token"),
        (HttpSettings(issuer="https://login.example"), False, "ok", "by OAuth"),
    ],
)
def test_what_is_wrong_with_a_running_one_is_named(
    state_home: StateDirectory, url: str, http: HttpSettings, token: bool, level: str, said: str
) -> None:
    if token:
        add_token(state_home)
    with registered(state_home, url, http):
        [finding] = findings(state_home)
    assert (finding.level, said in finding.found) == (level, True), finding
    assert (finding.todo is None) == (level == "ok")


def test_one_that_does_not_answer_has_failed(state_home: StateDirectory) -> None:
    add_token(state_home)
    with registered(state_home, f"http://127.0.0.1:{free_port()}/mcp", HttpSettings()):
        [finding] = findings(state_home)
    assert finding.level == "failed"
    assert "nothing answers there" in finding.found


def test_expired_tokens_and_half_an_oauth_are_named(state_home: StateDirectory) -> None:
    add_token(state_home, expires_in=-60)
    found = {
        one.check: one
        for one in findings(state_home, CDESK_HTTP_JWKS_URL="https://login.example.com/keys")
    }
    assert "1 tokens have expired" in found["HTTP tokens"].found
    assert found["HTTP OAuth"].level == "failed"
    assert "CDESK_HTTP_ISSUER" in str(found["HTTP OAuth"].todo)


def test_a_service_that_begins_is_not_disturbed_and_one_that_died_is_none(
    state_home: StateDirectory,
) -> None:
    lock = FileLock(state_home.http_lock)
    assert not is_running(state_home)
    assert lock.acquire()
    assert not is_running(state_home), "it has said nothing yet"
    state_home.http_json.write_text("{}", encoding="utf-8")
    assert is_running(state_home)
    assert look_at_service(state_home).registration is None, "nor anything that can be read"
    lock.release()
    assert not is_running(state_home)
