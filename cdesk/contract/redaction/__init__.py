"""Credentials and personal data in text and documents: what they look like, and what stands in
their place.

One list for three engines. Python runs it here (where a record is born, and over results), DuckDB
runs it as SQL macros that dbt makes, Snowflake runs these very modules, one after another, inside a
function; `macros/redaction/` holds what dbt needs of them and is written by
`python scripts/redaction_macros.py`.

The list (`passes`) is a sequence of passes, a pass a sequence of rules. A pass walks over the text
once: where one of its rules matches (the first that does, from the left), the match is compared
whole with each rule in order, and the first that fits and whose check agrees says what becomes of
it. A rule without a label is a shield: it keeps what looks like a match and is none (a UUID, a
date).

Patterns keep to what Python's `re` and RE2 read alike: no look-around, no back-reference, ASCII
classes. Each is linear. Standard library only: this stands on the turn path and in a function.
"""

from cdesk.contract.redaction.document import redact_fields, redact_value
from cdesk.contract.redaction.keys import key_label
from cdesk.contract.redaction.text import redact_text

__all__ = ["key_label", "redact_fields", "redact_text", "redact_value"]
