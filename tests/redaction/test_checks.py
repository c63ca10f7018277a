"""Checksums and lengths: what a check takes for one, and its nearest neighbours."""

from __future__ import annotations

import pytest

from cdesk.contract.redaction import redact_text, redact_value
from cdesk.contract.redaction.checks import CHECKS


@pytest.mark.parametrize(
    ("check", "is_one", "is_none"),
    [
        ("card", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("card", "5500%200000%200000%200004", "5500 0000 0000 0040"),
        ("card", "378282246310005", "378282246310050"),
        ("card", "6011 0009 9013 9424", "9111 1111 1111 1113"),
        ("iban", "DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 01"),
        ("iban", "gb29-nwbk-6016-1331-9268-19", "gb29-nwbk-6016-1331-9286-19"),
        ("nir", "2 55 08 14 168 025 38", "2 55 08 14 168 025 39"),
        ("nir", "1 84 12 2A 451 089 33", "1 84 12 2A 451 089 60"),
        ("nir", "1 84 12 2B 451 089 60", "1 84 12 2B 451 089 33"),
        ("nir", "1 84 12 76 451 089 46", "1 84 12 76 451 089 4"),
        ("mod11_10", "86 095 742 719", "86 095 742 718"),
        ("mod11_10", "65 929 970 489", "65 929 970 480"),
        ("mod11_10", "47 036 892 040", "47 036 892 041"),
        ("dni", "12345678Z", "12345678Y"),
        ("dni", "00000000-T", "00000001-T"),
        ("mixed", "aB3", "ab3"),
        ("mixed", "Zz9", "ZZ9"),
        ("mixed", "Aa0", "Aaö"),
        ("phone", "+1 234 567 8", "+1 234 567"),
        ("phone", "+123 456 789 012 345", "+123 456 789 012 345 6"),
        ("national", "0123 45678", "0123 4567"),
        ("national", "0123 4567 8901", "0123 4567 89012"),
    ],
)
def test_a_check_tells_one_from_its_neighbour(check: str, is_one: str, is_none: str) -> None:
    assert CHECKS[check](is_one)
    assert not CHECKS[check](is_none)


def test_a_number_with_a_fraction_or_beyond_any_card_is_none() -> None:
    card = 4_222_222_222_222
    assert redact_value([card, float(card)]) == ["[card]", "[card]"]
    for number in (card + 0.5, -card, True, 10**12, 4 * 10**19, float("inf"), float("nan")):
        assert redact_value([number])[0] is number


def test_json_in_a_text_is_written_as_it_was() -> None:
    compact = '{"password":"x","name":"Łukasz","list":[1,2]}'
    assert redact_value(compact) == compact.replace('"x"', '"[secret:password]"')
    wide = '{"password": "x", "name": "Łukasz"}'
    assert redact_value(wide) == wide.replace('"x"', '"[secret:password]"')
    harmless = ' {"a":  [1,2],\n"b": "ö"} '
    assert redact_value(harmless) is harmless
    assert redact_text(harmless) is harmless
