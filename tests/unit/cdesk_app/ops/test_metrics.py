"""What Prometheus reads: by promtool's own rules, for who may, whatever is missing."""

from __future__ import annotations

import datetime
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from needs import need_program
from prometheus_client.parser import text_string_to_metric_families

from cdesk.core.clock import format_ts
from cdesk.core.config import Settings
from cdesk.core.errors import Forbidden
from cdesk.core.home import StateDirectory
from cdesk.core.metrics import METRICS, TOOL_CALL_SECONDS
from cdesk.state.access import AccessStore
from cdesk.state.counts import Counts
from cdesk.state.database import open_state
from cdesk.state.facts import write_status
from cdesk.state.kill_switch import turn_on
from cdesk.state.status import Insights, LastLanding, LastRefresh, Quarantined, Spent
from cdesk.state.tickets import submit_ticket
from cdesk_app.cli.main import main
from cdesk_app.worker.metrics_server import serving_metrics
from mcp_shim.auth import Unauthorized
from mcp_shim.transports.http_metrics import (
    Scraper,
    certificate_end,
    exposition,
    require_scraper,
)
from scripts.ports import free_port

NOW = format_ts(1_800_000_000 * 10**9)


@pytest.fixture
def settings(state_home: StateDirectory) -> Settings:
    return Settings(home=state_home.root, customer="ada@example.com", worker="off")


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def everything(state_home: StateDirectory) -> None:
    """One series of each metric at least."""
    counts = Counts(state_home, "a" * 32)
    for metric in METRICS:
        labels = [f"any_{label}" for label in metric.labels]
        if metric.kind == "counter":
            counts.add(metric, *labels)
        elif metric.kind == "histogram":
            counts.observe(metric, 0.2, *labels)
    counts.close()
    with closing(open_state(state_home.state_db)) as state:
        turn_on(state, state_home, reason="a test", now=NOW)
        for fact in (
            Insights(at=NOW, verified=3, unverified=1),
            Spent(used={"credits": 5.0}, caps={"credits": 10.0}, estimated=1.0, usd_per_hour=12.0),
            Quarantined(at=NOW, lines=2, reasons={"no_json": 2}),
            LastRefresh(at="2026-01-01T00:00:00.000000Z"),
            LastLanding(at=NOW, rows=1),
        ):
            write_status(state, fact, now=NOW)
    with closing(AccessStore(state_home.access_db)) as store:
        store.add_tokens(["ada"], expires_at="2100-01-01T00:00:00.000000Z", now=NOW)


