"""uvicorn's HTTP connection with bounds that it leaves to a proxy: how long a client may take to
say what it wants, and in how many bytes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Protocol
else:
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Protocol
    except ImportError:  # no wheel of httptools for this platform
        from uvicorn.protocols.http.h11_impl import H11Protocol as Protocol

MAX_HEAD_BYTES: Final = 16 * 1024
"""Request line and headers. Those that come whole in one read are counted once they are parsed
(mcp_shim/transports/http.py).
"""
FIRST_BYTE_SECONDS: Final = 30.0
HEAD_SECONDS: Final = 10.0
"""From the first byte of a request to the end of its headers."""
UNREAD_SECONDS: Final = 35.0
"""For so long a client may read nothing of what waits for it. A little longer than an answer waits
(mcp_shim/transports/http.py), which then says so in the log: a close alone waits for the client.
"""

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 18\r\n"
    b"connection: close\r\n\r\nheaders too large\n"
)


class GuardedConnection(Protocol):
    """Cuts clients that send their headers too slowly, or too many of them."""

    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(FIRST_BYTE_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        self._clear_unread()
        super().connection_lost(exc)
        # uvicorn does so after a proper end alone: a connection that is reset would be kept, with
        # its transport, for as long as people may think.
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        # Between a request's last byte and the next one's headers, what comes is headers.
        in_head = before is None or not before.more_body
        if in_head and not self._head_bytes and (before is None or before.response_complete):
            self._clear_deadline()
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
        super().data_received(data)
        if self.cycle is not before:
            self._clear_deadline()
            self._head_bytes = 0
        elif in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._clear_unread()

    def shutdown(self) -> None:
        """Tell the service as well: it ends streams that would stay open."""
        service: Any = self.app_state.get("service")
        if service is not None:
            service.drain()
        super().shutdown()

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _clear_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
