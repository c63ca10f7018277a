"""An answer leaves the worker with its words, its link and its chart, or without them; it
leaves.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from query_desk import desk

from cdesk.artifacts.local import LocalArtifacts
from cdesk.core.identity import customer_key
from cdesk_app.render import charts, pictures, presentation
from cdesk_app.render.chart import Chart
from cdesk_app.render.charts import chart_of
from cdesk_app.render.links import Links

if TYPE_CHECKING:
    from query_desk import Desk

    from cdesk_app.render.table import Table

__all__ = ["desk"]

ADA = "ada@example.com"


def run_all(desk: Desk, presenter: presentation.CardPresenter | None = None) -> None:
    artifacts = LocalArtifacts(desk.home.artifacts)
    if presenter is None:
        presenter = presentation.CardPresenter(desk.settings, desk.home, artifacts, False)
    runner = desk.runner(artifacts=artifacts, presenter=presenter)
    try:
        runner.poll()
        assert runner.wait_idle(60)
    finally:
        runner.close()
        presenter.close()


def rendering(desk: Desk) -> None:
    desk.settings = dataclasses.replace(desk.settings, render="auto")


def test_an_answer_has_headline_link_and_chart(desk: Desk) -> None:
    rendering(desk)
    ticket_id = desk.submit("numbers", {"rows": 25})
    run_all(desk)
    result = desk.ticket(ticket_id).result
    assert result is not None
    assert result["headline"]
    assert result["alt"].startswith("Bar chart")
    assert result["params"] == {"rows": 25}
    id = result["artifact"]["artifact_id"]
    url, _, token = result["card"]["url"].partition("?t=")
    assert url == f"http://127.0.0.1:8377/c/{id}"
    grant = Links(desk.home).check(token, "card", subject=id)
    assert grant.customer_key == customer_key(ADA)
    folder = desk.home.charts / customer_key(ADA)
    assert {path.name for path in folder.iterdir()} == {
        f"{id}.light.svg", f"{id}.dark.svg", f"{id}.png",
    }  # fmt: skip
    assert not desk.home.render_json.exists(), "only a worker that stays starts the renderer"


def test_an_answer_that_is_given_again_has_its_words_and_picture_already(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering(desk)
    artifacts = LocalArtifacts(desk.home.artifacts)
    presenter = presentation.CardPresenter(desk.settings, desk.home, artifacts, False)
    drawn: list[int] = []

    def counted(table: Table, *arguments: Any, **named: Any) -> Chart:
        drawn.append(table.row_count)
        return chart_of(table, *arguments, **named)

    monkeypatch.setattr(charts, "chart_of", counted)

    def ask(rows: int) -> dict[str, Any]:
        ticket_id = desk.submit("numbers", {"rows": rows})
        run_all(desk, presenter)
        result = desk.ticket(ticket_id).result
        assert result is not None
        return dict(result)

    first = ask(25)
    folder = desk.home.charts / customer_key(ADA)
    for path in folder.iterdir():
        path.unlink()
    again = ask(25)
    assert (first["reused"], again["reused"]) == (False, True)
    words = ("headline", "finding", "alt", "chart")
    assert [again[name] for name in words] == [first[name] for name in words]
    assert drawn == [25]
    assert list(folder.iterdir()) == []
    assert ask(24)["headline"] != first["headline"], "another question has its own"
    presenter.clean_up()
    assert ask(25)["headline"] == first["headline"]
    assert drawn == [25, 24, 25]
    assert len(list(folder.iterdir())) == 6, "pictures that went are painted again"


def test_the_stored_results_event_links_to_its_card(desk: Desk) -> None:
    desk.submit("numbers", {"rows": 3})
    run_all(desk)
    (created,) = (
        record for record in desk.records("event") if record["activity"] == "cdesk.artifact_created"
    )
    id = created["feature_json"]["artifact_id"]
    assert created["link"] == f"http://127.0.0.1:8377/c/{id}"


def test_where_nothing_is_rendered_the_answer_says_no_link(desk: Desk) -> None:
    ticket_id = desk.submit("numbers", {"rows": 25})
    run_all(desk)
    result = desk.ticket(ticket_id).result
    assert result is not None
    assert result["headline"]
    assert result["card"] is None
    assert not desk.home.charts.exists()


def test_an_installation_without_the_extra_answers_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering(desk)
    monkeypatch.setattr(presentation, "WORDS", ("no_such_package",))
    absent = {"vl_convert", "no_such_package"}
    monkeypatch.setattr(
        presentation.start,
        "missing",
        lambda needed=("vl_convert",): sorted(absent & {*needed}),
    )
    ticket_id = desk.submit("numbers", {"rows": 25})
    run_all(desk)
    ticket = desk.ticket(ticket_id)
    assert ticket.status == "succeeded"
    assert ticket.result is not None
    assert ticket.result["card"] is None
    assert "headline" not in ticket.result


def test_keys_that_cannot_be_used_cost_the_link_alone(desk: Desk) -> None:
    rendering(desk)
    desk.home.link_keys.write_bytes(b"{")
    ticket_id = desk.submit("numbers", {"rows": 25})
    run_all(desk)
    ticket = desk.ticket(ticket_id)
    assert ticket.status == "succeeded"
    assert ticket.result is not None
    assert ticket.result["card"] is None
    assert ticket.result["headline"]


def test_what_has_no_result_or_no_chart_goes_as_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering(desk)
    presenter = presentation.CardPresenter(desk.settings, desk.home, Mock(), True)
    request = Mock(params={}, caller=Mock(customer=ADA))
    stored = {"artifact": {"artifact_id": "a", "uri": "cdesk://a"}, "rows": [[1]]}
    for answer in ({"rows": [[1]]}, {**stored, "artifact": None}, {**stored, "dry_run": True}):
        presented = presenter.present(request, answer)
        assert presented.answer == answer
        assert presented.paint is None
    painted: list[object] = []
    monkeypatch.setattr(pictures, "keep_pictures", lambda *told: painted.append(told[3]))
    started: list[object] = []
    monkeypatch.setattr(presentation.start, "start", lambda *told: started.append(told))
    drawn = (Chart("none", "h", "f", "a", spec) for spec in (None, {"mark": "bar"}))
    for number, chart in enumerate((None, *drawn)):
        monkeypatch.setattr(presenter, "_chart", lambda *_, made=chart: made)
        another = {"artifact": {"artifact_id": "a", "uri": f"cdesk://{number}"}}
        presented = presenter.present(request, stored | another)
        assert ("headline" in presented.answer) is (chart is not None)
        assert presented.answer["card"]["url"].startswith("http://127.0.0.1:8377/c/a?t=")
        assert (presented.paint is not None) is (chart is not None and chart.spec is not None)
        if presented.paint is not None:
            presented.paint()
    assert painted == [{"mark": "bar"}]
    assert len(started) == 3, "a worker that stays starts the renderer"


def test_the_latest_charts_are_remembered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presentation, "KEPT", 2)
    presenter = presentation.CardPresenter(desk.settings, desk.home, Mock(), False)
    keys = [("h", name, None, False) for name in "abcd"]
    charts_ = [Chart("none", name, "", "", None) for name in "abcd"]
    presenter._keep(keys[0], charts_[0])
    presenter._keep(keys[1], charts_[1])
    assert presenter._kept(keys[0]) is charts_[0]
    presenter._keep(keys[2], charts_[2])
    assert [presenter._kept(key) for key in keys] == [charts_[0], None, charts_[2], None]


@pytest.mark.parametrize(
    ("starts", "changes", "started"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"render_url": "https://cards.example.com"}, False),
    ],
)
def test_a_renderer_is_started_by_a_worker_that_stays_on_this_computer(
    starts: bool,
    changes: dict[str, Any],
    started: bool,
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rendering(desk)
    settings = dataclasses.replace(desk.settings, **changes)
    begun: list[object] = []
    monkeypatch.setattr(presentation.start, "start", lambda *told: begun.append(told))
    presenter = presentation.CardPresenter(settings, desk.home, Mock(), starts)
    request = Mock(params={}, caller=Mock(customer=ADA))
    assert presenter._card(request, "a") is not None
    assert begun == ([(settings, desk.home)] if started else [])


def test_a_chart_is_of_the_stored_rows_the_series_behind_them_and_whether_they_are_a_sample(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def drawn(table: Table, params: object, zone: object, *, sampled: bool, series: Any) -> Chart:
        asked.append((table.row_count, params, str(zone), sampled, series and series.row_count))
        return Chart("bars", "h", "f", "a", {"mark": "bar"})

    def stored(uri: str) -> bytes:
        rows = {"n": list(range(int(uri[-1])))}
        pq.write_table(pa.table(rows), sink := pa.BufferOutputStream())
        return sink.getvalue().to_pybytes()

    monkeypatch.setattr(charts, "chart_of", drawn)
    painted: list[tuple[Any, ...]] = []
    monkeypatch.setattr(pictures, "keep_pictures", lambda *told: painted.append(told))
    rendering(desk)
    presenter = presentation.CardPresenter(desk.settings, desk.home, Mock(source=stored), False)
    params = {"timezone": "Asia/Tokyo"}
    request = Mock(params=params, query_hash="h", caller=Mock(customer=ADA))
    for more in ({}, {"sampled": True, "trend": {"uri": "s3"}}, {}, {"trend": {"uri": "s4"}}):
        answer = {"artifact": {"artifact_id": "a", "uri": "s2"}, **more}
        presented = presenter.present(request, answer)
        assert presented.answer["chart"] == "bars"
        if presented.paint is not None:
            presented.paint()
    assert asked == [
        (2, params, "Asia/Tokyo", False, None),
        (2, params, "Asia/Tokyo", True, 3),
        (2, params, "Asia/Tokyo", False, 4),
    ]
    assert [told[1:4] for told in painted] == [(ADA, "a", {"mark": "bar"})] * 3
    assert len({told[4] for told in painted}) == 1, "one engine draws them"
    off = dataclasses.replace(desk.settings, render="off")
    silent = presentation.CardPresenter(off, desk.home, Mock(source=stored), True)
    presented = silent.present(request, {"artifact": {"artifact_id": "a", "uri": "s2"}})
    assert (presented.answer["card"], presented.paint, len(painted)) == (None, None, 3)
