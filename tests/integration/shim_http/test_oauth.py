"""The service as an OAuth resource server, beside static tokens."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from bench.turn_path import fixtures
from cdesk.core.home import StateDirectory
from tests.integration.shim_http.harness import ADA, BOB, run_cdesk, serving, token

KEY = ec.generate_private_key(ec.SECP256R1())
URL = "https://cdesk.example.com"


@pytest.fixture
def issuer() -> Iterator[str]:
    """An authorization server's address; it gives its keys."""
    public: dict[str, Any] = json.loads(ECAlgorithm.to_jwk(KEY.public_key()))
    body = json.dumps({"keys": [{**public, "kid": "one", "alg": "ES256"}]}).encode()

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def access_token(issuer: str, customer: str, **more: Any) -> str:
    claims = {"iss": issuer, "aud": f"{URL}/mcp", "sub": customer, "exp": time.time() + 600, **more}
    return jwt.encode(claims, KEY, algorithm="ES256", headers={"kid": "one"})


def test_both_kinds_of_token_open_the_service(state_home: StateDirectory, issuer: str) -> None:
    fixtures.catalog(state_home, scope="org")
    settings = {
        "CDESK_HTTP_URL": URL,
        "CDESK_HTTP_ISSUER": issuer,
        "CDESK_HTTP_JWKS_URL": f"{issuer}/keys",
    }
    asked = {"template": "recent_activities"}
    static = token(state_home, BOB)
    with serving(state_home, **settings) as service:
        refused = service.rpc(None, "ping")
        assert refused.status == 401
        where = f"{URL}/.well-known/oauth-protected-resource/mcp"
        assert refused.headers["WWW-Authenticate"] == f'Bearer resource_metadata="{where}"'
        metadata = service.get("/.well-known/oauth-protected-resource/mcp").json
        assert metadata["resource"] == f"{URL}/mcp"
        assert [one.rstrip("/") for one in metadata["authorization_servers"]] == [issuer]
        assert metadata["scopes_supported"] == ["cdesk:analyst", "cdesk:admin"]

        ada = access_token(issuer, ADA)
        assert json.loads(service.call(ada, "get_context").text)["customer"] == ADA
        assert json.loads(service.call(static.token, "get_context").text)["customer"] == BOB
        assert service.call(ada, "get_context", {"customer_id": BOB}).text.startswith("forbidden")
        assert service.call(ada, "submit_query", asked).text.startswith("forbidden")
        analyst = access_token(issuer, ADA, scope="cdesk:analyst")
        assert not service.call(analyst, "submit_query", asked).result["isError"]

        expired = service.rpc(access_token(issuer, ADA, exp=time.time() - 600), "ping")
        assert expired.status == 401
        assert 'error="invalid_token"' in expired.headers["WWW-Authenticate"]
        foreign = access_token(issuer, ADA, aud="https://else.example.com")
        assert service.rpc(foreign, "ping").status == 401
        assert all("eyJ" not in line for line in service.raw_log)


def test_an_issuer_that_does_not_answer_is_no_401(state_home: StateDirectory) -> None:
    settings = {
        "CDESK_HTTP_URL": URL,
        "CDESK_HTTP_ISSUER": "http://127.0.0.1:9",
        "CDESK_HTTP_JWKS_URL": "http://127.0.0.1:9/keys",
    }
    static = token(state_home, BOB)
    with serving(state_home, **settings) as service:
        answer = service.rpc(access_token("http://127.0.0.1:9", ADA), "ping")
        assert answer.status == 503
        assert answer.json["error"]["message"].startswith("issuer_unavailable")
        assert service.rpc(static.token, "ping").status == 200


def test_an_issuer_alone_is_half_a_setting(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDESK_HTTP_ISSUER", "https://login.example.com")
    refused = run_cdesk(state_home, "mcp", "--http", "--port", "0")
    assert refused.returncode == 1
    assert "http_jwks_url" in refused.stderr
