"""What `cdesk status` and `cdesk doctor` say of the HTTP service."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cdesk_app.cli.doctor import Finding
from cdesk_app.cli.output import age

if TYPE_CHECKING:
    from cdesk.core.config import Settings
    from cdesk.state.http_service import HttpService, Registration


def service_told(found: HttpService) -> str:
    """One line: where it runs, who may use it, what was refused."""
    tokens, said = found.tokens, found.registration
    parts = [f"{tokens['valid']:,} valid tokens", f"{found.sessions:,} sessions"]
    if tokens["expired"]:
        parts.insert(1, f"{tokens['expired']:,} expired")
    if found.refused or found.rate_limited:
        parts.append(
            f"{found.refused:,} requests refused for their token, "
            f"{found.rate_limited:,} for a limit"
        )
    rest = ", ".join(parts)
    if said is None:
        known = any((*tokens.values(), found.sessions, found.refused))
        return f"not running; {rest}" if known else "not running"
    many = "1 process" if said.processes == 1 else f"{said.processes:,} processes"
    return f"running at {said.url} (pid {said.pid}, {many}, started {age(said.started_at)}), {rest}"


def examine_service(settings: Settings, found: HttpService) -> Iterator[Finding]:
    """Everything that is not as it should be, or that all is well."""
    check, said, http = "HTTP service", found.registration, settings.http
    problems = [*_settings(settings), *_running(said, found)]
    if found.tokens["expired"]:
        told = f"{found.tokens['expired']:,} tokens have expired: who bears them is refused"
        todo = "'cdesk token list' names them; 'cdesk token add CUSTOMER' makes a new one"
        problems.append(Finding("HTTP tokens", "note", told, todo))
    if not any(problem.check == check for problem in problems):
        signs_in = " or by ".join(
            way
            for way, there in (
                ("a token", bool(found.tokens["valid"])),
                ("OAuth", bool(said.issuer if said else http.issuer)),
            )
            if there
        )
        known = f"; one gets in by {signs_in}" if signs_in else ""
        yield Finding(check, "ok", service_told(found) + known)
    yield from problems


def _settings(settings: Settings) -> Iterator[Finding]:
    http = settings.http
    given = {
        "CDESK_HTTP_JWKS_URL": http.jwks_url,
        "CDESK_HTTP_AUDIENCE": http.audience,
    }
    half = [name for name, value in given.items() if value]
    if half and not http.issuer:
        yield Finding(
            "HTTP OAuth",
            "failed",
            f"{' and '.join(half)} without CDESK_HTTP_ISSUER: no token of an authorization server "
            "counts",
            f"set CDESK_HTTP_ISSUER, or take {' and '.join(half)} away",
        )


def _running(said: Registration | None, found: HttpService) -> Iterator[Finding]:
    if said is None:
        return
    check = "HTTP service"
    if not _answers(said.url):
        yield Finding(
            check,
            "failed",
            f"{service_told(found)}; nothing answers there",
            "look into its log, and start it anew",
        )
    elif not (found.tokens["valid"] or said.issuer):
        yield Finding(
            check,
            "note",
            f"{service_told(found)}; nobody has a token: every call is refused",
            "cdesk token add CUSTOMER",
        )
    elif not said.behind_proxy and not _is_loopback(said.host):
        yield Finding(
            check,
            "note",
            f"{service_told(found)}; it is reached from elsewhere without TLS, and knows no proxy",
            "let it listen on 127.0.0.1 behind a proxy, with CDESK_HTTP_URL and "
            "CDESK_HTTP_PROXIES (docs/http.md)",
        )


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _answers(url: str) -> bool:
    wild = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    try:
        address = urlsplit(url)
        host = address.hostname or ""
        with socket.create_connection((wild.get(host, host), address.port or 80), timeout=1.0):
            return True
    except (OSError, ValueError):
        return False
