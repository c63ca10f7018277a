"""Credentials that their own form or their place gives away: keys, tokens, headers, addresses."""

from __future__ import annotations

from cdesk.contract.redaction.rules import AT, NAME, RUN, SCHEME, STAND_IN, Rule
from cdesk.contract.redaction.tokens import VENDORS, WEBHOOKS
from cdesk.contract.redaction.words import (
    ANY_NAME,
    IS_SIGN,
    QUOTED,
    SECRET_HEADERS,
    SHORT,
    STRONG,
    kept,
)

CARRIED: tuple[Rule, ...] = (
    STAND_IN,
    Rule(
        "",
        rf"(?i)(?:{ANY_NAME}|{SECRET_HEADERS}){IS_SIGN}\\*[\"'`]?\[(?:secret:)?[a-z_]+\]",
        hints=("[",),
    ),
    Rule(
        "secret:private_key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-[A-Za-z0-9])*"
        r"(?:-----END [A-Z0-9 ]{0,60}-----)?",
        hints=("private key",),
        needs=RUN,
    ),
    Rule(
        "secret:private_key",
        r"PuTTY-User-Key-File-[0-9]:[^\x00]*?Private-MAC: [0-9a-f]+",
        hints=("putty-user-key",),
        needs=RUN,
    ),
    *(
        Rule("secret:webhook_url", pattern, r"\1[secret:webhook_url]", hints=hints, needs=RUN)
        for pattern, hints in WEBHOOKS
    ),
    # What a document of JSON calls a header: {"name": "X-Api-Key", "value": "…"}.
    Rule(
        "secret:credential",
        rf"(?i)([\"'](?:[a-z0-9_. -]{{0,30}}(?:{STRONG})|{SHORT}|{SECRET_HEADERS}|(?:set-)?coo"
        r"kie)\\*[\"'][ \t]*,?[ \t\r\n]*"
        rf"\\*[\"']?(?:value|val|v)\\*[\"']?[ \t]*[:=][ \t]*)(?:{QUOTED}|[^ \t\r\n\"',}}]+)",
        kept("secret:credential"),
        hints=("val", '"v"', "'v'", "v:"),
        needs=NAME,
    ),
    # Headers, to the end of their line or quote.
    Rule(
        "",
        rf"(?i)\b(?:{SECRET_HEADERS}){IS_SIGN}(?:(?:required|optional|none|null|true|false|"
        rf"missing|i"
        r"nvalid|failed|denied|"
        rf"is|header|code|flow|server)\b|(?:(?:basic|bearer|token|digest|apikey)[ \t]+)?(?:[\[<${{%"
        rf"*"
        r"]|your[_-])|\.\.\.)",
        hints=("auth", "x-", "-key", "-token"),
        needs=NAME,
    ),
    Rule(
        "secret:authorization",
        rf"(?i)\b((?:{SECRET_HEADERS})\\*[\"'`]?\]?[ \t]*(?:=>|=|:)[ \t]*\\*[\"']?)"
        r"(?:(?:basic|bearer|digest|token|negotiate|apikey|aws4-hmac-sha256|hawk|oauth)[ \t]+)?"
        r"[^ \t\r\n\"'\\][^\r\n\"'\\]*",
        r"\1[secret:authorization]",
        hints=("auth", "x-", "-key", "-token"),
        needs=NAME,
    ),
    Rule(
        "secret:cookie",
        r"(?i)\b((?:set-)?cookie\\*[\"']?[ \t]*(?:=>|=|:)[ \t]*\\*[\"']?)[^ \t\r\n\"'\\=;]+=[^\r"
        r"\n\"'\\]+",
        r"\1[secret:cookie]",
        hints=("cookie",),
        needs=NAME,
    ),
    # scheme://user:password@host
    Rule(
        "",
        r"[A-Za-z][A-Za-z0-9+.-]{1,20}://[^ \t\r\n\"'<>/:@]*:(?:\$|\{|<|%\(|\*{3}|\[)[^ \t\r\n\"'"
        r"@]*@",
        hints=("://",),
        needs=AT,
    ),
    Rule(
        "secret:password",
        r"([A-Za-z][A-Za-z0-9+.-]{1,20}://[^ \t\r\n\"'<>/:@\[]*:)[^ \t\r\n\"'<>/@][^ \t\r\n\"'<>@"
        r"]*@",
        r"\1[secret:password]@",
        hints=("://",),
        needs=AT,
    ),
    Rule(
        "secret:url_token",
        r"(https?://)[A-Za-z0-9_-]{16,}@",
        r"\1[secret:url_token]@",
        hints=("://",),
        needs=AT,
    ),
    *(
        Rule(f"secret:{label}", rf"\b{pattern}", hints=hints, needs=RUN)
        for label, pattern, hints in VENDORS
    ),
    # Bearer and Basic where no header's name stands before them.
    Rule(
        "secret:bearer_token",
        r"(\b(?:[Bb]earer|BEARER)[ \t]+\\*[\"']?)[A-Za-z0-9._~+/=-]{16,}",
        r"\1[secret:bearer_token]",
        hints=("bearer",),
        needs=SCHEME,
    ),
    Rule(
        "secret:basic_credentials",
        r"(\b(?:[Bb]asic|BASIC)[ \t]+)(?:[A-Za-z0-9+/]{6,}={1,2}"
        r"|[A-Za-z+/]{0,64}[0-9][A-Za-z0-9+/]{15,}|[A-Za-z+/]{15,64}[0-9][A-Za-z0-9+/]*)",
        r"\1[secret:basic_credentials]",
        hints=("basic",),
        needs=SCHEME,
    ),
    # Links that are a credential themselves.
    Rule(
        "secret:url_token",
        r"(?i)(https?://[^ \t\r\n\"'<>]{1,200}/(?:[a-z]+[_-])?(?:reset|invite|verify|confirm|activa"
        r"te|magic|recover)"
        r"(?:[_-][a-z]+)*/)[a-z0-9_-]{20,}",
        r"\1[secret:url_token]",
        check="mixed",
        hints=("reset", "invite", "verify", "confirm", "activate", "magic", "recover"),
        needs=RUN,
    ),
    # Query parameters that only mean a credential in a URL.
    Rule(
        "secret:url_parameter",
        r"(?i)([?&#](?:amp;)?(?:x-amz-(?:signature|credential|security-token)|x-goog-signature|si"
        r"gnature|"
        r"sig|key|code|auth|apikey|api_key|hmac|client_secret|id_token|state|nonce|session|sid|ti"
        r"cket|"
        r"invite|reset|otp|t)=)[A-Za-z0-9._~%+/=-]{12,}",
        r"\1[secret:url_parameter]",
        hints=("?", "&", "#"),
        needs=RUN,
    ),
)
