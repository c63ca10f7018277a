"""The official Snowpipe Streaming SDK: what is used of it, and how its client is opened.
https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-overview
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from cdesk.core.errors import ConfigurationError
from cdesk.warehouse.snowflake.login import Login, first_line


class ChannelStatus(Protocol):
    @property
    def latest_committed_offset_token(self) -> str | None: ...
    @property
    def rows_error_count(self) -> int: ...


class Channel(Protocol):
    """What is used of the SDK's StreamingIngestChannel."""

    def append_rows(
        self,
        rows: list[dict[str, Any]],
        start_offset_token: str | None = None,
        end_offset_token: str | None = None,
    ) -> Any: ...
    def get_channel_status(self) -> ChannelStatus: ...
    def close(
        self, drop: bool = ..., wait_for_flush: bool = ..., timeout_seconds: int | None = ...
    ) -> None: ...


class Client(Protocol):
    """What is used of the SDK's StreamingIngestClient."""

    def open_channel(
        self, channel_name: str, offset_token: str | None = None
    ) -> tuple[Channel, ChannelStatus]: ...
    def close(self, wait_for_flush: bool = ..., timeout_seconds: int | None = ...) -> None: ...


def sdk_client(login: Login, *, role: str, pipe: str, name: str) -> Client:
    """A client named `name` for `pipe`, for the connection that `login` has. The SDK takes a key
    pair; other credentials land by the plain connector.

    Raises:
        ConfigurationError: no key pair, or the SDK is not installed. WarehouseUnavailable: the
        login failed.
    """
    found = login.parameters()
    account, user, key = (
        str(found.get(name) or "") for name in ("account", "user", "private_key_file")
    )
    if not (account and user and key):
        raise ConfigurationError(
            "Snowpipe Streaming needs an account, a user and a private key "
            "(SNOWFLAKE_PRIVATE_KEY_PATH, or private_key_file in connections.toml); "
            "or set CDESK_SNOWFLAKE_LANDING=connector"
        )
    passphrase = found.get("private_key_file_pwd")
    properties = {
        "account": account,
        "user": user,
        "role": role,
        "url": f"https://{found.get('host') or account + '.snowflakecomputing.com'}:443",
        "private_key": _private_key(
            Path(key).expanduser(), str(passphrase) if passphrase else None
        ),
    }
    with standard_output_kept():
        try:
            from snowflake.ingest.streaming import (  # type: ignore[import-untyped]
                StreamingIngestClient,
            )
        except ImportError:
            raise ConfigurationError(
                "the Snowpipe Streaming SDK is missing; run: pip install 'cdesk[snowflake]'"
            ) from None
        client: Client = StreamingIngestClient(
            client_name=name,
            db_name=login.database,
            schema_name=login.schema,
            pipe_name=pipe,
            properties=properties,
        )
    return client


def _private_key(path: Path, passphrase: str | None) -> str:
    """The key as the SDK wants it: PKCS #8 in PEM, unencrypted, in memory only. Read at each
    opening, so a rotated key is taken up.
    """
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(
            path.read_bytes(), passphrase.encode() if passphrase else None
        )
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"the private key {path.name} cannot be read ({first_line(error)}); "
            "check SNOWFLAKE_PRIVATE_KEY_PATH or connections.toml"
        ) from None
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@contextlib.contextmanager
def standard_output_kept() -> Iterator[None]:
    """What native code writes to descriptor 1 meanwhile goes to standard error: standard output may
    carry a protocol.

    The SDK's logger says hello on import. Its level is turned down, too, unless the environment
    says otherwise.
    """
    os.environ.setdefault("SS_LOG_LEVEL", "warn")
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # a process without standard output
        yield
        return
    try:
        target = 2 if _is_open(2) else os.open(os.devnull, os.O_WRONLY)
        os.dup2(target, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
