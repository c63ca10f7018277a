"""Signs that a text may hold a credential, each found in a fraction of what a pattern costs."""

from __future__ import annotations

from cdesk.contract.redaction.rules import AT, CARD, FLAG, NAME, RUN, SCHEME, compiled

_TO_RUNS = bytes(
    65 if (chr(byte).isalnum() and byte < 128) or chr(byte) in "_-./+=~:$?&%,@#" else 32
    for byte in range(256)
)
_TO_ZEROS = bytes(48 if 48 <= byte <= 57 else byte for byte in range(256))
_CARD_GAPS = b" ./_+%-\xc2\xa0\xe2\x80\x87\x89\xaf\x90\x91\x92\x93\x94\x88"
_TO_CARDS = bytes(48 if 48 <= byte <= 57 or byte in _CARD_GAPS else byte for byte in range(256))
_SIXTEEN = b"A" * 16
_THIRTEEN = b"0" * 13
_FLAGS = (" --", " -p", " -a ", " -w ", " -u", " -c", " -t", " -s", " -k")
_PASS_ENDS = r"ass(?:w|phrase|code|e?[0-9]?(?![a-z]))|wd?[0-9]?(?![a-z])"
_PASS_HERE = rf"p(?:{_PASS_ENDS})|kennw"
_SAID_HERE = (
    rf"p(?:{_PASS_ENDS}|(?<![a-z]p)in[0-9]?(?![a-z])|(?<=otp)(?<![a-z]otp)[0-9]?(?![a-z]))",
    r"k(?:ennw|ey[0-9]{0,2}(?![a-z])|(?<=tok)en[0-9]{0,2}(?![a-z]))",
    r"c(?:(?<=sec)(?:ret|urestr)|ode[0-9]{0,2}(?![a-z]))",
)
"""Names that need no sign behind them, by a letter that they hold: a search leaps from one such
letter to the next, which is faster than one pattern of all names, or a look for each.
"""
_WRITTEN_NAME = r"[?&#;][a-z0-9_.;%-]*%[2-7][0-9a-f][a-z0-9_.%-]*="
"""A parameter whose name is written so that it doesn't look like it."""
_CALLS = (
    "auth(",
    "login(",
    "authenticate(",
    "credential(",
    "credentials(",
    "passwordauthentication(",
)
_PHRASE = r"(?:recovery|seed|backup|secret) phrase"
_CODES = ("door code", "gate code", "alarm code", "access code", "entry code", "safe code")
_FOREIGN = (
    "senha é",
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
_NAMES = (
    r"(?:pass|pwd?(?![a-z])|ps[kw](?![a-z])|kennw|contras|senha|wachtw|has[lł]o|heslo|parola|sala"
    r"sana|senord|adgang|"
    r"clave|auth|geheim|api|secret|key|token|cred|connection|seed|mnemonic|code|sess|_pat|cookie|"
    r"x-[a-z]|"
    r"(?<![a-z])(?:mdp|pin|t?otp|cvv|cvc|jwt|dsn|sas|sig)[0-9]?(?![a-z]))"
)
_NAMED_BEFORE = rf"{_NAMES}[^\n=]{{0,40}}$"
_PAIR = r"(?:value|default)\\*[\"']?[ \t]*[:=]"
"""What a name's value may be called that stands apart from it."""


def signs_of(lower: str, raw: bytes) -> int:
    """Which signs a text shows: in lower case, and as UTF-8."""
    signs = RUN if _SIXTEEN in raw.translate(_TO_RUNS) else 0
    if _THIRTEEN in raw.translate(_TO_CARDS) and _THIRTEEN in raw.translate(_TO_ZEROS, _CARD_GAPS):
        signs |= CARD
    if _shows_name(lower, raw):
        signs |= NAME
    if "@" in lower:
        signs |= AT
    if (
        ("-" in lower and (lower[0] == "-" or (" -" in lower and _shows_flag(lower))))
        or ("<" in lower and ("<<<" in lower or "<(echo" in lower))
        or ("|" in lower and "echo " in lower)
        or ("/" in lower and "/user:" in lower)
        or "net use" in lower
        or (":" in lower and ":_" in lower)
    ):
        signs |= FLAG
    if (signs & RUN or "=" in lower) and ("bearer" in lower or "basic" in lower):
        signs |= SCHEME
    return signs


def _shows_flag(lower: str) -> bool:
    return any(flag in lower for flag in _FLAGS)


def _shows_name(lower: str, raw: bytes) -> bool:
    """Whether a name stands where a value may follow: before a sign such as = and :, or, of some
    names, anywhere in a text with a digit or a quote.
    """
    quoted = "'" in lower or '"' in lower or "`" in lower
    if (quoted or b"0" in raw.translate(_TO_ZEROS)) and _says_name(lower, quoted=quoted):
        return True
    if not lower.isascii():
        if any(name in lower for name in _FOREIGN):
            return True
        lower = lower.replace("：", ":").replace("＝", "=").replace("→", ">").replace("⇒", ">")
    return (
        ("%" in lower and "=" in lower and compiled(_WRITTEN_NAME).search(lower) is not None)
        or (quoted and "(" in lower and any(call in lower for call in _CALLS))
        or (":" in lower and "wifi:" in lower)
        or ("<" in lower and "<-" in lower and _named_before(lower, "<-"))
        or ("code" in lower and any(code in lower for code in _CODES))
        or ("cv" in lower and ("cvv" in lower or "cvc" in lower))
        or (
            ("value" in lower or (quoted and "variable" in lower))
            and compiled(_PAIR).search(lower) is not None
            and compiled(_NAMES).search(lower) is not None
        )
        or (" phrase" in lower and compiled(_PHRASE).search(lower) is not None)
        or ("=" in lower and _named_before(lower, "="))
        or (":" in lower and _named_before(lower, ":"))
        or (">" in lower and _named_before(lower, ">"))
        or ("|" in lower and _named_before(lower, "|"))
    )


def _says_name(lower: str, *, quoted: bool) -> bool:
    """Whether a name is here that needs no sign behind it."""
    if quoted and "identified by" in lower:
        return True
    by_p, by_k, by_c = _SAID_HERE
    if not (
        compiled(by_p).search(lower) or compiled(by_k).search(lower) or compiled(by_c).search(lower)
    ):
        return False
    return (
        " is" in lower
        or " est " in lower
        or (quoted and ("(" in lower or "name=" in lower or "securestr" in lower))
        or compiled(_PASS_HERE).search(lower) is not None
    )


def _named_before(lower: str, sign: str) -> bool:
    """Whether a name stands before one of these signs."""
    return any(
        compiled(_NAMED_BEFORE).search(part, max(len(part) - 60, 0))
        for part in lower.split(sign)[:-1]
    )