def test_promtool_finds_nothing_wrong_with_a_scrape_of_everything(
    settings: Settings, state_home: StateDirectory
) -> None:
    everything(state_home)
    body = exposition(settings, state_home).body
    run = subprocess.run(
        [need_program("promtool", "prometheus"), "check", "metrics"],
        input=body,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout + run.stderr == b""


def test_an_empty_state_directory_answers_and_every_part_of_it_could_be_looked_at(
    settings: Settings, state_home: StateDirectory
) -> None:
    told = samples(exposition(settings, state_home).body.decode())
    problems = {labels: value for (name, labels), value in told.items() if "problems" in name}
    assert len(problems) == 7
    assert set(problems.values()) == {0}
    assert told[("cdesk_records_landed_total", ())] == 0, "so that its first increase is seen"


def test_a_damaged_part_is_named_and_the_others_are_told(
    settings: Settings, state_home: StateDirectory
) -> None:
    state_home.context_db.write_bytes(b"no database at all, and long enough to be looked at" * 50)
    told = samples(exposition(settings, state_home).body.decode())
    assert told[("cdesk_scrape_problems", (("part", "snapshot"),))] == 1
    assert told[("cdesk_scrape_problems", (("part", "status"),))] == 0
    assert ("cdesk_queue_records", ()) in told


def test_a_histogram_of_several_processes_is_cumulated_and_ends_in_its_count(
    settings: Settings, state_home: StateDirectory
) -> None:
    for name in "ab":
        counts = Counts(state_home, name * 32)
        for seconds in (0.002, 0.2, 400.0):
            counts.observe(TOOL_CALL_SECONDS, seconds, "get_context", "http")
        counts.close()
    told = samples(exposition(settings, state_home).body.decode())

    def bucket(bound: str) -> float:
        labels = (("le", bound), ("tool", "get_context"), ("transport", "http"))
        return told[("cdesk_tool_call_duration_seconds_bucket", labels)]

    assert [bucket(bound) for bound in ("0.001", "0.0025", "0.3", "30.0", "+Inf")] == [
        0,
        2,
        4,
        4,
        6,
    ]
    labels = (("tool", "get_context"), ("transport", "http"))
    assert told[("cdesk_tool_call_duration_seconds_count", labels)] == 6
    assert told[("cdesk_tool_call_duration_seconds_sum", labels)] == pytest.approx(800.404)


def test_openmetrics_is_answered_where_it_is_asked_for(
    settings: Settings, state_home: StateDirectory
) -> None:
    told = exposition(settings, state_home, accept="application/openmetrics-text; version=1.0.0")
    assert told.content_type.startswith("application/openmetrics-text")
    assert told.body.rstrip().endswith(b"# EOF")


def test_the_command_prints_one_scrape(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics"]) == 0
    assert "# TYPE cdesk_queue_records gauge" in capsys.readouterr().out


def test_no_customer_stands_in_a_scrape(settings: Settings, state_home: StateDirectory) -> None:
    everything(state_home)
    with closing(open_state(state_home.state_db)) as state:
        submit_ticket(
            state,
            ticket_id="t1",
            customer="zuleika@example.com",
            is_analyst=False,
            session_id="a_session",
            template="activity_counts",
            params={},
            query_hash="0" * 16,
            query_tag="cdesk_00000000",
            byte_cap=None,
            submitted_at=NOW,
            expires_at=NOW,
        )
    for caller in (replace(settings, customer="zuleika@example.com"), settings):
        body = exposition(caller, state_home).body
        assert b"zuleika" not in body
        assert b"a_session" not in body


# -- who may


def scraper(peer: str = "127.0.0.1", **headers: str) -> Scraper:
    return Scraper(peer, {"host": "127.0.0.1:9464"} | headers)


@pytest.fixture
def tokens(state_home: StateDirectory) -> dict[str, str]:
    with closing(AccessStore(state_home.access_db)) as store:
        return {
            role: store.add_tokens(["prometheus"], roles=[role], expires_at=None, now=NOW)[0].token
            for role in ("metrics", "admin", "analyst")
        }


def test_this_computer_may_read_them(state_home: StateDirectory) -> None:
    for peer, host in (("127.0.0.1", "localhost:9464"), ("::1", "[::1]:9464")):
        require_scraper(scraper(peer, host=host), state_home, behind_proxy=False)


@pytest.mark.parametrize(
    ("who", "behind_proxy"),
    [
        (scraper("192.0.2.7"), False),
        (scraper(), True),
        (scraper(**{"x-forwarded-for": "192.0.2.7"}), False),
        (scraper(**{"forwarded": "for=192.0.2.7"}), False),
        (scraper("not an address"), False),
        (scraper(authorization="Bearer cdt_000000000000_" + "x" * 43), False),
        (scraper(authorization="Basic abc"), False),
    ],
)
def test_others_need_a_token(state_home: StateDirectory, who: Scraper, behind_proxy: bool) -> None:
    with pytest.raises(Unauthorized):
        require_scraper(who, state_home, behind_proxy=behind_proxy)


def test_a_page_of_another_name_that_leads_here_reads_nothing(state_home: StateDirectory) -> None:
    with pytest.raises(Forbidden, match="under a name of this computer"):
        require_scraper(scraper(host="evil.example:9464"), state_home, behind_proxy=False)


def test_a_token_needs_the_role(state_home: StateDirectory, tokens: dict[str, str]) -> None:
    for role in ("metrics", "admin"):
        who = scraper("192.0.2.7", authorization=f"Bearer {tokens[role]}")
        require_scraper(who, state_home, behind_proxy=True)
    who = scraper("192.0.2.7", authorization=f"Bearer {tokens['analyst']}")
    with pytest.raises(Forbidden, match="cdesk token add NAME --role metrics"):
        require_scraper(who, state_home, behind_proxy=True)


# -- the worker's


@pytest.fixture
def worker_url(settings: Settings, state_home: StateDirectory) -> Iterator[str]:
    port = free_port()
    counts = Counts(state_home, "c" * 32)
    counts.observe(TOOL_CALL_SECONDS, 0.1, "get_context", "stdio")
    with serving_metrics(
        replace(settings, metrics_address=f"127.0.0.1:{port}"), state_home, counts
    ):
        yield f"http://127.0.0.1:{port}"
    counts.close()
    assert "cdesk-metrics" not in {thread.name for thread in threading.enumerate()}


def test_the_worker_answers_with_what_it_has_just_counted_and_refuses_others(
    worker_url: str,
) -> None:
    with urllib.request.urlopen(f"{worker_url}/metrics", timeout=60) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = answer.read().decode()
    labels = (("tool", "get_context"), ("transport", "stdio"))
    assert samples(text)[("cdesk_tool_call_duration_seconds_count", labels)] == 1
    for path, headers, status in (
        ("/", {}, 404),
        ("/metrics", {"X-Forwarded-For": "192.0.2.1"}, 401),
        ("/metrics", {"Host": "evil.example"}, 403),
    ):
        request = urllib.request.Request(worker_url + path, headers=headers)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=60)
        assert caught.value.code == status
        caught.value.close()


def test_a_taken_port_costs_the_worker_nothing(
    settings: Settings, state_home: StateDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with serving_metrics(replace(settings, metrics_address=address), state_home, Counts()):
            pass
    assert "no metrics are served" in caplog.text


# -- certificates


def test_the_first_certificate_to_expire_is_told(
    settings: Settings, state_home: StateDirectory, tmp_path: Path
) -> None:
    ends = [
        datetime.datetime(2031, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC),
    ]
    files = []
    for number, end in enumerate(ends):
        files.append(tmp_path / f"{number}.pem")
        files[-1].write_bytes(certificate(end))
    assert certificate_end(files[0]) == ends[0].timestamp()
    named = replace(settings, metrics_certificates=(*map(str, files), str(tmp_path / "gone.pem")))
    told = samples(exposition(named, state_home).body.decode())
    name = "cdesk_credential_expiry_timestamp_seconds"
    assert told[(name, (("credential", "certificate"),))] == ends[1].timestamp()
    assert told[("cdesk_scrape_problems", (("part", "certificates"),))] == 1, "one is gone"


def test_the_day_of_a_snowflake_key_is_told_where_there_is_a_snowflake_login(
    settings: Settings, state_home: StateDirectory
) -> None:
    name = "cdesk_credential_expiry_timestamp_seconds"
    named = replace(settings, snowflake_key_expires="2031-05-01")
    assert name not in {one for one, _ in samples(exposition(named, state_home).body.decode())}
    told = samples(exposition(replace(named, target="snowflake"), state_home).body.decode())
    day = datetime.datetime(2031, 5, 1, tzinfo=datetime.UTC).timestamp()
    assert told[(name, (("credential", "snowflake_key"),))] == day


def certificate(end: datetime.datetime) -> bytes:
    """A certificate of its own authority that is good until then."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cdesk.example.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=3_650))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)
