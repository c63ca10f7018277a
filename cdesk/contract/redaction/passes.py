"""The list: which rules are tried, in which order."""

from __future__ import annotations

from cdesk.contract.redaction.cards import CARDS
from cdesk.contract.redaction.carried import CARRIED
from cdesk.contract.redaction.commands import COMMANDS
from cdesk.contract.redaction.named import NAMED
from cdesk.contract.redaction.numbers import NUMBERS
from cdesk.contract.redaction.people import PEOPLE
from cdesk.contract.redaction.rules import Rule

__all__ = ["CARDS", "CREDENTIALS", "CREDENTIAL_PASSES", "NUMBERS", "PASSES", "PEOPLE"]

CREDENTIALS: tuple[Rule, ...] = (*CARRIED, *COMMANDS, *NAMED)
CREDENTIAL_PASSES: tuple[tuple[Rule, ...], ...] = (CREDENTIALS, CARDS)
"""What is taken out where a record is born."""
PASSES: tuple[tuple[Rule, ...], ...] = (*CREDENTIAL_PASSES, PEOPLE, NUMBERS)
"""What is taken out where others look on."""
