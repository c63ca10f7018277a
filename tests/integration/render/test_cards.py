"""Cards over HTTP: what they show, to whom, and what they make of whatever a result holds."""

from __future__ import annotations

import csv
import http.client
import io
import json
import math
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdesk.state.database import open_state
from cdesk_app.render.links import Links
from tests.integration.render.conftest import ADA, BOB

if TYPE_CHECKING:
    from tests.integration.render.conftest import Site

DAY = datetime(2026, 1, 5, tzinfo=UTC)


def by_day(count: int = 30) -> dict[str, Any]:
    return {
        "period_start": [DAY + timedelta(days=n) for n in range(count)],
        "activity_count": list(range(10, 10 + count)),
    }


ASKED = {"activity": "cdesk.user_asked", "period": "day", "days_back": 30}


def test_a_card_says_what_was_asked_and_where_it_comes_from(site: Site) -> None:
    id = site.put(by_day(), ASKED)
    page = site.get(site.link(id))
    assert page.status == 200
    for text in (
        "cdesk.user_asked",
        "activity_by_period",
        "cdesk_1a2b3c4d",
        ADA,
        id,
        "2026-01-05 01:00",
    ):
        assert text in page.text
    assert "The first 10 of 30." in page.text


def test_the_skeleton_comes_before_the_rows(site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    try:
        connection.request("GET", site.link(site.put(by_day(), ASKED)))
        answer = connection.getresponse()
        first, rest = answer.read1(1_000_000).decode(), answer.read().decode()
    finally:
        connection.close()
    assert 'id="headline"' in first
    assert "chart.svg" in first
    assert "<table" not in first
    assert rest.index("<table") < rest.index("The first 10 of 30.") < rest.index("</html>")


def test_its_words_come_with_the_chart_and_then_with_the_page(site: Site) -> None:
    link = site.link(site.put(by_day(), ASKED))
    assert 'data-known="no"' in site.get(link).text
    words = site.get(site.part(link, "chart.json")).json
    assert words["headline"].startswith("735 questions in 30 days")
    assert words["headline"] in words["alt"]
    page = site.get(link).text
    assert words["headline"] in page
    assert words["alt"] in page


def test_the_chart_comes_as_svg_and_png(site: Site) -> None:
    link = site.link(site.put(by_day(), ASKED))
    light = site.get(site.part(link, "chart.svg", theme="light"))
    dark = site.get(site.part(link, "chart.svg", theme="dark"))
    assert (light.status, light.headers["content-type"]) == (200, "image/svg+xml")
    assert light.body != dark.body
    png = site.get(site.part(link, "chart.png"))
    assert png.body.startswith(b"\x89PNG")
    assert png.headers["content-type"] == "image/png"


def test_rows_come_in_pages_sorted_and_filtered(site: Site) -> None:
    link = site.link(
        site.put({"n": list(range(1_000)), "name": [f"n{n % 3}" for n in range(1_000)]})
    )
    first = site.get(site.part(link, "rows")).json
    assert (first["total"], len(first["rows"]), first["rows"][0]) == (1_000, 100, ["0", "n0"])
    last = site.get(site.part(link, "rows", offset=950)).json
    assert [row[0] for row in last["rows"]] == [str(n) for n in range(950, 1_000)]
    found = site.get(
        site.part(link, "rows", sort=0, descending=1, filter=["1:eq:n2", "0:lt:100"])
    ).json
    assert (found["total"], found["rows"][0]) == (33, ["98", "n2"])
    assert site.get(site.part(link, "rows", text="n1")).json["total"] == 333


@pytest.mark.parametrize(
    "wanted",
    [
        {"offset": "-1"},
        {"offset": "x"},
        {"offset": "9" * 30},
        {"sort": "7"},
        {"sort": "n; drop table source"},
        {"filter": "0:like:x"},
        {"filter": "x:eq:1"},
        {"filter": ["0:eq:1"] * 21},
    ],
)
def test_what_makes_no_sense_of_rows_is_refused(site: Site, wanted: dict[str, Any]) -> None:
    link = site.link(site.put(by_day()))
    answer = site.get(site.part(link, "rows", **wanted))
    assert (answer.status, answer.json["code"]) == (400, "invalid_argument")


def test_downloads_hold_every_row(site: Site) -> None:
    table = pa.table({"n": list(range(30_000)), "text": ['äöü, "x"\n'] * 30_000})
    link = site.link(site.put(table, ASKED))
    answer = site.get(site.part(link, "download/csv"))
    assert re.fullmatch(
        r'attachment; filename="activity_by_period_[0-9a-f]{8}\.csv"',
        answer.headers["content-disposition"],
    )
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert (len(rows), rows[30_000]) == (30_001, ["29999", 'äöü, "x"\n'])
    document = site.get(site.part(link, "download/json")).json
    assert len(document["rows"]) == 30_000
    assert document["params"] == ASKED
    parquet = site.get(site.part(link, "download/parquet"))
    assert pq.read_table(io.BytesIO(parquet.body)).num_rows == 30_000
    assert site.get(site.part(link, "download/exe")).status == 404


def test_a_sample_says_so(site: Site) -> None:
    table = pa.table({"n": list(range(50_000))})
    link = site.link(site.put(table, byte_cap=100_000))
    assert "ampled 12,500 of 50,000 rows" in site.get(link).text
    words = site.get(site.part(link, "chart.json")).json
    assert words["headline"].startswith("In a sample of 12,500 rows: ")


def test_an_answer_that_is_forgotten_still_has_its_card(site: Site) -> None:
    link = site.link(site.put(by_day(), remembered=False))
    page = site.get(link)
    assert page.status == 200
    assert "no longer on record" in page.text
    assert site.get(site.part(link, "rows")).json["total"] == 30


@pytest.mark.parametrize("whose", ["mine", "another's", "gone"])
def test_one_value_is_shown_with_the_series_behind_it_where_that_is_ones_own(
    site: Site, whose: str
) -> None:
    hours = {
        "period_start": [DAY + timedelta(hours=n) for n in range(5)],
        "activity_count": [1, 2, 3, 4, 30],
    }
    series = site.put(hours, customer=BOB if whose == "another's" else ADA)
    if whose == "gone":
        site.file(series).unlink()
    id = site.put({"period_start": [DAY], "activity_count": [40]}, {**ASKED, "period": "day"})
    trend = {"period": "hour", "query_hash": "a" * 16, "artifact_id": series}
    with closing(open_state(site.home.state_db)) as state:
        state.execute(
            "update query_runs set result = json_set(result, '$.trend', json(?)) where ticket_id = ?",
            (json.dumps(trend), id),
        )
    link = site.link(id)
    words = site.get(site.part(link, "chart.json")).json
    assert words["headline"] == "40 questions"
    assert ("By hour: highest at 30" in words["finding"]) == (whose == "mine")
    assert site.get(site.part(link, "chart.svg")).status == 200
    assert "by hour, aaaaaaaaaaaaaaaa" in site.get(link).text


# -- links


def statuses(site: Site, link: str) -> set[int]:
    parts = ("rows", "chart.json", "chart.svg", "chart.png", "download/csv", "download/parquet")
    return {site.get(link).status, *(site.get(site.part(link, part)).status for part in parts)}


def test_no_part_of_a_card_opens_without_its_link(site: Site) -> None:
    id = site.put(by_day())
    link = site.link(id)
    assert statuses(site, link) == {200}
    path, _, query = link.partition("?")
    for bad in (path, f"{path}?t=", f"{path}?{query[:-1]}", f"{path}?{query}x", f"{path}?t=a.b"):
        assert statuses(site, bad) == {403}, bad


def test_another_cards_link_opens_nothing(site: Site) -> None:
    mine, other = site.put(by_day()), site.put(by_day())
    query = site.link(mine).partition("?")[2]
    assert statuses(site, f"/c/{other}?{query}") == {403}


def test_another_customers_link_is_as_good_as_none(site: Site) -> None:
    """Signed by this installation, for Bob; the result is Ada's. It says what it says of a result
    that nobody has.
    """
    id = site.put(by_day())
    theirs = site.get(site.link(id, customer=BOB))
    unknown = "0190a5f0-0000-7000-8000-000000000000"
    nobodys = site.get(site.link(unknown, customer=BOB))
    assert theirs.status == nobodys.status == 404
    assert theirs.text == nobodys.text


def test_an_expired_link_says_so(site: Site) -> None:
    id = site.put(by_day())
    past = Links(site.home, now_ns=lambda: 1_700_000_000 * 10**9)
    Links(site.home).sign("card", customer=ADA, subject=id)  # a key of today
    token = past.sign("card", customer=ADA, subject=id, seconds=60).token
    answer = site.get(f"/c/{id}?t={token}")
    assert answer.status == 410
    assert "expired" in answer.text
    assert f"cdesk card {id} --open" in answer.text


def test_a_revoked_link_stays_shut(site: Site) -> None:
    id = site.put(by_day())
    link = site.link(id)
    assert site.get(link).status == 200
    Links(site.home).revoke(id)
    assert statuses(site, link) == {410}
    assert "revoked" in site.get(link).text


@pytest.mark.parametrize(
    "path",
    [
        "/c/../../etc/passwd",
        "/c/..%2f..%2fetc%2fpasswd",
        "/c/%2e%2e",
        "/c/x",
        "/c/" + "a" * 5_000,
        "/c/0190A5F0-0000-7000-8000-000000000000",
        "/static/..%2fapp.py",
        "/static/x.js",
        "/nowhere",
        "//example.com",
        "/c/%00",
    ],
)
def test_tricks_with_paths_lead_nowhere(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.status == 404
    assert "Traceback" not in answer.text
    assert "root:" not in answer.text


def test_a_browser_that_asks_for_another_name_is_refused(site: Site) -> None:
    """https://en.wikipedia.org/wiki/DNS_rebinding"""
    link = site.link(site.put(by_day()))
    assert site.get(link, Host="attacker.example").status == 400
    assert site.get(link, Host="localhost").status == 200


def test_every_answer_is_guarded(site: Site) -> None:
    link = site.link(site.put(by_day()))
    parts = [site.part(link, part) for part in ("rows", "chart.svg", "download/csv")]
    for path in (link, "/nowhere", "/static/card.js", *parts):
        headers = site.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in policy


def test_a_page_has_no_script_or_style_of_its_own_and_names_no_other_host(site: Site) -> None:
    link = site.link(site.put(by_day(), ASKED))
    for text in (site.get(link).text, site.get("/nowhere").text):
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", text)
        assert re.findall(r"(?:src|href|srcset)=\"(?!/)", text) == []


# -- artifacts that are not as they should be


@pytest.mark.parametrize(
    ("damage", "status", "said"),
    [
        ("deleted", 410, "removed"),
        ("half-written", 500, "damaged or half-written"),
        ("corrupted", 500, "damaged or half-written"),
        ("exchanged", 500, "damaged or half-written"),
        ("expired", 410, "was kept until"),
    ],
)
def test_a_damaged_result_is_a_clear_page(site: Site, damage: str, status: int, said: str) -> None:
    id = site.put(by_day())
    link, file = site.link(id), site.file(id)
    if damage == "deleted":
        file.unlink()
    elif damage == "half-written":
        file.write_bytes(file.read_bytes()[:200])
    elif damage == "exchanged":  # another whole result of the same columns
        file.write_bytes(site.file(site.put(by_day(29))).read_bytes())
    elif damage == "corrupted":
        file.write_bytes(b"PAR1" + b"\xff" * 500 + b"PAR1")
    else:
        with closing(open_state(site.home.state_db)) as state:
            state.execute(
                "update artifacts set expires_at = '2026-01-01T00:00:00.000000Z' where artifact_id = ?",
                (id,),
            )
    answer = site.get(link)
    assert answer.status == status
    assert said in answer.text
    assert str(site.home.root) not in answer.text


def test_what_is_on_hold_is_shown_past_its_time(site: Site) -> None:
    id = site.put(by_day(), kept_ns=-1)
    with closing(open_state(site.home.state_db)) as state:
        state.execute("update artifacts set legal_hold = 1 where artifact_id = ?", (id,))
    page = site.get(site.link(id))
    assert page.status == 200
    assert "on hold" in page.text


def test_a_state_directory_of_a_newer_version_says_so(site: Site) -> None:
    link = site.link(site.put(by_day()))
    with closing(open_state(site.home.state_db)) as state:
        version = state.execute("pragma user_version").fetchone()[0]
        state.execute("pragma user_version = 9999")
    try:
        answer = site.get(link)
    finally:
        with closing(sqlite3.connect(site.home.state_db)) as raw:
            raw.execute(f"pragma user_version = {version}")
    assert answer.status == 503
    assert "newer cdesk" in answer.text


HOSTILE: list[Any] = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "</td></tr></table><h1>x</h1>",
    "{{ 7 * 7 }}{% include 'x' %}",
    "datum.x ? warn(1) : 2",
    '=HYPERLINK("http://evil")',
    "@SUM(1)",
    "\u202eright to left\u2066",
    "a\x00b\x1b[31mc\x7f",
    "e" * 1_000_000,
    "🙂" * 300,
    None,
]


def test_hostile_cells_stay_cells(site: Site) -> None:
    columns = {
        "name": HOSTILE,
        "v": [math.nan, math.inf, -math.inf, 1e308, -1e308, 0.0, *range(7)],
        "t": pa.array([datetime(9999, 12, 31, 23, 59), datetime(1, 1, 1), *[None] * 11]),  # noqa: DTZ001
        "nested": [{"a": ["<b>", None], "b": {"c": None}}] * 13,
    }
    link = site.link(site.put(columns, {"text": "<script>alert(2)</script>"}))
    page = site.get(link)
    assert page.status == 200
    assert not re.search(
        r"<script>|<img src=x|<svg onload|<h1>x|\u202e|\x00|\x1b|&lt;b&gt;c", page.text
    )
    assert "&lt;script&gt;alert(2)" in page.text
    assert "49" not in re.findall(r"<bdi>(49)</bdi>", page.text)
    assert len(page.body) < 60_000
    rows = site.get(site.part(link, "rows")).json["rows"]
    assert len(rows) == 13
    assert rows[10][0].endswith("… (1,000,000 characters)")
    assert rows[8][0] == "⟨U+202E⟩right to left⟨U+2066⟩"
    assert rows[9][0] == "a␀b␛[31mc␡"
    assert [row[1] for row in rows[:5]] == ["NaN", "Infinity", "-Infinity", "1e+308", "-1e+308"]
    assert rows[0][2] == "9999-12-31 23:59"
    assert {site.get(site.part(link, part)).status for part in ("chart.svg", "chart.json")} == {200}
    csv.field_size_limit(2**24)
    rows = list(csv.reader(io.StringIO(site.get(site.part(link, "download/csv")).text, newline="")))
    assert [row[0][:2] for row in rows[7:9]] == ["'=", "'@"], "no formula in a spreadsheet"
    assert [row[1] for row in rows[1:6]] == ["NaN", "Infinity", "-Infinity", "1e+308", "-1e+308"]
    document = site.get(site.part(link, "download/json")).json
    assert document["rows"][10][0] == HOSTILE[10], "a download has it whole"
    assert document["rows"][0][3] == {"a": ["<b>", None], "b": {"c": None}}


@pytest.mark.parametrize(
    "answer",
    [
        {"rows": [[1, 2, 3]], "columns": [{"name": "x"}]},
        {"rows": None, "columns": None, "params": None, "artifact": {}},
        {"columns": [{"name": "n", "basis": 7}], "headline": "<b>", "sampling_note": 5},
        {"trend": {"period": "day", "query_hash": "0", "artifact_id": "x"}},
        {"rows": [5], "columns": ["n"], "trend": {"period": 1}, "row_count": "many"},
        {"rows": "abc", "params": [1], "as_of": 7, "template": {}, "headline": ["<b>"]},
    ],
    ids=["other columns", "nothing", "other types", "a trend of nobody", "odd", "odder"],
)
def test_an_answer_of_another_schema_is_a_whole_page(site: Site, answer: dict[str, Any]) -> None:
    """As an earlier or later version may have left it."""
    id = site.put(by_day(), ASKED)
    with closing(open_state(site.home.state_db)) as state:
        state.execute(
            "update query_runs set result = json_patch(result, ?) where ticket_id = ?",
            (json.dumps({**answer, "artifact": {"artifact_id": id}}), id),
        )
    link = site.link(id)
    page = site.get(link)
    assert page.status == 200
    assert page.text.rstrip().endswith("</html>")
    parts = ("rows", "chart.json", "chart.svg", "download/csv", "download/json")
    assert {site.get(site.part(link, part)).status for part in parts} == {200}


@pytest.mark.parametrize(
    "columns",
    [
        {f"column {n}": [n, n + 1] for n in range(300)},
        {"a": pa.array([], pa.int64())},
        {"a": [1]},
        {"": ["x"], " ": ["y"], "<b>": ["z"], "\u202e": ["w"]},
    ],
    ids=["300 columns", "no row", "one row", "odd names"],
)
def test_any_number_of_rows_and_columns_is_a_whole_page(
    site: Site, columns: dict[str, Any]
) -> None:
    link = site.link(site.put(columns))
    page = site.get(link)
    assert page.status == 200
    assert page.text.rstrip().endswith("</html>")
    assert 'title="<b>' not in page.text
    assert site.get(site.part(link, "rows")).status == 200


def test_two_columns_of_one_name_are_two_columns(site: Site) -> None:
    table = pa.Table.from_arrays([pa.array([1, 2]), pa.array([4, 3])], names=["n", "n"])
    link = site.link(site.put(table))
    rows = site.get(site.part(link, "rows", sort=1)).json["rows"]
    assert rows == [["2", "3"], ["1", "4"]]


def test_many_cards_at_once(site: Site) -> None:
    links = [site.link(site.put(by_day(), ASKED)) for _ in range(20)]
    asked = [
        path
        for link in links
        for path in (link, site.part(link, "rows"), site.part(link, "chart.svg"))
    ]
    with ThreadPoolExecutor(20) as pool:
        assert {answer.status for answer in pool.map(site.get, asked)} == {200}


def test_that_it_was_painted_is_told_once(site: Site) -> None:
    id = site.put(by_day(), ASKED)
    link = site.link(id)
    assert site.get(site.part(link, "painted"), method="POST").status == 204
    assert site.painted == [], "nobody has asked for the page"
    site.get(link)
    site.get(site.part(link, "chart.svg"))
    for _ in range(3):
        assert site.get(site.part(link, "painted"), method="POST").status == 204
    ((told, elapsed_ms, kind),) = site.painted
    assert (told, kind) == (id, "series")
    assert elapsed_ms > 0
    assert site.get(f"/c/{id}/painted", method="POST").status == 403
