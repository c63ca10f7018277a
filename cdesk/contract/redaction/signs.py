"""Signs that a text may hold a credential, each found in a fraction of what a pattern costs."""

from __future__ import annotations

from cdesk.contract.redaction.rules import AT, CARD, FLAG, NAME, RUN, SCHEME, compiled

_TO_RUNS = bytes(
    65 if (chr(byte).isalnum() and byte < 128) or chr(byte) in "_-./+=~:$?&%,@#" else 32
    for byte in range(256)
)
_TO_ZEROS = bytes(48 if 48 <= byte <= 57 else byte for byte in range(256))
_CARD_GAPS = b" ./_+%-\xc2\xa0\xe2\x80\x87\x89\xaf\x90\x91\x92\x93\x94\x88"
_FLAGS = (" --", " -p", " -a ", " -w ", " -u", " -c", " -t", " -s", " -k")
_STEMS_PASS = ("pass", "pw", "kennw")
_STEMS_SAID = ("pass", "pw", "kennw", "secret", "token", "key", "code", "pin", "otp")
_SAID_HERE = (
    r"pass(?:w|phrase|code|e?[0-9]?(?![a-z]))|pwd?[0-9]?(?![a-z])|kennw|secret|"
    r"(?:token|key|code)[0-9]{0,2}(?![a-z])|(?<![a-z])(?:pin|otp)[0-9]?(?![a-z])"
)
_NAMED_BEFORE = (
    r"(?:pass|pwd?(?![a-z])|ps[kw](?![a-z])|kennw|contras|senha|wachtw|has[lł]o|heslo|parola|sala"
    r"sana|senord|adgang|"
    r"clave|auth|geheim|api|secret|key|token|cred|connection|seed|mnemonic|code|sess|_pat|cookie|"
    r"x-[a-z]|"
    r"(?<![a-z])(?:mdp|pin|t?otp|cvv|cvc|jwt|dsn|sas|sig)[0-9]?(?![a-z]))[^\n=]{0,40}$"
)


def signs_of(lower: str, raw: bytes) -> int:
    """Which signs a text shows: in lower case, and as UTF-8."""
    signs = RUN if b"A" * 16 in raw.translate(_TO_RUNS) else 0
    digits = raw.translate(_TO_ZEROS, _CARD_GAPS)
    if b"0" * 13 in digits:
        signs |= CARD
    if _shows_name(lower, has_digits=b"0" in digits):
        signs |= NAME
    if "@" in lower:
        signs |= AT
    if (
        lower.startswith("-")
        or (" -" in lower and any(flag in lower for flag in _FLAGS))
        or ("<" in lower and "<<<" in lower)
        or ("|" in lower and "echo " in lower)
        or ("/" in lower and "/user:" in lower)
    ):
        signs |= FLAG
    if (signs & RUN or "=" in lower) and ("bearer" in lower or "basic" in lower):
        signs |= SCHEME
    return signs


def _shows_name(lower: str, *, has_digits: bool) -> bool:
    """Whether a name stands where a value may follow: before a sign such as = and :, or, of some
    names, anywhere in a text with a digit or a quote.
    """
    quoted = "'" in lower or '"' in lower or "`" in lower
    if quoted or has_digits:
        stems: tuple[str, ...] = _STEMS_PASS
        if " is" in lower or " est " in lower or (quoted and ("(" in lower or "name=" in lower)):
            stems = _STEMS_SAID
        for stem in [stem for stem in stems if stem in lower]:
            place = lower.find(stem)
            while place >= 0:
                if compiled(_SAID_HERE).match(lower, place):
                    return True
                place = lower.find(stem, place + 2)
    if quoted and ("identified by" in lower or "securestr" in lower):
        return True
    if not lower.isascii():
        if any(name in lower for name in _FOREIGN):
            return True
        lower = lower.replace("：", ":").replace("→", ">").replace("⇒", ">")
    return any(
        compiled(_NAMED_BEFORE).search(part, max(len(part) - 60, 0))
        for sign in "=:>|"
        if sign in lower
        for part in lower.split(sign)[:-1]
    )


_FOREIGN = (
    "пароль",
    "パスワード",
    "暗証番号",
    "密码",
    "口令",
    "비밀번호",
    "contraseñ",
    "hasł",
    "lösenord",
    "clé",
)
