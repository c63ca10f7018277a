"""The totals of ccusage, which many people read their use with: the same where each response stands
once, and where they differ, who is right by the API's own fields.
"""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from cdesk.contract.records import parse_line
from tests.needs import need, need_program
from uploader.capture import Capture
from uploader.capture_store import CaptureStore
from uploader.histories import Histories
from uploader.sources.sample import write_history

NAMES = ("input_tokens", "output_tokens", "cache_creation_tokens", "cache_read_tokens")
Totals = dict[tuple[str, str], tuple[int, ...]]


@pytest.fixture(scope="module")
def ccusage(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Version 15.9.7, which is plain JavaScript and needs no network once it is there."""
    npm = need_program("npm", "npm and node (apt-get install npm)")
    folder = tmp_path_factory.mktemp("ccusage")
    (folder / "package.json").write_text("{}", encoding="utf-8")
    ran = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "ccusage@15.9.7"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    need(ran.returncode == 0, "ccusage 15.9.7 from npm")
    return str(folder / "node_modules" / ".bin" / "ccusage")


def theirs(program: str, root: Path) -> Totals:
    environ = {**os.environ, "CLAUDE_CONFIG_DIR": str(root), "HOME": str(root), "TZ": "UTC"}
    words = [program, "daily", "--offline", "--json", "--breakdown", "--timezone", "UTC"]
    ran = subprocess.run(words, env=environ, capture_output=True, check=True)
    return {
        (day["date"], model["modelName"]): (
            model["inputTokens"],
            model["outputTokens"],
            model["cacheCreationTokens"],
            model["cacheReadTokens"],
        )
        for day in json.loads(ran.stdout)["daily"]
        for model in day["modelBreakdowns"]
    }


def ours(root: Path, folder: Path) -> Totals:
    lines: list[bytes] = []
    with closing(CaptureStore(folder / "capture.db")) as store:
        capture = Capture(store, [Histories((root / "projects",), ())], customer="ada")
        capture.look(capture.discover(), write=lines.extend, most_records=10**9)
    found: dict[tuple[str, str], list[int]] = {}
    for record in map(parse_line, lines):
        assert record["kind"] == "event"
        if record["activity"] == "cdesk.claude_responded":
            features = record["feature_json"]
            totals = found.setdefault((record["ts"][:10], features["model"]), [0] * len(NAMES))
            for place, name in enumerate(NAMES):
                totals[place] += features.get(name, 0)
    return {key: tuple(totals) for key, totals in found.items()}


def test_totals_by_day_and_model_are_the_same_where_each_response_stands_once(
    ccusage: str, tmp_path: Path
) -> None:
    end = datetime(2026, 3, 1, tzinfo=UTC)
    truth = write_history(tmp_path, responses=200, end=end, seed=5, duplicates=False)
    found = ours(tmp_path / ".claude", tmp_path)
    assert len(found) == len(truth.by_day) > 10
    assert found == theirs(ccusage, tmp_path / ".claude")


def line(second: int, output: int, *, session: str, request: str) -> dict[str, Any]:
    """A line of one and the same response: `message.id` says so."""
    usage = {"input_tokens": 10, "output_tokens": output}
    usage |= {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {
        "type": "assistant",
        "timestamp": f"2026-02-01T10:00:{second:02}.000Z",
        "sessionId": session,
        "requestId": request,
        "version": "2.0.31",
        "message": {"id": "msg_1", "model": "claude-sonnet-4-5", "usage": usage, "content": []},
    }


def put(root: Path, session: str, *lines: dict[str, Any]) -> None:
    path = root / "projects" / "-w" / f"{session}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in lines))


def test_usage_that_grows_ends_with_the_last_line_and_not_the_first(
    ccusage: str, tmp_path: Path
) -> None:
    """`output_tokens` of a stream are cumulative: the last says what was billed. ccusage takes the
    first line it sees.
    """
    put(
        tmp_path,
        "s1",
        line(1, 2, session="s1", request="r1"),
        line(3, 40, session="s1", request="r1"),
    )
    key = ("2026-02-01", "claude-sonnet-4-5")
    assert ours(tmp_path, tmp_path) == {key: (10, 40, 0, 0)}
    assert theirs(ccusage, tmp_path) == {key: (10, 2, 0, 0)}


def test_a_copy_under_another_request_is_the_same_response(ccusage: str, tmp_path: Path) -> None:
    """`message.id` is the API's name of a response, and the API gave it once. ccusage goes by the
    id and the request together, and counts a copy with another request again.
    """
    put(tmp_path, "s1", line(1, 40, session="s1", request="r1"))
    put(tmp_path, "s2", line(1, 40, session="s2", request="r2"))
    key = ("2026-02-01", "claude-sonnet-4-5")
    assert ours(tmp_path, tmp_path) == {key: (10, 40, 0, 0)}
    assert theirs(ccusage, tmp_path) == {key: (20, 80, 0, 0)}
