"""Names after which a credential stands in text, and what a value looks like."""

from __future__ import annotations

# Names after which a credential stands, as they are written in text. `STRONG` may end any word.
_PASS = (
    r"passw(?:or)?d[es]?|passwort|passphrase|passcode|kennwort|contrase(?:n|ñ)a|senha|wachtwoord|"
    r"has[lł]o|пароль|"
    r"heslo|parola|salasana|l[oö]senord|adgangskode|mot[ _-]?de[ _-]?passe|mdp|clave|requirepass|"
    r"masterauth|"
    r"bind_?pw|パスワード|暗証番号|密码|口令|비밀번호"
)
STRONG = (
    rf"{_PASS}|geheimnis|cl[eé][ _-]api|secret(?:[ _-]?(?:access)?[ _-]?key(?:[ _-]base)?)?|"
    r"(?:api|access|private|account|signing|encryption|master|auth|subscription|session|"
    r"consumer|deploy|licen[cs]e|storage|hmac|admin|service|shared[ _-]?access|"
    r"wi-?fi|wlan|wpa[23]?|wep)[ _-]?key|"
    r"shared[ _-]?access[ _-]?signature|"
    r"(?:access|refresh|auth|id|bearer|session|api|bot|user|csrf|xsrf|security|sas|device|service)"
    r"[ _-]?token|token|credentials?|connection[ _-]?string|seed[ _-]?phrase|mnemonic|"
    r"(?:recovery|backup|scratch)[ _-]?(?:codes?|keys?|phrase)|"
    r"(?:otp|verification|security|2fa|mfa|auth|one[ _-]?time)[ _-]?code|one[ _-]?time[ _-]?passw"
    r"ord"
)
SHORT = (
    r"pass|pwd|pw|psw|psk|pin|otp|totp|cvv2?|cvc2?|jwt|auth|dsn|sas|sig|creds?|"
    r"jsessionid|phpsessid|sessionid|client[ _-]?key[ _-]?data"
)
ANY_NAME = rf"(?:(?:{STRONG})[0-9]{{0,2}}|(?:\b|_)(?:{SHORT})[0-9]?|_pat)"
SAID = (
    r"(?:passw(?:or)?d[es]?|passwort|passphrase|passcode|kennwort|requirepass|bind_?pw|mot[ _-]?d"
    r"e[ _-]?passe|"
    r"secret(?:[ _-]?(?:access)?[ _-]?key)?|(?:api|access|private|account|encryption|master|"
    r"auth|license|admin|service)[ _-]?key|token|(?:otp|verification|security|2fa|mfa|auth|one[ _"
    r"-]?time|recovery|"
    r"backup)[ _-]?code|(?:\b|_)(?:pass|pwd|pw|pin|otp)[0-9]?)"
)
"""Names after which a credential may stand without a sign between."""
PASS_SAID = (
    r"(?:passw(?:or)?d[es]?|passwort|passphrase|passcode|kennwort|requirepass|bind_?pw|mot[ _-]?d"
    r"e[ _-]?passe|contrase(?:n|ñ)a|senha|wachtwoord|has[lł]o|parola|l[oö]senord|"
    r"(?:\b|_)(?:pass|pwd|pw)[0-9]?)"
)
PASS_NAME = rf"(?:(?:{_PASS})[0-9]{{0,2}}|(?:\b|_)(?:pass|pwd|pw|psw|psk)[0-9]?)"
IS_SIGN = r"\\*[\"'`]?\]?[ \t]*(?:=>|->|<-|→|⇒|:=|=|:|：|＝)[ \t]*"
QUOTED = (
    r"(?:(\\+\")[^\"\\\n]+(\\+\")|(\")(?:[^\"\\\n]|\\[^\n])+(\")|"
    r"(')(?:[^'\\\n]|\\[^\n])+(')|(`)[^`\n]+(`))"
)
"""Between quotes, which are its groups: `kept` puts them back."""
ANY_QUOTED = (
    r"(?:\\+\"[^\"\\\n]+\\+\"|\"(?:[^\"\\\n]|\\[^\n])+\"|'(?:[^'\\\n]|\\[^\n])+'|`[^`\n]+`)"
)


PREFIX = r"(?:[nbruf]|rb|br)?"
"""What a language may put before a quote."""


def kept(label: str) -> str:
    return rf"\1\2\4\6\8[{label}]\3\5\7\9"


NO_VALUE = (
    r"(?:required|optional|none|null|nil|true|false|yes|no|on|off|ok|empty|unset|missing|invalid|"
    r"wrong|incorrect|expired|expires|changed|reset|rotated|revoked|valid|enabled|disabled|hidden|"
    r"redacted|masked|removed|unknown|undefined|default|placeholder|changeme|example|your|the|an?|"
    r"is|not|must|should|str(?:ing)?|bytes|int(?:eger)?|number|bool(?:ean)?|optional|any|object|"
    r"text|varchar|secretstr|self|this|value|password|secret|token|key|todo|tbd|n/a|how|what|why|"
    r"when|see|use|set|get|new|old|same|too|and|or|if|for|to|in|of|with|from|by|at|it|we|you|i)"
)
_MORE = (
    r"(?:[^ \t\r\n\"'`&;<>]|"
    r"[&;](?:[A-Za-z0-9_.-]*[^A-Za-z0-9_.= \t\r\n\"'`;&<>-]|[A-Za-z0-9_.-]+$))"
)
"""A character of a value; & and ; are some where no further name follows them."""
BARE = rf"[^ \t\r\n\"'`&;<>(){{}}\[\]$,%*|]{_MORE}{{2,}}"
TOKENISH = rf"{_MORE}*[0-9!@#$%^*+=~?_\\/|]{_MORE}*"
MIXED = (
    r"(?:(?:[A-Za-z!-.]{3,}[^ \t\r\n\"'`;<>|]*[0-9]|[0-9]{2,}[A-Za-z!-.]|"
    r"[A-Za-z][A-Za-z0-9]*[0-9][A-Za-z0-9]*[!#@$^&*?~+]|[A-Za-z_]+[0-9][A-Za-z_]+[0-9])"
    r"[^ \t\r\n\"'`;<>|]*)"
)
SECRET_HEADERS = (
    r"(?:proxy-)?authorization|x-(?:[a-z0-9]+-){0,4}(?:key|token|auth|secret|signature|password)|"
    r"(?:api|apikey|auth|ocp-apim-subscription|x-functions)-(?:key|token)|private-token|job-token"
)
