"""Every promise of the documents has tests that fail without it (tests/promises.toml): the sentence
stands where the list says, the tests exist, and what is marked as a promise is in the list.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "docs/contracts.md", "docs/trust.md")
SHAPES = {"docs/trust.md": 4, "docs/contracts.md": 10}
"""How many paragraphs that promise something, or rows of the table of failures, a page has."""


def folded(text: str) -> str:
    """With one blank for every run of white space, as a paragraph is read."""
    return " ".join(text.split())


def promises() -> list[tuple[str, str, list[str]]]:
    """Document, sentence and tests of each."""
    text = (ROOT / "tests/promises.toml").read_text(encoding="utf-8")
    return [(one["document"], one["text"], one["tests"]) for one in tomllib.loads(text)["promise"]]


@cache
def page(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


@cache
def names_of(file: str) -> frozenset[str]:
    """The tests that a file defines."""
    path = ROOT / file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return frozenset(re.findall(r"^(?:    )?def (test_\w+)\(", text, re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_promise_stands_in_its_document_word_for_word(document: str) -> None:
    text = folded(page(document))
    listed = [sentence for name, sentence, _ in promises() if name == document]
    assert listed
    assert [sentence for sentence in listed if folded(sentence) not in text] == []


def test_every_promise_names_tests_that_exist() -> None:
    named = [test for _, _, tests in promises() for test in tests]
    assert all(tests for _, _, tests in promises())
    assert [
        test for test in named if test.partition("::")[2] not in names_of(test.partition("::")[0])
    ] == []


def test_every_sentence_of_a_paragraph_that_promises_is_listed() -> None:
    listed = {folded(sentence) for name, sentence, _ in promises() if name == "docs/trust.md"}
    paragraphs = re.findall(r"\*\*The promise\.\*\* (.*?)\n\n", page("docs/trust.md"), re.DOTALL)
    assert len(paragraphs) == SHAPES["docs/trust.md"]
    sentences = [
        sentence
        for paragraph in paragraphs
        for sentence in re.split(r"(?<=\.) (?=[A-Z])", folded(paragraph))
    ]
    assert [sentence for sentence in sentences if sentence not in listed] == []


def test_every_failure_of_the_table_has_a_listed_outcome() -> None:
    _, _, section = page("docs/contracts.md").partition("## When something fails")
    rows = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    rows = rows[1:]  # without the head
    assert len(rows) == SHAPES["docs/contracts.md"]
    listed = [sentence for name, sentence, _ in promises() if name == "docs/contracts.md"]
    assert [row for row in rows if not any(sentence in row for sentence in listed)] == []


def test_each_of_the_three_rules_is_listed() -> None:
    (rules,) = re.findall(r"Three rules shape it: (.*?)\.\n\n", page("README.md"), re.DOTALL)
    listed = {sentence for name, sentence, _ in promises() if name == "README.md"}
    assert len(folded(rules).split("; ")) == 3
    assert set(folded(rules).split("; ")) <= listed
