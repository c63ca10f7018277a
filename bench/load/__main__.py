"""`python -m bench load`: users with a token and a connection each, thinking between calls; then as
many calls as are carried, ten times as many connections, an abuser, clients that break the rules,
and processes killed. Figures stand beside the same load on a bare server of the SDK, in the same
run. Loopback; load, servers and worker share the processors.

It fails on an error and on an acknowledged record that the warehouse does not hold exactly once.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from bench.load import phases, report
from bench.turn_path import fixtures
from cdesk.core.clock import format_ts
from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.state.access import AccessStore

PHASES: Final = tuple(report.SECTIONS)


def state_directory(folder: Path, *, work: bool) -> StateDirectory:
    """One as the worker leaves it after its first cycle; without the worker, one made up."""
    home = StateDirectory(folder / "home").ensure()
    if not work:
        fixtures.state_directory(home.root, contexts=10)
        return home
    from cdesk_app.worker.main import run_once

    run_once(
        Settings(
            home=home.root, customer="bench@example.com", worker="off", environ=dict(os.environ)
        )
    )
    return home


def tokens_of(home: StateDirectory, users: int) -> list[str]:
    names = [f"user-{number}@example.com" for number in range(users)]
    with closing(AccessStore(home.access_db)) as store:
        made = store.add_tokens(names, expires_at=None, now=format_ts(time.time_ns()))
    return [one.token for one in made]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench load", description=__doc__)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--think", type=float, default=2.0, help="least seconds between calls")
    parser.add_argument("--connected", type=int, help="connections of that phase; 10 × --users")
    parser.add_argument("--only", default=",".join(PHASES), help=f"of {', '.join(PHASES)}")
    parser.add_argument(
        "--no-worker", action="store_true", help="nothing lands; records are counted in the queue"
    )
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="people alone, so long")
    parser.add_argument("--report", type=Path, metavar="PAGE.md", help="write the page and plots")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - set(PHASES):
        parser.error(f"no phase {', '.join(sorted(unknown))}; there are {', '.join(PHASES)}")
    if options.soak:
        chosen, options.seconds = ["people"], options.soak
    many = options.connected or 10 * options.users
    most = max(many if "connected" in chosen else 0, options.users)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if most + 200 > hard:
        parser.error(f"{most:,} connections need more than {hard:,} open files (ulimit -n)")

    found = report.Results(format_ts(time.time_ns()))
    work = not options.no_worker
    with tempfile.TemporaryDirectory() as folder:
        home = state_directory(Path(folder), work=work)
        tokens = tokens_of(home, most)
        users = tokens[: options.users]
        for name in chosen:
            if name == "people":
                found.people = phases.thinking(
                    home,
                    users,
                    options.seconds,
                    options.think,
                    work=work,
                    bare_too=not options.soak,
                )
            elif name == "ramp":
                found.ramp = phases.ramp(home, users[:400])
            elif name == "connected":
                found.connected = phases.connected(
                    home, tokens[:many], options.seconds, 10 * options.think
                )
            elif name == "abuser":
                found.abuser = phases.one_abuser(home, users[:201], options.seconds / 2)
            elif name == "hostile":
                found.hostile = phases.hostile(home, users[:51])
            else:
                found.killed = phases.killed(home, users[:200], options.seconds / 2)
            print(*report.lines_of(found)[name], "", sep="\n", flush=True)
    for line in report.missed(found):
        print("not reached:", line)
    if options.report:
        report.write_page(
            found, options.report, shlex.join(["python", "-m", "bench", "load", *sys.argv[1:]])
        )
    wrong = report.problems(found)
    for line in wrong:
        print("FAILED:", line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
