"""Each runbook's commands, run after the trouble that it is about was caused.

Those that build take long and belong to `make launch-check`; the others run with every test.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest
from landing_table import event

from cdesk.core.clock import format_ts
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.state.access import AccessStore
from cdesk.state.database import open_state
from cdesk.state.kill_switch import turn_on
from cdesk_app.cli.main import main
from cdesk_app.ops.alerts import ALERTS
from tests.integration.upgrade.old_code import aged

PAGES = Path(__file__).resolve().parents[3] / "docs" / "runbooks"
SECTIONS = ("How it shows", "Check", "Do", "Verify")
CUSTOMER = "ada@example.com"


@dataclass
class Trouble:
    """A state directory in trouble. names: what the page's variables stand for. ended: what the
    person ends or mends by hand before `Do`.
    """

    home: StateDirectory
    work: Path
    monkeypatch: pytest.MonkeyPatch
    stack: ExitStack
    names: dict[str, str] = field(default_factory=dict)
    ended: list[Callable[[], None]] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    """shown: what the commands of Check print, an error's line included. verified: what those of
    Verify print. gone: what they must not print.
    """

    page: str
    cause: Callable[[Trouble], None]
    shown: tuple[str, ...]
    verified: tuple[str, ...]
    gone: tuple[str, ...] = ()
    slow: bool = True


def record(home: StateDirectory, *lines: bytes, count: int = 2) -> None:
    writer = QueueWriter(home.queue)
    for _ in range(count):
        writer.append(event(customer=CUSTOMER)[1])
    for line in lines:
        writer.append(line)
    writer.close()


def waiting(trouble: Trouble) -> None:
    record(trouble.home)


def drifted(trouble: Trouble) -> None:
    from cdesk.warehouse.duckdb import DuckDBWarehouse
    from uploader.uploader import Uploader

    record(trouble.home, b'{"v":1,"kind":"event","customer":"ada@example.com"}\n')
    uploader = Uploader(trouble.home, DuckDBWarehouse(trouble.home.warehouse))
    assert uploader.drain().quarantined == 1
    uploader.close()
    assert main(["worker", "--once"]) == 0


def capped(trouble: Trouble) -> None:
    with contextlib.closing(open_state(trouble.home.state_db)) as state:
        turn_on(state, trouble.home, reason="cost cap", now=format_ts(time.time_ns()))


def unreachable(trouble: Trouble) -> None:
    """A warehouse that cannot be had, as a network that fails looks to the worker."""
    record(trouble.home)
    away = trouble.home.warehouse.with_name("away")
    trouble.home.warehouse.rename(away)
    trouble.home.warehouse.mkdir()

    def mend() -> None:
        trouble.home.warehouse.rmdir()
        away.rename(trouble.home.warehouse)

    trouble.ended.append(mend)


def broken_state(trouble: Trouble) -> None:
    record(trouble.home)
    trouble.home.state_db.write_bytes(b"no database" * 1000)
    trouble.home.context_db.write_bytes(b"no database" * 1000)


def broken_warehouse(trouble: Trouble) -> None:
    record(trouble.home)
    trouble.home.warehouse.write_bytes(b"no database" * 1000)


def held(trouble: Trouble) -> None:
    record(trouble.home)
    code = f"import duckdb; c = duckdb.connect({str(trouble.home.warehouse)!r}); print(1, flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    trouble.stack.callback(holder.stdout.close)  # type: ignore[union-attr]
    trouble.stack.callback(holder.wait)
    trouble.stack.callback(holder.kill)
    assert holder.stdout is not None
    holder.stdout.readline()

    def end() -> None:
        assert holder.stdin is not None
        holder.stdin.close()
        holder.wait()

    trouble.ended.append(end)


def full(trouble: Trouble) -> None:
    (trouble.home.root / "state.db.damaged-1").write_bytes(b"x")
    (trouble.home.charts / "0").mkdir(parents=True)
    usage = shutil.disk_usage
    trouble.monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage(path)._replace(free=1_000_000)
    )
    trouble.ended.append(lambda: trouble.monkeypatch.setattr(shutil, "disk_usage", usage))


def token(trouble: Trouble, *, seconds: int) -> None:
    now = time.time_ns()
    with contextlib.closing(AccessStore(trouble.home.access_db)) as access:
        (made,) = access.add_tokens(
            [CUSTOMER], expires_at=format_ts(now + seconds * 10**9), now=format_ts(now)
        )
    trouble.names["TOKEN"] = made.id


def expired(trouble: Trouble) -> None:
    token(trouble, seconds=-5)


def valid(trouble: Trouble) -> None:
    token(trouble, seconds=3_600)


def backed_up(trouble: Trouble) -> None:
    record(trouble.home)
    assert main(["backup", trouble.names["BACKUP"]]) == 0
    record(trouble.home)


def lost(trouble: Trouble) -> None:
    backed_up(trouble)
    trouble.home.warehouse.write_bytes(b"no database")


def remembered(trouble: Trouble) -> None:
    record(trouble.home)
    assert main(["worker", "--once"]) == 0


def old(trouble: Trouble) -> None:
    record(trouble.home)
    aged(trouble.home)


NO_WAIT = ("0 records (0 B) not landed yet",)
CASES = [
    Case("uploader_crash", waiting, ("2 records", "not running"), NO_WAIT),
    Case("queue_overflow", waiting, ("2 records",), (*NO_WAIT, "ok      queue")),
    Case("schema_drift", drifted, ("missing_field",), ("",), gone=("missing_field",)),
    Case("credit_exhaustion", capped, ("on (cost cap)",), ("off: queries run",), slow=False),
    Case("network_failure", unreachable, ("2 records", "cannot be used"), NO_WAIT),
    Case("corrupt_state", broken_state, ("snapshot",), ("ok      state.db", "ok      snapshot")),
    Case("corrupt_warehouse", broken_warehouse, ("FAILED  warehouse",), ("built, and answers",)),
    Case("locked_warehouse", held, ("another process holds",), ("built, and answers",)),
    Case("disk_full", full, ("FAILED  disk",), ("disk",), gone=("FAILED  disk",), slow=False),
    Case("key_rotation", valid, ("valid",), ("valid",), slow=False),
    Case("lockout", expired, ("expired", "ok      state directory"), ("valid",), slow=False),
    Case("token_leak", valid, ("valid",), ("revoked",), gone=("valid",), slow=False),
    Case("restore", lost, ("is whole",), ("built, and answers",)),
    Case(
        "erase_customer",
        remembered,
        (CUSTOMER, "Nobody is under legal hold"),
        ("ok      state.db",),
    ),
    Case("upgrade", old, ("files",), ("built, and answers", "as installed")),
    Case("rollback", backed_up, ("is whole",), NO_WAIT),
    Case("performance_degradation", waiting, ("2 records",), NO_WAIT),
]


def section(page: str, name: str) -> list[str]:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    part = text.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def run(trouble: Trouble, line: str) -> int:
    """A line of a page, as typed into a shell; `cdesk` runs in this process."""
    words = shlex.split(line)
    with trouble.monkeypatch.context() as moved:
        while re.fullmatch(r"[A-Z_]+=.*", words[0]):
            name, _, value = words.pop(0).partition("=")
            moved.setenv(name, _filled(value, trouble.names))
        if words[0] == "cdesk":
            return main([_filled(word, trouble.names) for word in words[1:]])
        return subprocess.run(
            ["sh", "-c", line], env={**os.environ, **trouble.names}, check=False
        ).returncode


def _filled(word: str, names: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: names[match[1]], word)


@pytest.fixture
def trouble(
    first_round: Path,
    state_home: StateDirectory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Trouble]:
    shutil.copytree(first_round, state_home.root, dirs_exist_ok=True)
    names = {
        "CDESK_HOME": str(state_home.root),
        "BACKUP": str(tmp_path / "backup.zip"),
        "RESTORED": str(tmp_path / "restored"),
    }
    with ExitStack() as stack:
        yield Trouble(state_home, tmp_path, monkeypatch, stack, names)


@pytest.mark.skipif(sys.platform == "win32", reason="the pages show a POSIX shell")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=c.page, marks=[pytest.mark.launch] if c.slow else []) for c in CASES],
)
def test_the_commands_of_a_runbook_mend_its_trouble(
    case: Case, trouble: Trouble, capfd: pytest.CaptureFixture[str]
) -> None:
    case.cause(trouble)
    capfd.readouterr()

    def printed(name: str, *, failing: bool = False) -> str:
        codes = {line: run(trouble, line) for line in section(case.page, name)}
        out = capfd.readouterr()
        if not failing:
            assert set(codes.values()) <= {0}, (codes, out.err[-2000:])
        return out.out + out.err

    shown = printed("Check", failing=True)
    assert [text for text in case.shown if text not in shown] == [], shown
    for end in trouble.ended:
        end()
    printed("Do")
    verified = printed("Verify")
    assert [text for text in case.verified if text not in verified] == [], verified
    assert [text for text in case.gone if text in verified] == [], verified


def test_every_runbook_has_its_sections_and_a_case() -> None:
    pages = {page.stem: page.read_text(encoding="utf-8") for page in PAGES.glob("*.md")}
    assert all(f"({name}.md)" in pages["README"] for name in pages if name != "README")
    del pages["README"]
    assert set(pages) == {case.page for case in CASES}
    for name, text in pages.items():
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == list(SECTIONS), name
        assert section(name, "Check"), name
        assert section(name, "Do"), name
        assert section(name, "Verify"), name


def test_every_alert_stands_on_the_runbook_that_it_links() -> None:
    missing = [
        (alert.name, alert.runbook)
        for alert in ALERTS
        if alert.name not in (PAGES / f"{alert.runbook}.md").read_text(encoding="utf-8")
    ]
    assert missing == []


def test_a_damaged_log_is_set_aside_and_what_it_held_lands_again(
    trouble: Trouble, capfd: pytest.CaptureFixture[str]
) -> None:
    """What DuckDB had not yet written into its file when the power went."""
    from cdesk.warehouse.duckdb import DuckDBWarehouse
    from uploader.uploader import Uploader

    home = trouble.home
    before = trouble.work / "before.duckdb"
    shutil.copy(home.warehouse, before)
    record(home, count=3)
    uploader = Uploader(home, DuckDBWarehouse(home.warehouse))
    assert uploader.drain().landed == 3
    uploader.close()
    shutil.copy(before, home.warehouse)
    with duckdb.connect(home.warehouse) as engine:
        engine.execute("pragma disable_checkpoint_on_shutdown")
        engine.execute("pragma wal_autocheckpoint = '1GB'")
        for _ in range(5):
            engine.execute(
                "insert into activities.slo_targets (metric) select 'x' || range from range(500)"
            )
    log = home.warehouse.with_name("warehouse.duckdb.wal")
    # A value, which its checksum gives away: a damaged length may pass for a log cut short.
    data = bytearray(log.read_bytes().replace(b"x250", b"y250"))
    log.write_bytes(data)
    warehouse = DuckDBWarehouse(home.warehouse)
    aside = warehouse.set_damaged_log_aside()
    assert aside is not None
    assert aside.name == "warehouse.duckdb.wal.damaged-1"
    assert aside.read_bytes() == bytes(data)
    assert warehouse.set_damaged_log_aside() is None
    again = Uploader(home, warehouse)
    assert again.drain().landed == 3
    again.close()
    main(["doctor"])
    assert (
        "its log was damaged and stands in warehouse.duckdb.wal.damaged-1" in capfd.readouterr().out
    )
