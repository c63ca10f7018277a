"""Which tokens count over HTTP, for the service and for whoever serves pages beside it."""

from __future__ import annotations

from cdesk.core.config import HttpSettings
from cdesk.state.access import AccessStore
from mcp_shim.auth import EitherToken, StaticTokens, Verifier


def verifier_of(settings: HttpSettings, store: AccessStore) -> Verifier:
    """Who knows the tokens that the settings allow: those of `cdesk token add`, and of the issuer
    where one is named.
    """
    if not settings.issuer:
        return StaticTokens(store)
    # Only here: without an issuer nobody needs the library.
    from mcp_shim.transports.http_oauth import OAuthTokens

    return EitherToken(StaticTokens(store), OAuthTokens.of(settings))
