"""A service that speaks S3 on loopback (moto's), and the faults that a real one has.

What it stands for: the API, its errors and its checksums. What it cannot: a lifecycle rule that
really removes something, and a network that is slow in the middle of a body.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


@dataclass
class S3Service:
    """Where it listens. `faults`: answers given in place of the service's own, one a request that
    `when` is true of; `asked`: method and path of every request.
    """

    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Fault:
    """One wrong answer. `status` 0 closes the connection; `seconds`: how long it takes."""

    code: str = ""
    status: int = 503
    seconds: float = 0.0
    when: Callable[[str, str], bool] = lambda _method, _path: True

    def answer(self, start_response: Any) -> Iterable[bytes]:
        time.sleep(self.seconds)
        text = f"<?xml version='1.0'?><Error><Code>{self.code}</Code><Message>x</Message></Error>"
        start_response(f"{self.status} X", [("Content-Type", "application/xml")])
        return [text.encode()]


@contextmanager
def s3_service() -> Iterator[S3Service]:
    """Run the service for the block."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any, **__: Any) -> None:
            return

    service = S3Service()
    real: Wsgi = DomainDispatcherApplication(create_backend_app)
    lock = threading.Lock()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with lock:
            service.asked.append((method, path))
            fault = next((one for one in service.faults if one.when(method, path)), None)
            if fault is not None:
                service.faults.remove(fault)
        return real(environ, start_response) if fault is None else fault.answer(start_response)

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        thread.join(60)
        server.server_close()
