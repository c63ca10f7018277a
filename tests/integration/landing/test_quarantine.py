"""`cdesk quarantine` on a warehouse that dbt built: a line refused by an older version, replayed
after the upgrade.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from landing_table import event, query

from cdesk.core.config import Settings
from cdesk.core.home import StateDirectory
from cdesk.queue.writer import QueueWriter
from cdesk.state.database import open_state
from cdesk.warehouse.duckdb import DuckDBWarehouse
from cdesk.warehouse.protocol import LandedLine
from cdesk_app.cli.main import main
from cdesk_app.worker.cycle import run_cycle
from cdesk_app.worker.pipeline import Pipeline, open_pipeline
from uploader.validation import quarantine_id, quarantine_payload

TOKEN = "gh" + "p_" + "a1B2" * 9
OLD_FILE = f"{'a' * 32}-000001.ndjson"


def cdesk(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def ids(home: StateDirectory) -> list[str]:
    return [
        row[0]
        for row in query(
            home.warehouse,
            "select _activity_id from activities.events where activity = 'cdesk.file_read'",
        )
    ]


@pytest.fixture
def pipeline(state_home: StateDirectory, first_round: Path) -> Iterator[Pipeline]:
    """The worker's work at hand, dbt kept warm, on a state directory that was built."""
    shutil.copytree(first_round, state_home.root, dirs_exist_ok=True)
    settings = Settings(
        home=state_home.root, customer="ada@example.com", worker="off", environ={"PATH": ""}
    )
    with closing(open_pipeline(settings, state_home, stop=threading.Event())) as opened:
        yield opened


@pytest.mark.timeout(600)
def test_a_refused_line_is_shown_replayed_once_and_others_discarded(
    state_home: StateDirectory, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    id, line = event("cdesk.file_read")
    refused = LandedLine(
        quarantine_id(OLD_FILE, 0),
        "quarantine",
        quarantine_payload(line[:-1], "newer_version", "v is 1").decode(),
        OLD_FILE,
        0,
    )
    DuckDBWarehouse(state_home.warehouse).land([refused])
    with closing(QueueWriter(state_home.queue)) as writer:
        writer.append(f'{{"odd": "{TOKEN}", "password": "hunter2 x"}}\n'.encode())
        writer.append(b"\xff\xfe\n")
        writer.append(event()[1])
    run_cycle(pipeline)
    assert ids(state_home) == []

    alert = json.loads(cdesk(capsys, "status", "--json"))["quarantine"]
    assert (alert["lines"], alert["reasons"]) == (2, {"not_utf8": 1, "unknown_version": 1})
    assert "2 lines" in cdesk(capsys, "status")
    assert main(["doctor"]) == 0
    assert "cdesk quarantine list" in capsys.readouterr().out

    listed = {
        one["quarantine_id"]: one
        for one in json.loads(cdesk(capsys, "quarantine", "list", "--json"))
    }
    assert sorted(one["reason"] for one in listed.values()) == [
        "newer_version",
        "not_utf8",
        "unknown_version",
    ]
    assert "newer_version" in cdesk(capsys, "quarantine", "list")
    assert id in cdesk(capsys, "quarantine", "show", refused.id)

    for one in listed.values():
        for shown in (
            one["raw"],
            cdesk(capsys, "quarantine", "show", one["quarantine_id"]),
            cdesk(capsys, "quarantine", "show", one["quarantine_id"], "--json"),
        ):
            assert TOKEN not in shown
            assert "hunter2" not in shown
            if one["reason"] == "unknown_version":
                assert "[secret:github_token]" in shown
                assert "[secret:password]" in shown

    replayed = json.loads(cdesk(capsys, "quarantine", "replay", "--all", "--json"))
    verdicts = {listed[one["quarantine_id"]]["reason"]: one["verdict"] for one in replayed}
    assert verdicts == {
        "newer_version": "replayed",
        "unknown_version": "still_refused",
        "not_utf8": "not_whole",
    }
    again = json.loads(cdesk(capsys, "quarantine", "replay", refused.id, "--json"))
    assert again[0]["verdict"] == "already"
    with closing(open_state(state_home.state_db)) as state:
        state.execute(
            "delete from quarantine_marks"
        )  # lost with state.db: a second replay does no harm
    assert (
        json.loads(cdesk(capsys, "quarantine", "replay", refused.id, "--json"))[0]["verdict"]
        == "replayed"
    )
    run_cycle(pipeline)
    assert ids(state_home) == [id]

    assert json.loads(cdesk(capsys, "quarantine", "discard", "--all", "--json")) == {"discarded": 2}
    assert "nothing in quarantine" in cdesk(capsys, "quarantine", "list")
    assert json.loads(cdesk(capsys, "status", "--json"))["quarantine"]["lines"] == 0
    assert main(["quarantine", "list", "--limit", "0"]) == 2
    assert len(json.loads(cdesk(capsys, "quarantine", "list", "--done", "--json"))) == 3
    (state_home.queue / "records.ndjson").write_bytes(b"{}\n")
    assert "records.ndjson" in cdesk(capsys, "status")
    assert main(["doctor"]) == 0
    assert "is no file of the queue" in capsys.readouterr().out
    assert main(["quarantine", "show", "q-none"]) == 1
    assert main(["quarantine", "replay"]) == 2


@pytest.mark.timeout(600)
def test_a_record_whose_id_was_taken_is_told_until_somebody_has_decided(
    state_home: StateDirectory, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    _, line = event("cdesk.file_read")
    with closing(QueueWriter(state_home.queue)) as writer:
        writer.append(line)
        writer.append(line.replace(b"cdesk.file_read", b"cdesk.file_gone"))
        writer.append(b'{"odd": true}\n')
    run_cycle(pipeline)

    alert = json.loads(cdesk(capsys, "status", "--json"))["quarantine"]
    assert (alert["lines"], alert["reasons"]) == (2, {"unknown_version": 1, "id_conflict": 1})
    cdesk(capsys, "quarantine", "discard", "--all")
    with closing(QueueWriter(state_home.queue)) as writer:
        writer.append(event()[1])
    run_cycle(pipeline)
    assert json.loads(cdesk(capsys, "status", "--json"))["quarantine"]["lines"] == 0
