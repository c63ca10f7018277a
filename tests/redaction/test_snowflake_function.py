"""The Python that Snowflake runs inside its functions: the text of the macro, run by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson

from cdesk.contract.redaction import redact_text, redact_value
from scripts.redaction_macros import files
from tests.redaction.examples import counter_examples, examples

MACROS = Path(__file__).resolve().parents[2] / "macros" / "redaction"


def function_body() -> str:
    """What stands between `as $$` and `$$`, for both handlers."""
    text = (MACROS / "redaction_python.sql").read_text(encoding="utf-8")
    body = text.partition("{% raw -%}")[2].partition("{%- endraw %}")[0]
    return body.lstrip("\n")


def test_the_written_macros_are_those_of_the_module() -> None:
    for path, text in files().items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name}: run python scripts/redaction_macros.py"
        )


def test_the_function_needs_nothing_but_python_and_answers_as_the_module_does() -> None:
    texts = [example.text for example in (*examples(), *counter_examples())][::7]
    document = {"X-Api-Key": "abc", "e-mail": "a b", "n": 4111111111111111, "text": texts[0]}
    program = function_body() + (
        "\nimport sys\ngiven = json.loads(sys.stdin.read())\n"
        "texts = [redact_text(text, personal=True) for text in given['texts']]\n"
        "print(json.dumps([texts, redact_value(given['document'], personal=True)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        input=orjson.dumps({"texts": texts, "document": document}),
        capture_output=True,
        check=True,
        timeout=60,
    )
    answers, redacted = orjson.loads(done.stdout)
    assert answers == [redact_text(text, personal=True) for text in texts]
    assert redacted == redact_value(document, personal=True)
