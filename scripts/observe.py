"""One alert seen end to end: cdesk's metrics, a local Prometheus, a local Alertmanager, a receiver.

    make observe

In a state directory of its own the kill switch is turned on; Prometheus reads that from the
worker's `/metrics`, its rule fires, Alertmanager hands it to a receiver here; then the switch is
turned off, and the alert is resolved. Everything listens on loopback and ends with this program.
Needs Debian's packages prometheus and prometheus-alertmanager.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from cdesk.core.clock import format_ts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.state.counts import Counts
from cdesk.state.database import open_state
from cdesk.state.kill_switch import turn_off, turn_on
from cdesk_app.ops.alerts import rules
from cdesk_app.worker.metrics_server import serving_metrics
from scripts.ports import free_port

ALERT: Final = "CdeskKillSwitchOn"
SECONDS: Final = 60.0
PROGRAMS: Final = {
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
}
"""Program → the package of Debian that has it."""


class Receiver:
    """What Alertmanager tells: the status of each alert as it comes."""

    def __init__(self) -> None:
        self.told: queue.Queue[dict[str, Any]] = queue.Queue()
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for alert in json.loads(body)["alerts"]:
                    told.put(alert)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/"

    def wait(self, name: str, status: str, deadline: float) -> dict[str, Any]:
        """The alert of that name and status. Raises TimeoutError."""
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                alert = self.told.get(timeout=left)
                if alert["labels"]["alertname"] == name and alert["status"] == status:
                    return alert
        raise TimeoutError(f"{name} was not {status} in time")

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def running(command: list[str], log: Path, ready: str) -> Iterator[None]:
    """A program until the block ends; entered once `ready` answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent)
        try:
            deadline = time.monotonic() + 20
            while True:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} did not start:\n{log.read_text()[-800:]}")
                with contextlib.suppress(OSError), urllib.request.urlopen(ready, timeout=1):
                    break
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def observe(folder: Path, *, seconds: float = SECONDS) -> tuple[dict[str, Any], dict[str, Any]]:
    """The alert as it fired, and as it was resolved.

    Raises:
        TimeoutError: it was not seen within `seconds`. RuntimeError: a program did not start.
    """
    deadline = time.monotonic() + seconds
    home = StateDirectory(folder / "home").ensure()
    ports = {name: free_port() for name in ("cdesk", "prometheus", "alertmanager")}
    address = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    settings = Settings(home=home.root, customer="observer", metrics_address=address["cdesk"])
    with contextlib.ExitStack() as end:
        receiver = Receiver()
        end.callback(receiver.close)
        (folder / "rules.yml").write_text(rules(), encoding="utf-8")
        (folder / "alertmanager.yml").write_text(_alertmanager(receiver.url), encoding="utf-8")
        (folder / "prometheus.yml").write_text(
            _prometheus(address["cdesk"], address["alertmanager"]), encoding="utf-8"
        )
        end.enter_context(serving_metrics(settings, home, Counts(home, "0" * 32)))
        _say(f"metrics at http://{address['cdesk']}/metrics")
        end.enter_context(
            running(
                [
                    "prometheus-alertmanager",
                    "--config.file=alertmanager.yml",
                    f"--storage.path={folder / 'alertmanager'}",
                    f"--web.listen-address={address['alertmanager']}",
                    "--cluster.listen-address=",
                ],
                folder / "alertmanager.log",
                f"http://{address['alertmanager']}/-/ready",
            )
        )
        end.enter_context(
            running(
                [
                    "prometheus",
                    "--config.file=prometheus.yml",
                    f"--storage.tsdb.path={folder / 'prometheus'}",
                    f"--web.listen-address={address['prometheus']}",
                ],
                folder / "prometheus.log",
                f"http://{address['prometheus']}/-/ready",
            )
        )
        _say(f"Prometheus at {address['prometheus']}, Alertmanager at {address['alertmanager']}")
        _turn(home, on=True)
        _say("the kill switch is on")
        fired = receiver.wait(ALERT, "firing", deadline)
        _say(f"fired: {fired['annotations']['summary']} → {fired['annotations']['runbook_url']}")
        _turn(home, on=False)
        _say("the kill switch is off")
        resolved = receiver.wait(ALERT, "resolved", deadline)
        _say("resolved")
    return fired, resolved


def _turn(home: StateDirectory, *, on: bool) -> None:
    now = format_ts(time.time_ns())
    with closing(open_state(home.state_db)) as state:
        if on:
            turn_on(state, home, reason="make observe", now=now)
        else:
            turn_off(state, home, now=now)


def _prometheus(target: str, alertmanager: str) -> str:
    return f"""global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]
scrape_configs:
  - job_name: cdesk
    static_configs: [{{targets: ["{target}"]}}]
"""


def _alertmanager(receiver: str) -> str:
    return f"""route: {{receiver: here, group_by: [alertname], group_wait: 0s, group_interval: 1s}}
receivers:
  - name: here
    webhook_configs: [{{url: "{receiver}", send_resolved: true}}]
"""


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="One alert seen end to end.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="give up after that long")
    seconds = parser.parse_args().seconds
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            print(f"{program} is missing: apt-get install {package}", file=sys.stderr)
            return 1
    with tempfile.TemporaryDirectory() as folder:
        try:
            observe(Path(folder), seconds=seconds)
        except (TimeoutError, RuntimeError) as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
