"""The configurations of docs/http.md, in a real nginx and a real Caddy before real services."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.turn_path import fixtures
from cdesk.core.home import StateDirectory
from scripts.ports import free_port
from tests.integration.shim_http.harness import JSON_HEADERS, ROOT, serving, token
from tests.needs import need_program

NAME = "cdesk.example.com"


def documented(begin: str) -> str:
    """The configuration block of the documentation that begins so."""
    text = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    found = re.search(rf"^    {re.escape(begin)} \{{\n(?:    .*\n)+?    \}}\n", text, re.MULTILINE)
    assert found is not None, begin
    return found.group()


def certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "cdesk.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "cdesk.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@contextmanager
def nginx(program: str, folder: Path, ports: list[int]) -> Iterator[int]:
    """The documented configuration before services on these ports; the port where it listens."""
    port = free_port()
    certificate(folder)
    server = documented("server").replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    server = server.replace("/etc/ssl/", f"{folder}/")
    server = server.replace("proxy_pass http://127.0.0.1:8378", "proxy_pass http://cdesk")
    upstream = documented("upstream cdesk")
    for number, inner in enumerate(ports, start=1):
        upstream = upstream.replace(f"10.0.0.{number}:8378", f"127.0.0.1:{inner}")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}\n{upstream}{server}}}\n",
        encoding="utf-8",
    )
    command = [program, "-p", str(folder), "-c", str(configuration)]
    with listening(command, port, folder):
        yield port


@contextmanager
def caddy(program: str, folder: Path, ports: list[int]) -> Iterator[int]:
    """As `nginx`."""
    port = free_port()
    certificate(folder)
    several = documented("reverse_proxy 10.0.0.1:8378 10.0.0.2:8378")
    for number, inner in enumerate(ports, start=1):
        several = several.replace(f"10.0.0.{number}:8378", f"127.0.0.1:{inner}")
    site = documented(NAME).replace(f"{NAME} {{", f"{NAME}:{port} {{\n        bind 127.0.0.1")
    site = site.replace(
        "        reverse_proxy 127.0.0.1:8378\n",
        f"        tls {folder}/cdesk.pem {folder}/cdesk.key\n{several}",
    )
    assert "lb_policy" in site
    configuration = folder / "Caddyfile"
    # A client that names an address and no host, as ours does, is shown the one certificate.
    options = f"admin off\nauto_https off\ndefault_sni {NAME}"
    text = f"{{\n{options}\n}}\n{site}"
    configuration.write_text(text, encoding="utf-8")
    command = [program, "run", "--adapter", "caddyfile", "--config", str(configuration)]
    with listening(command, port, folder):
        yield port


@contextmanager
def listening(command: list[str], port: int, folder: Path) -> Iterator[None]:
    """A proxy that runs meanwhile, its own files in `folder`."""
    environ = {**os.environ, "HOME": str(folder)}
    process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(100):
            assert process.poll() is None, process.communicate()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


def customer_through(port: int, bearer: str) -> str | None:
    """Whose context comes through the proxy, None where nobody is known by that token."""
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "get_context", "arguments": {}},
    }
    request = urllib.request.Request(
        f"https://127.0.0.1:{port}/mcp",
        data=json.dumps(message).encode(),
        headers={**JSON_HEADERS, "Authorization": f"Bearer {bearer}", "Host": NAME},
    )
    trusting = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(request, timeout=30, context=trusting) as answer:
            content = json.loads(answer.read())["result"]["content"]
            return str(json.loads(content[0]["text"])["customer"])
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 401:
                return None
            raise AssertionError(error.read()) from None


@pytest.fixture(scope="module")
def hosts(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[StateDirectory, list[int]]]:
    """Two hosts of a service: the state directory of the first, and where they listen."""
    settings = {"CDESK_HTTP_URL": f"https://{NAME}", "CDESK_HTTP_PROXIES": "127.0.0.1"}
    with ExitStack() as stack:
        homes, ports = [], []
        for number in (1, 2):
            home = StateDirectory(tmp_path_factory.mktemp("host") / f"{number}").ensure()
            fixtures.catalog(home)
            token(home, "somebody")  # so that it may be reached
            service = stack.enter_context(serving(home, **settings))
            homes.append(home)
            ports.append(service.address[1])
        yield homes[0], ports


@pytest.mark.parametrize(
    ("proxy", "name", "package"),
    [
        (nginx, "nginx", "nginx (apt-get install nginx-light)"),
        (caddy, "caddy", "Caddy (apt-get install caddy)"),
    ],
    ids=["nginx", "caddy"],
)
def test_hosts_behind_a_proxy_have_a_customer_each_for_good(
    hosts: tuple[StateDirectory, list[int]],
    tmp_path: Path,
    proxy: Callable[[str, Path, list[int]], AbstractContextManager[int]],
    name: str,
    package: str,
) -> None:
    home, ports = hosts
    with proxy(need_program(name, package), tmp_path, ports) as port:
        there = []
        for number in range(12):
            # Known to one host alone: it gets in where the proxy takes it there, and then always.
            customer = f"c{number}@example.com"
            bearer = token(home, customer).token
            seen = {customer_through(port, bearer) for _ in range(3)}
            assert seen in ({customer}, {None}), "one host, each time"
            there.append(seen == {customer})
        assert set(there) == {True, False}, "both hosts serve"
