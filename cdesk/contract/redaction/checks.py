"""Tests of a match beyond its pattern: checksums, lengths, classes of characters."""

from __future__ import annotations

from collections.abc import Callable

from cdesk.contract.redaction.rules import compiled


def _digits(text: str) -> str:
    return "".join(char for char in text.replace("%20", "") if "0" <= char <= "9")


ISSUERS = (
    r"(?:4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})|5[1-5][0-9]{14}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}"
    r"|7[01][0-9]|720)[0-9]{12}|"
    r"3[47][0-9]{13}|3(?:0[0-59]|[689][0-9])[0-9]{11}|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12,15}|"
    r"35(?:2[89]|[3-8][0-9])[0-9]{12,15}|62[0-9]{14,17}|220[0-4][0-9]{12}|(?:50[0-9]{2}|5[6-8][0-"
    r"9]{2}|6304|67[0-9]{2})[0-9]{8,15})"
)


def _is_luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = ord(digit) - 48
        if place % 2:
            value = value * 2 - 9 * (value > 4)
        total += value
    return total % 10 == 0


def is_card(text: str) -> bool:
    digits = _digits(text)
    return compiled(ISSUERS).fullmatch(digits) is not None and _is_luhn(digits)


def _is_iban(text: str) -> bool:
    """ISO 13616: the rest of division by 97 is 1."""
    code = "".join(char for char in text.upper() if char.isascii() and char.isalnum())
    return int("".join(str(int(char, 36)) for char in code[4:] + code[:4])) % 97 == 1


def _is_nir(text: str) -> bool:
    """France's number of registration: the last two digits are 97 less the rest of the others."""
    digits = _digits(text.replace("2A", "19").replace("2B", "18"))
    return len(digits) == 15 and 97 - int(digits[:13]) % 97 == int(digits[13:])


def _is_mod11_10(text: str) -> bool:
    """ISO/IEC 7064, MOD 11,10: Germany's tax number."""
    product = 10
    digits = _digits(text)
    for digit in digits[:-1]:
        rest = (int(digit) + product) % 10 or 10
        product = rest * 2 % 11
    return (11 - product) % 10 == int(digits[-1])


def _is_dni(text: str) -> bool:
    """Spain's identity number: its letter follows from the rest of division by 23."""
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(_digits(text)) % 23] == text[-1]


def _is_mixed(text: str) -> bool:
    """Neither a word nor a number nor a hash: capitals, small letters and digits."""
    return all(
        any(low <= char <= high for char in text)
        for low, high in (("A", "Z"), ("a", "z"), ("0", "9"))
    )


def _is_phone(text: str) -> bool:
    return 8 <= len(_digits(text)) <= 15


def _is_national(text: str) -> bool:
    return 9 <= len(_digits(text)) <= 12


CHECKS: dict[str, Callable[[str], bool]] = {
    "card": is_card,
    "iban": _is_iban,
    "nir": _is_nir,
    "mod11_10": _is_mod11_10,
    "dni": _is_dni,
    "mixed": _is_mixed,
    "phone": _is_phone,
    "national": _is_national,
}
