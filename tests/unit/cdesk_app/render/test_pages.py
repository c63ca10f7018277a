"""What every template may rely on, and how a page is sent piece by piece."""

from __future__ import annotations

import pytest
from jinja2 import DictLoader, Environment, UndefinedError

from cdesk_app.render import pages


def test_a_template_escapes_whatever_it_is_called_and_knows_its_values() -> None:
    made = pages.environment()
    assert made.from_string("{{ x }}").render(x="<b>") == "&lt;b&gt;"
    assert callable(made.autoescape)
    assert [made.autoescape(name) for name in ("x.html", "x.txt", None)] == [True] * 3
    with pytest.raises(UndefinedError):
        made.from_string("{{ y }}").render(x=1)
    assert made.from_string("{% if true %}\na\n  {% endif %}\nb").render() == "a\nb"
    assert not made.auto_reload
    assert made is pages.environment()


def test_numbers_and_their_units_stay_on_one_line() -> None:
    tight = pages.environment().filters["tight"]
    assert tight("18 % of 5 ms, 3 MB and 2 B") == "18\u00a0% of 5\u00a0ms, 3 MB and 2\u00a0B"
    assert tight("3 seconds; a s") == "3 seconds; a s"


def test_a_page_comes_in_pieces_up_to_each_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    style = "{{ asset('page.css') }}"
    templates = {"t": "a{{ pause }}b{{ x }}c{{ pause }}" + style, "u": "{{ x }}", "v": style}
    monkeypatch.setattr(pages, "environment", lambda: Environment(loader=DictLoader(templates)))
    pieces = list(pages.page_parts("t", x=1))
    assert pieces == ["a", "b1c", pages.asset("page.css")]
    assert list(pages.page_parts("u", x=1)) == ["1"]
    assert (pages.page("u", x=2), pages.page("v")) == ("2", pages.asset("page.css"))


def test_our_own_files_have_addresses_that_change_with_them() -> None:
    assert pages.asset("page.css").startswith("/static/page.css?v=")
    assert len(pages.asset("page.css")) == len("/static/page.css?v=") + 12
    assert pages.static("icon.svg").startswith(b"<svg")
    with pytest.raises(KeyError):
        pages.static("../app.py")
