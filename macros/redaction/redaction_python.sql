{# Written by scripts/redaction_macros.py: the modules of cdesk/contract/redaction, one after another. #}
{% macro redaction_python() -%}
{% raw -%}
from __future__ import annotations

# rules.py
"""What a rule is, the signs that it may need, and what several kinds of pattern are built of."""



import re
from functools import cache
from typing import NamedTuple


class Rule(NamedTuple):
    """One kind of thing. `becomes` is a replacement with groups, `[label]` where it is empty.

    `hints` are lower-case texts of which one must occur for the pattern to match at all, `needs`
    the signs (below) of which one must show; without any the pattern is always tried. `check` names
    a test of the match beyond the pattern.
    """

    label: str
    pattern: str
    becomes: str = ""
    check: str = ""
    hints: tuple[str, ...] = ()
    needs: int = 0


# Signs that a text may hold a credential, each found in a fraction of what a pattern costs.
RUN = 1
"""Sixteen characters of a token, key or URL in a row."""
NAME = 2
"""A name such as `password`, as a word or at the end of one."""
AT = 4
"""An @ sign."""
FLAG = 8
"""What commands have: a dash after a space, a here-string, `echo`."""
SCHEME = 16
"""`Bearer` or `Basic`."""
CARD = 32
"""Thirteen digits in a row, or with what people put between them."""

SPACES = " \u00a0\u2007\u2009\u202f"
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"
SEP = f"[{SPACES}{DASHES}./-]"
LETTER = "A-Za-z\u00c0-\u024f"

STAND_IN = Rule("", r"\[(?:secret:)?[a-z_]{2,30}\]", hints=("[",))
"""What stands where something stood: a second pass over it changes nothing."""


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


# cards.py
"""Payment cards: credentials as much as personal data."""





_CARD_GAP = f"(?:[{SPACES}{DASHES}+./_-]|%20){{0,3}}"
_CARD = (
    rf"(\b|_)(?:[2-6][0-9]{{3}}(?:{_CARD_GAP}[0-9]{{4}}){{3}}(?:{_CARD_GAP}[0-9]{{3}})?\b"
    rf"|3[0-9]{{3}}{_CARD_GAP}[0-9]{{6}}{_CARD_GAP}[0-9]{{4,5}}\b|[2-6][0-9]{{12,18}}\b)"
)
UUID = r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b"
CARDS: tuple[Rule, ...] = (
    STAND_IN,
    Rule("", UUID),
    Rule("", r"\b[0-9]+\.[0-9]{9,}\b"),
    Rule(
        "card",
        r"(?i)(\b(?:(?:credit|debit)[ _-]?card|card|kreditkarte|karte|carte(?: bancaire)?|visa|ma"
        r"stercard|"
        r"amex|american express|pan)(?:[ _-]?(?:number|num|no|nr|nummer|numéro))?\.?[\"']?"
        rf"(?:[ \t]+(?:is|ist|est|ending))?[ \t:=#\"']{{0,6}})(?:[0-9]{{4}}(?:{_CARD_GAP}[0-9]{{4"
        rf"}}){{3}}|"
        rf"[0-9]{{4}}{_CARD_GAP}[0-9]{{6}}{_CARD_GAP}[0-9]{{4,5}}|[0-9]{{13,19}})\b",
        r"\1[card]",
    ),
    Rule("card", _CARD, r"\1[card]", check="card"),
)


# tokens.py
"""Tokens that say by a prefix of their own what they are, and addresses that are a credential."""



from collections.abc import Sequence

VENDORS: Sequence[tuple[str, str, tuple[str, ...]]] = (
    ("github_token", r"gh[opsur]_[A-Za-z0-9]{16,}", ("ghp_", "gho_", "ghs_", "ghu_", "ghr_")),
    ("github_token", r"github_pat_[A-Za-z0-9_]{16,}", ("github_pat_",)),
    (
        "gitlab_token",
        r"gl(?:pat|ptt|rt|cbt|dt|ft|soat|agent|imt|oas|ffct)-[A-Za-z0-9_.-]{16,}",
        (
            "glpat-",
            "glptt-",
            "glrt-",
            "glcbt-",
            "gldt-",
            "glft-",
            "glsoat-",
            "glagent-",
            "glimt-",
            "gloas-",
            "glffct-",
        ),
    ),
    (
        "aws_access_key",
        r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}",
        ("akia", "asia", "abia", "acca", "aroa", "aida"),
    ),
    ("aws_bedrock_key", r"ABSK[A-Za-z0-9+/]{40,}={0,2}", ("absk",)),
    ("anthropic_key", r"sk-ant-[A-Za-z0-9_-]{16,}", ("sk-ant-",)),
    (
        "openai_key",
        r"sk-(?:proj|svcacct|admin|or-v1|None|service)-[A-Za-z0-9_-]{16,}",
        ("sk-proj-", "sk-svcacct-", "sk-admin-", "sk-or-v1-", "sk-none-", "sk-service-"),
    ),
    ("openai_key", r"sk-[A-Za-z0-9]{20,}", ("sk-",)),
    (
        "stripe_key",
        r"(?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{10,}",
        ("_live_", "_test_", "_prod_"),
    ),
    ("webhook_secret", r"whsec_[A-Za-z0-9+/=_-]{16,}", ("whsec_",)),
    ("slack_token", r"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}", ("xox",)),
    ("slack_token", r"xapp-[0-9]-[A-Za-z0-9-]{10,}", ("xapp-",)),
    ("google_api_key", r"AIza[A-Za-z0-9_-]{30,}", ("aiza",)),
    ("google_oauth_token", r"ya29\.[A-Za-z0-9_.-]{16,}", ("ya29.",)),
    ("google_client_secret", r"GOCSPX-[A-Za-z0-9_-]{16,}", ("gocspx-",)),
    ("google_refresh_token", r"1//0[A-Za-z0-9_-]{20,}", ("1//0",)),
    ("vault_token", r"hv[bsr]\.[A-Za-z0-9_-]{20,}", ("hvs.", "hvb.", "hvr.")),
    ("sendgrid_key", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}", ("sg.",)),
    ("mailgun_key", r"key-[0-9a-f]{32}", ("key-",)),
    ("mailchimp_key", r"[0-9a-f]{32}-us[0-9]{1,2}", ("-us",)),
    ("brevo_key", r"xkeysib-[0-9a-f]{32,}-[A-Za-z0-9]{8,}", ("xkeysib-",)),
    ("twilio_key", r"(?:SK|AC)[0-9a-f]{32}", ("sk", "ac")),
    ("npm_token", r"npm_[A-Za-z0-9]{20,}", ("npm_",)),
    ("pypi_token", r"pypi-[A-Za-z0-9_-]{20,}", ("pypi-",)),
    ("rubygems_key", r"rubygems_[0-9a-f]{40,}", ("rubygems_",)),
    ("docker_token", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{16,}", ("dckr_",)),
    ("huggingface_token", r"(?:hf|api_org)_[A-Za-z0-9]{20,}", ("hf_", "api_org_")),
    ("groq_key", r"gsk_[A-Za-z0-9]{20,}", ("gsk_",)),
    ("xai_key", r"xai-[A-Za-z0-9]{20,}", ("xai-",)),
    ("replicate_token", r"r8_[A-Za-z0-9]{20,}", ("r8_",)),
    ("perplexity_key", r"pplx-[A-Za-z0-9]{20,}", ("pplx-",)),
    ("langsmith_key", r"lsv2_(?:pt|sk)_[A-Za-z0-9_]{20,}", ("lsv2_",)),
    ("digitalocean_token", r"do[opr]_v1_[0-9a-f]{32,}", ("dop_v1_", "doo_v1_", "dor_v1_")),
    (
        "shopify_token",
        r"shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{20,}",
        ("shpat_", "shpca_", "shppa_", "shpss_"),
    ),
    ("linear_key", r"lin_(?:api|oauth)_[A-Za-z0-9]{20,}", ("lin_",)),
    ("notion_token", r"(?:ntn|secret)_[A-Za-z0-9]{32,}", ("ntn_", "secret_")),
    ("figma_token", r"fig[dou][rh]?_[A-Za-z0-9_-]{20,}", ("figd_", "figo", "figu", "figd")),
    ("sentry_token", r"sntry[su]_[A-Za-z0-9+/=_-]{20,}", ("sntrys_", "sntryu_")),
    ("newrelic_key", r"NR(?:AK|JS|AL|II)-[A-Za-z0-9]{16,}", ("nrak-", "nrjs-", "nral-", "nrii-")),
    ("postman_key", r"PMAK-[0-9a-f]{24}-[0-9a-f]{30,40}", ("pmak-",)),
    (
        "atlassian_token",
        r"AT(?:ATT3|BB|CTT3|SU)[A-Za-z0-9_=-]{20,}",
        ("atatt3", "atbb", "atctt3", "atsu"),
    ),
    ("facebook_token", r"EAA[A-Za-z0-9]{40,}", ("eaa",)),
    ("databricks_token", r"dapi[0-9a-f]{32}(?:-[0-9])?", ("dapi",)),
    ("square_token", r"sq0(?:atp|csp|idp)-[A-Za-z0-9_-]{20,}", ("sq0",)),
    ("age_key", r"AGE-SECRET-KEY-1[A-Z0-9]{40,}", ("age-secret-key-",)),
    ("tailscale_key", r"tskey-[a-z]{2,10}-[A-Za-z0-9-]{16,}", ("tskey-",)),
    (
        "supabase_token",
        r"sb[pv]?_(?:secret_|publishable_)?[A-Za-z0-9_]{20,}",
        ("sbp_", "sb_", "sbv_"),
    ),
    ("contentful_token", r"CFPAT-[A-Za-z0-9_-]{20,}", ("cfpat-",)),
    ("hubspot_token", r"pat-(?:na|eu|ap)[0-9]-[0-9a-f-]{32,40}", ("pat-na", "pat-eu", "pat-ap")),
    ("doppler_token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{20,}", ("dp.",)),
    ("planetscale_token", r"pscale_(?:pw|tkn|oauth)_[A-Za-z0-9_=.-]{20,}", ("pscale_",)),
    (
        "fly_token",
        r"(?:fo1_[A-Za-z0-9_-]{30,}|fm[12][ar]?_[A-Za-z0-9+/]{40,}={0,3})",
        ("fo1_", "fm1", "fm2_"),
    ),
    ("terraform_token", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{40,}", (".atlasv1.",)),
    ("pulumi_token", r"pul-[0-9a-f]{40}", ("pul-",)),
    (
        "buildkite_token",
        r"bk(?:ua|ct|aj|pt|ss)_[A-Za-z0-9]{20,}",
        ("bkua_", "bkct_", "bkaj_", "bkpt_", "bkss_"),
    ),
    ("circleci_token", r"CCI(?:PAT|PRJ)_[A-Za-z0-9_]{20,}", ("ccipat_", "cciprj_")),
    ("grafana_token", r"gl(?:sa|c)_[A-Za-z0-9+/=_]{20,}", ("glsa_", "glc_")),
    ("airtable_token", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{40,}", ("pat",)),
    ("heroku_key", r"HRKU-[A-Za-z0-9_-]{20,}", ("hrku-",)),
    ("dropbox_token", r"sl\.[A-Za-z0-9_-]{40,}", ("sl.",)),
    ("alibaba_key", r"LTAI[A-Za-z0-9]{12,24}", ("ltai",)),
    ("tencent_key", r"AKID[A-Za-z0-9]{13,}", ("akid",)),
    ("sonar_token", r"sq[uap]_[0-9a-f]{40}", ("squ_", "sqp_", "sqa_")),
    ("artifactory_key", r"(?:AKCp[A-Za-z0-9]{60,}|cmVmd[A-Za-z0-9]{50,})", ("akcp", "cmvmd")),
    ("typeform_token", r"tfp_[A-Za-z0-9_.=-]{30,}", ("tfp_",)),
    ("resend_key", r"re_[A-Za-z0-9]{6,12}_[A-Za-z0-9]{16,}", ("re_",)),
    ("adafruit_key", r"aio_[A-Za-z0-9]{28}", ("aio_",)),
    ("apify_token", r"apify_api_[A-Za-z0-9]{20,}", ("apify_api_",)),
    ("dynatrace_token", r"dt0[a-z][0-9]{2}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{40,}", ("dt0",)),
    ("readme_key", r"rdme_[a-z0-9]{40,}", ("rdme_",)),
    ("easypost_key", r"EZ[AT]K[A-Za-z0-9]{50,60}", ("ezak", "eztk")),
    ("azure_client_secret", r"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{30,40}", ("q~",)),
    ("telegram_token", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{30,40}", (":aa",)),
    ("discord_token", r"[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}", (".",)),
    ("mapbox_token", r"[spt]k\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{16,}", ("k.eyj",)),
    ("jwt", r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){0,3}", ("eyj",)),
    ("bitcoin_key", r"[xyztuv]prv[1-9A-HJ-NP-Za-km-z]{80,}", ("prv",)),
    ("bitcoin_key", r"[5KL][1-9A-HJ-NP-Za-km-z]{50,51}\b", ("5", "k", "l")),
    ("license_key", r"[A-Z0-9]{5}(?:-[A-Z0-9]{5}){4}\b", ("-",)),
    ("snowflake_token", r"ver:[0-9]-hint:[0-9]+-[A-Za-z0-9+/=_-]{16,}", ("-hint:",)),
)
"""(label, pattern, hints): tokens that say by a prefix of their own what they are."""

WEBHOOKS: Sequence[tuple[str, tuple[str, ...]]] = (
    (r"(hooks\.slack\.com/)(?:services|workflows|triggers)/[A-Za-z0-9/+_-]{8,}", ("hooks.slack",)),
    (
        r"(discord(?:app)?\.com/api/(?:v[0-9]+/)?webhooks/)[0-9]{5,}/[A-Za-z0-9_-]{8,}",
        ("/webhooks/",),
    ),
    (r"(\.webhook\.office\.com/)[A-Za-z0-9/@_-]{16,}", (".webhook.office",)),
    (r"(hooks\.zapier\.com/hooks/)[A-Za-z0-9/_-]{8,}", ("hooks.zapier",)),
    (r"(chat\.googleapis\.com/v1/spaces/)[A-Za-z0-9/_?=&.%-]{16,}", ("chat.googleapis",)),
    (r"(maker\.ifttt\.com/trigger/)[A-Za-z0-9/_-]{8,}", ("maker.ifttt",)),
    (r"(hook\.[a-z0-9.]*make\.com/)[A-Za-z0-9]{16,}", ("make.com/",)),
    (r"(api\.telegram\.org/bot)[A-Za-z0-9:_-]{8,}", ("telegram.org",)),
    (r"(outlook\.office(?:365)?\.com/webhook/)[A-Za-z0-9/@_-]{16,}", ("/webhook/",)),
)


# words.py
"""Names after which a credential stands in text, and what a value looks like."""



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


# carried.py
"""Credentials that their own form or their place gives away: keys, tokens, headers, addresses."""















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


# checks.py
"""Tests of a match beyond its pattern: checksums, lengths, classes of characters."""



from collections.abc import Callable




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


# commands.py
"""Credentials on command lines: behind flags, and where a command expects them."""






_WORD = rf"(?:{ANY_QUOTED}|[^ \t\r\n\"'*$/<>(-][^ \t\r\n\"'()]*)"
_WITHIN = r"\b[^\r\n|;]{0,200}?[ \t]"

COMMANDS: tuple[Rule, ...] = (
    Rule(
        "secret:password",
        rf"(\b(?:mongo(?:sh|dump|restore|import|export)?|twine|oc){_WITHIN}-p[ \t=]+"
        rf"|\bssh-keygen{_WITHIN}-[NP][ \t]+"
        rf"|\bopenssl[ \t]+(?:enc|aes[a-z0-9-]*|des3?){_WITHIN}-[kK][ \t]+"
        rf"|\b(?:plink|pscp|psftp|puttygen){_WITHIN}-pw[ \t]+"
        rf"|\b(?:smbclient|rpcclient|net|smbget){_WITHIN}-U[ \t]*[^ \t\r\n%\"']+%"
        rf"|\blftp{_WITHIN}-u[ \t]*[^ \t\r\n,\"']+,"
        rf"|\brabbitmqctl[ \t]+(?:add_user|change_password)[ \t]+[^ \t\r\n]+[ \t]+"
        rf"|\bpoetry[ \t]+config[ \t]+http-basic\.[^ \t\r\n]+[ \t]+[^ \t\r\n]+[ \t]+"
        rf"|\bpoetry[ \t]+config[ \t]+pypi-token\.[^ \t\r\n]+[ \t]+"
        rf"|:_(?:password|auth|authToken)[ \t]+"
        rf"|pass[a-z-]{{0,12}}[= ]<\(echo[ \t]+(?:-n[ \t]+)?"
        rf"|\b(?i:net[ \t]+use)[ \t]+[^ \t\r\n/]+[ \t]+){_WORD}",
        r"\1[secret:password]",
        hints=(
            *("mongo", "twine", "ssh-keygen", "openssl", "plink", "pscp", "psftp", "puttygen"),
            *("smbclient", "rpcclient", "smbget", "lftp", "rabbitmqctl", "poetry", ":_", "<(echo"),
            *("oc ", "net "),
        ),
        needs=FLAG | NAME,
    ),
    Rule(
        "secret:password",
        r"(?i)((?:^|[ \t\"'])--?(?:[a-z0-9]+-){0,3}(?:password|passwd|pass|passphrase|passin|toke"
        r"n|secret|"
        r"api-?key|access-key|account-key|secret-key|auth-token|sas-token|connection-string|clien"
        r"t-secret|pwd|cookie|secret-string|secret-binary|(?:src|dest)?storepass|(?:dest)?keypass)["
        r" \t]+)"
        rf"(?:{ANY_QUOTED}|[^ \t\r\n\"'`$<\[{{-][^ \t\r\n\"'`]*)",
        r"\1[secret:password]",
        hints=(
            "-pass",
            "-token",
            "-secret",
            "-api",
            "-access",
            "-auth",
            "-client",
            "-pwd",
            "-account",
            "-sas",
            "-connection",
            "-cookie",
            "storepass",
            "keypass",
        ),
        needs=FLAG,
    ),
    Rule(
        "secret:password",
        r"(\b(?:curl|https?|xh)\b[^\r\n|;]{0,200}?[ \t](?:-u|--user|-a|--auth)[ \t=]*\\*[\"']?[^ \t"
        r"\r\n\"':$\[]+:)[^ \t\r\n"
        r"\"'$]+",
        r"\1[secret:password]",
        hints=("curl", "http", "xh "),
        needs=FLAG,
    ),
    Rule(
        "secret:password",
        r"(\b(?:az|docker|podman|nerdctl|buildah|skopeo|crane|helm|oc|cf|ibmcloud)\b[^\r\n|;]{0,200"
        r"}?\blogin\b"
        rf"[^\r\n|;]{{0,200}}?[ \t]-p[ \t=]+)(?:{ANY_QUOTED}|[^ \t\r\n\"'$-][^ \t\r\n\"']*)",
        r"\1[secret:password]",
        hints=("login",),
        needs=FLAG,
    ),
    Rule(
        "secret:password",
        rf"(?i)((?:--?(?:name|key|id)[ =]+[\"']?[^ \"'\r\n]{{0,80}}?{ANY_NAME}|--?type[ =]+[\"']?se"
        rf"curestring)"
        rf"\b[^\r\n]{{0,120}}?[ \t]--?(?:value|secret-value|string-value)[ =]+)"
        rf"(?:{ANY_QUOTED}|[^ \t\r\n\"'$-][^ \t\r\n\"']*)",
        r"\1[secret:password]",
        hints=("value",),
        needs=FLAG,
    ),
    Rule(
        "secret:password",
        r"(\bhtpasswd[ \t]+(?:-[A-Za-z0-9]+[ \t]+){1,5}[^ \t\r\n-][^ \t\r\n]*[ \t]+[^ \t\r\n]+[ \t]"
        r"+"
        rf"|(?i:\bnet[ \t]+user[ \t]+)[^ \t\r\n/]+[ \t]+)(?:{ANY_QUOTED}|[^ \t\r\n\"'/$*-][^ \t\r\n"
        rf"\"']*)",
        r"\1[secret:password]",
        hints=("htpasswd", "net user"),
        needs=FLAG | NAME,
    ),
    Rule(
        "secret:password",
        rf"(\b(?:mysql|mysqldump|mysqladmin|mariadb)\b[^\r\n|;]{{0,200}}?[ \t]-p)"
        rf"(?:{ANY_QUOTED}|[^ "
        r"\t\r\n\"'$-][^ \t\r\n\"']*)",
        r"\1[secret:password]",
        hints=("mysql", "mariadb"),
        needs=FLAG,
    ),
    Rule(
        "secret:password",
        r"(\b(?:sshpass[ \t]+-p[ \t]*|(?:redis-cli|ldap[a-z]+|sqlcmd|bcp|zip|unzip|mosquitto_[a-"
        r"z]+|7za?|rar|unrar)\b"
        rf"[^\r\n|;]{{0,120}}?[ \t](?:-a[ \t]+|-w[ \t]+|-P[ \t]*)|(?:7za?|rar|unrar)\b[^\r\n|;]{{"
        rf"0,120}}?[ \t]-p|"
        rf"net[ \t]+use\b[^\r\n|;]{{0,120}}?/user:[^ \t\r\n]+[ \t]+))"
        rf"(?:{ANY_QUOTED}|[^ \t\r\n\"'$/-"
        r"][^ \t\r\n\"'$]*)",
        r"\1[secret:password]",
        hints=(
            "sshpass",
            "redis-cli",
            "ldap",
            "sqlcmd",
            "bcp",
            "zip",
            "mosquitto",
            "7z",
            "rar",
            "net use",
        ),
        needs=FLAG,
    ),
    Rule(
        "secret:password",
        r"(\b(?:sqlplus|sqlldr|expdp|impdp|(?i:conn(?:ect)?))[ \t]+(?:-[A-Za-z]+[ \t]+)*[A-Za-z0-9_"
        r"$#]+/|jdbc:oracl"
        r"e:[a-z]+:[^ \t\r\n/:@\"']+/)"
        r"[^ \t\r\n@/\"']+@",
        r"\1[secret:password]@",
        hints=("sqlplus", "sqlldr", "expdp", "impdp", "conn", "jdbc:oracle"),
        needs=AT,
    ),
)


# lookalikes.py
"""Letters that look like others, and characters that nobody sees, inside words: a name that is
written with them is the name still.

After Unicode's confusables (https://www.unicode.org/reports/tr39/): those whose prototype is one of
the letters that names of credentials are written in.
"""



import re
from collections.abc import Mapping
from functools import cache

_LATIN = "".join(map(chr, (*range(65, 91), *range(97, 123))))
_FULLWIDTH = "".join(map(chr, (*range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))))
_LOOKALIKES = (
    # Cyrillic
    (
        "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u0501\u04bb\u051b\u051d",
        "aeopcyxsijdhqw",
    ),
    ("\u043a\u043c\u0442\u043d\u0432\u0475\u04cf\u0433", "kmthbvlr"),
    (
        "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0405\u0406\u0408\u050c\u051a\u051c",
        "ABEKMHOPCTYXSIJGQW",
    ),
    # Greek
    (
        "\u03b1\u03b5\u03bf\u03c1\u03bd\u03b9\u03ba\u03c5\u03c4\u03c7\u03c9\u03b3\u03b7\u03c3",
        "aeopvikutxwyno",
    ),
    (
        "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
        "ABEZHIKMNOPTYX",
    ),
    # Armenian, Latin of other shapes, small capitals
    (
        "\u0585\u057d\u0570\u0578\u0581\u0131\u0251\u0261\u026a\u0274\u0280\u028f\u1d00\u1d04\u1d05\u1d07\u1d0b\u1d0d\u1d0f\u1d18\u1d1b\u1d20\u1d21\ua731",
        "ouhngiaginryacdekmoptvws",
    ),
    (_FULLWIDTH, _LATIN),
    ("\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff3f\uff0d", "0123456789_-"),
    # Mathematical letters: thirteen alphabets one after another
    ("".join(map(chr, range(0x1D400, 0x1D400 + 52 * 13))), _LATIN * 13),
)
_UNSEEN = "".join(
    map(
        chr,
        (
            *(0xAD, 0x34F, 0x61C, 0x180E, 0xFEFF),
            *range(0x200B, 0x2010),
            *range(0x202A, 0x202F),
            *range(0x2060, 0x2070),
            *range(0xFE00, 0xFE10),
        ),
    )
)
WRITTEN = "".join(written for written, _ in _LOOKALIKES) + _UNSEEN
"""Every character that stands for another, and behind them those that stand for none."""
MEANT = "".join(meant for _, meant in _LOOKALIKES)
"""What the characters of `WRITTEN` stand for, in the same order."""
WORD = (
    "[A-Za-z0-9_\u00ad\u034f\u00c0-\u058f\u061c\u180e\u1d00-\u1d2b\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ua731\ufe00-\ufe0f\ufeff\uff0d\uff10-\uff19\uff21-\uff3a\uff3f\uff41-\uff5a"
    "\U0001d400-\U0001d6a3]+"
)
"""Letters, digits, and what may stand between them unseen."""
_ANY_LATIN = "[A-Za-z\uff21-\uff3a\uff41-\uff5a\U0001d400-\U0001d6a3]"
IS_LATIN = f"{_ANY_LATIN}[^\n]*{_ANY_LATIN}"
"""Where a word has two of these, the others in it are meant for such as well. A word that is
Cyrillic or Greek throughout stays what it is.
"""


_STYLED = "\uff21-\uff3a\uff41-\uff5a\U0001d400-\U0001d6a3"


def _as_class(characters: str) -> str:
    """The characters as the inside of a class, in ranges: a long list is slow to look through."""
    runs: list[list[int]] = []
    for code in sorted(map(ord, characters)):
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in runs)


ANY_WRITTEN = _as_class(WRITTEN)


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    shows = (f"[A-Za-z0-9_][{ANY_WRITTEN}]", f"[{ANY_WRITTEN}][A-Za-z0-9_]", f"[{_STYLED}]")
    return tuple(re.compile(pattern) for pattern in (f"[{ANY_WRITTEN}]", WORD, IS_LATIN, *shows))


@cache
def _meanings() -> Mapping[int, str | int | None]:
    return str.maketrans(WRITTEN[: len(MEANT)], MEANT, _UNSEEN)


def as_meant(text: str) -> str:
    """The text with the letters that are meant in place of those that look like them, in words of
    Latin letters; the same object where there are none.
    """
    if text.isascii():
        return text
    written, word, is_latin, *shows = _patterns()
    # Most text in another script has no word of two: that is seen in a fraction of the time.
    if not written.search(text) or not any(pattern.search(text) for pattern in shows):
        return text

    def meant(match: re.Match[str]) -> str:
        found = match.group()
        if found.isascii() or not is_latin.search(found):
            return found
        return found.translate(_meanings())

    plain = word.sub(meant, text)
    return text if plain == text else plain


# keys.py
"""Names of keys in documents, in snake case: what the value under one is."""



import re
from functools import lru_cache




_SECRET_KEYS = (
    r"(?:^|_)(?:(?P<password>[a-z0-9]*(?:password|passwd|passphrase|passcode|passwort|kennwort)s?|"
    r"(?:db|user|root|admin|smtp|ftp|my)?pass|pwds?|pw|psw|passwrd|senha|contrasena|mot_de_passe)|"
    r"(?P<secret>[a-z0-9]*secrets?)|"
    r"(?P<token>(?:[a-z0-9]*(?:auth|access|refresh|bearer|api|session|bot|csrf|xsrf|user|device|s"
    r"ervice))?"
    r"token|jwt|id_token|sas)|"
    r"(?P<api_key>x?_?api_?keys?)|"
    r"(?P<key>(?:access|secret|private|account|signing|encryption|master|auth|subscription|sessio"
    r"n|consumer|"
    r"deploy|licen[cs]e|storage|hmac|admin|service|ssh|aes|rsa|shared|decryption|kms|app|client)_"
    r"?keys?|"
    r"access_key_id|pem|private_key_pem)|"
    r"(?P<authorization>(?:proxy_)?authori[sz]ation|auth(?:_header)?)|"
    r"(?P<cookie>(?:set_)?cookies?|phpsessid|jsessionid|sessionid)|"
    r"(?P<credential>creds?|credentials?|dsn|conn(?:ection)?_?(?:string|str)|"
    r"(?:recovery|backup)_?(?:codes?|keys?|phrases?)|seed_?phrase|mnemonic|web_?hook_?(?:url|uri)|"
    r"x_amz_signature|x_amz_credential|shared_access_signature)|"
    r"(?P<code>otp|totp|(?:otp|mfa|2fa|verification|security|auth|one_time)_?(?:code|secret)|pin("
    r"?:_number)?|"
    r"cvv2?|cvc2?|csc|card_verification(?:_value|_code)?))"
    r"(?:_(?:value|plain|plaintext|raw|b64|base64|enc|encrypted|hash|hashed|header|text))?_?[0-9]"
    r"{0,2}$"
)
_HARMLESS_KEYS = (
    r"(?:^|_)(?:(?:page|next|next_page|prev|previous|continuation|continue|sync|cursor|start|end|"
    r"stop|eos|bos|"
    r"pad|unk|mask|sep|cls|first|last|max|min|per|prompt|completion|output|input|special|cancella"
    r"tion|cancel|"
    r"num|cost_per|price_per)_token|has_[a-z_]+|is_[a-z_]+|no_[a-z_]+|needs?_[a-z_]+|show_[a-z_]+)$"
)
_PERSONAL_KEYS = (
    r"(?:^|_)(?:(?P<email>e_?mails?(?:_?(?:address|addr|id))?|mail_?(?:address|addr)|mail_?to)|"
    r"(?P<phone>(?:tele|mobile_?|cell_?|home_?|work_?|office_?)?(?:phone|fax)(?:_?(?:number|num|n"
    r"o|nr))?s?|telefon"
    r"(?:nummer)?|mobiles?|mobile_?(?:number|no)|cell|handy(?:nummer)?|tel|msisdn|whats_?app)|"
    r"(?P<card>(?:credit|debit|payment|bank)?_?card_?(?:number|num|no|nr)|(?:credit|debit|payment"
    r")_?card|cc_?(?:number|num|no)|"
    r"ccn|primary_?account_?number|kreditkarte(?:nnummer)?)|"
    r"(?P<iban>iban(?:_?(?:number|code))?)|"
    r"(?P<id_number>ssn|sin|social_?security(?:_?(?:number|no|num))?|(?:bank_?)?account_?(?:numbe"
    r"r|num|no|nr)|konto(?:nummer)?|"
    r"routing_?(?:number|no)|sort_?code|passport(?:_?(?:number|num|no|id))?|(?:drivers?|driving)_"
    r"?licen[cs]e"
    r"(?:_?(?:number|no|id))?|tax_?(?:payer_?)?(?:id|number|no)|national_?(?:id|insurance)(?:_?(?"
    r":number|no))?|nino|"
    r"steuer_?(?:id|nummer)|personal_?ausweis(?:nummer)?|id_?card(?:_?(?:number|no))?|my_?number|"
    r"nir|cpf|dni|aadhaar|"
    r"identity_?(?:number|no)|medical_?record(?:_?(?:number|no))?|mrn)|"
    r"(?P<address>(?:home|postal|street|mailing|billing|shipping|delivery|residential|work|office"
    r"|post)_?addr(?:ess)?|"
    r"^address|^addr|addr(?:ess)?_?(?:line)?_?[0-9]|address_?line|street(?:_?(?:name|number|line_"
    r"?[0-9]?))?|strasse|anschrift|adresse|"
    r"zip_?codes?|zip|post_?(?:al_?)?codes?|postleitzahl|plz)|"
    r"(?P<ip>(?:client|remote|user|source|src|peer|visitor|host)?_?ip(?:v[46])?(?:_?addr(?:ess)?)"
    r"?|remote_?addr)|"
    r"(?P<birth_date>(?:date_?of_?)?birth_?(?:date|day|dt)?|date_?of_?birth|dob|geburts(?:datum|t"
    r"ag))|"
    r"(?P<name>(?:first|last|full|given|family|middle|sur|maiden|nick|legal|real|display|holder|c"
    r"ard_?holder|beneficiary)_?names?|vorname|"
    r"nachname|cardholder))$"
)
_CAMEL = re.compile(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])")
_NOT_WORD = re.compile(r"[^a-z0-9\u00c0-\u024f]+")


@lru_cache(maxsize=4096)
def key_label(key: str, *, personal: bool = False) -> str:
    """What the value under a key of this name is (`secret:token`, `email`), or nothing."""
    snake = _CAMEL.sub(r"\1\3_\2\4", as_meant(key[:200]))
    snake = _NOT_WORD.sub("_", snake.lower()).strip("_")
    if (found := compiled(_SECRET_KEYS).search(snake)) and not compiled(_HARMLESS_KEYS).search(
        snake
    ):
        return f"secret:{found.lastgroup if found.lastgroup != 'code' else 'security_code'}"
    if personal and (found := compiled(_PERSONAL_KEYS).search(snake)):
        return str(found.lastgroup)
    return ""


# signs.py
"""Signs that a text may hold a credential, each found in a fraction of what a pattern costs."""





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


# named.py
"""Credentials that a name before them gives away: password=…, "api_key": "…", password is …"""






















_CODE = r"(?:[a-z0-9]{3,}-[a-z0-9-]*[0-9][a-z0-9-]*|[0-9]+[a-z0-9-]{5,}|[a-z]+[0-9][a-z0-9-]{4,})"
_BETWEEN = (
    r"(?:[ \t]+[a-z_:-]{1,20}=\\*[\"'][^\"'\r\n]{0,40}\\*[\"']){0,3}[ \t]*,?[ \t]*(?:\r?\n[ \t-]*)?"
)
_PAIRED = r"\\*[\"']?(?:[a-z]{2,12}[_-]?)?value\\*[\"']?[ \t]*[:=][ \t]*"

NAMED: tuple[Rule, ...] = (
    Rule("", rf"(?i)(?:\b|_)(?:pass|auth|sig|cred|token){IS_SIGN}[0-9]{{1,4}}\b", needs=NAME),
    Rule(
        "",
        rf"(?i)(?:existing|imagepull|image_pull)_?secrets?{IS_SIGN}[^ \t\r\n]+",
        hints=("existing", "pull"),
        needs=NAME,
    ),
    Rule("", rf"(?i)\bpwd{IS_SIGN}[~/.]", hints=("pwd",), needs=NAME),
    Rule(
        "secret:password",
        rf"(?i)({ANY_NAME}{IS_SIGN}convertto-securestring(?:[ \t]+-string)?[ \t]+){QUOTED}",
        kept("secret:password"),
        hints=("securestring",),
        needs=NAME,
    ),
    # Pairs of a name and a value: name: DB_PASSWORD, value: …
    Rule(
        "",
        rf"(?i)\b(?:name|key|type)\\*[\"']?[ \t]*[:=][ \t]*\\*[\"']?[a-z0-9_./-]{{0,60}}?{ANY_NAME}"
        rf"\\*[\"']?"
        rf"{_BETWEEN}{_PAIRED}(?:\\*[\"'])?(?:{NO_VALUE}(?:[\"' \t\r\n,]|$)|"
        r"\[(?:secret:)?[a-z_]+\]|[$%]?[{(<\[]|![a-z])",
        hints=("value",),
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        rf"(?i)(\b(?:[a-z]{{2,12}}[_-]?)?(?:name|key|type|id)\\*[\"']?[ \t]*[:=][ \t]*\\*[\"']?"
        rf"[a-z0-9_./-]{{0,60}}?{ANY_NAME}\\*[\"']?{_BETWEEN}{_PAIRED}{PREFIX})"
        rf"(?:{QUOTED}|[^ \t\r\n\"',}}<]+)",
        kept("secret:credential"),
        hints=("value",),
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        rf"(?i)(\b(?:name|key|id)=\\*[\"'][a-z0-9_./-]{{0,60}}?{ANY_NAME}\\*[\"'][ \t]*>)[^<>$ \t\r"
        rf"\n{{][^<>]*"
        r"(</)",
        r"\1[secret:credential]\2",
        hints=("</",),
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        rf"(?i)(\bvariable[ \t]+\"[^\"\r\n]{{0,60}}?{ANY_NAME}\"[ \t]*\{{[^{{}}]{{0,200}}?"
        rf"\bdefault[ \t]*=[ \t]*){QUOTED}",
        kept("secret:credential"),
        hints=("variable",),
        needs=NAME,
    ),
    # A user's name and a password, as libraries take them.
    Rule(
        "secret:password",
        r"(?i)((?:\bauth[ \t]*=[ \t]*|\b(?:http)?(?:basic|digest)auth|\b(?:login|authenticate|crede"
        r"ntials?|"
        rf"[a-z]{{1,20}}credentials?|passwordauthentication))\([ \t]*{ANY_QUOTED}[ \t]*,[ \t]*"
        rf"{PREFIX})"
        rf"{QUOTED}",
        kept("secret:password"),
        hints=("auth", "login", "credential"),
        needs=NAME,
    ),
    Rule(
        "secret:password",
        r"(?i)(=[ \t]*(?:old_)?password\([ \t]*')[^' \t\r\n]+(')",
        r"\1[secret:password]\2",
        hints=("password(",),
        needs=NAME,
    ),
    Rule(
        "secret:password",
        r"(?i)(\bwifi:(?:[TSHEI]:[^;\r\n]*;){0,5}P:\"?)[^;\r\n\"]+",
        r"\1[secret:password]",
        hints=("wifi:",),
        needs=NAME,
    ),
    Rule(
        "secret:recovery_phrase",
        r"(?i)((?:recovery|seed|backup|secret|mnemonic)[ _-]?(?:phrase|words|seed)?\\*[\"']?[ \t]*("
        r"?:is\b|:|=)?[ \t]*\\*[\"']?)"
        r"[a-z]{3,8}(?:[ ,]{1,2}[a-z]{3,8}){11,23}",
        r"\1[secret:recovery_phrase]",
        hints=("phrase", "mnemonic", "seed", "words"),
        needs=NAME,
    ),
    Rule(
        "secret:recovery_code",
        rf"(?i)((?:recovery|backup|scratch)[ _-]?codes?\\*[\"']?[ \t]*(?:are|is|:|=)[ \t\r\n]*\[?["
        rf"\"']?)"
        rf"{_CODE}(?:[\"']?[ \t]*[,;\r\n ][ \t\r\n]*[\"']?{_CODE}){{0,40}}",
        r"\1[secret:recovery_code]",
        hints=("code",),
        needs=NAME,
    ),
    # Names of parameters that are written so that they don't look like it: api%5Fkey, p%61ssword.
    Rule(
        "secret:url_parameter",
        r"(?i)([?&#;](?:amp;)?(?:[a-z]{2,12}%(?:25)?(?:5f|2d|20)){1,3}"
        r"(?:key|secret|token|passw(?:or)?d|passwd|pass|pwd|code|signature|credentials?)=)[^ \t\r\n"
        r"&\"'<>]{4,}",
        r"\1[secret:url_parameter]",
        hints=("%",),
        needs=NAME,
    ),
    Rule(
        "secret:url_parameter",
        r"(?i)([?&#;](?:amp;)?[a-z0-9_.%-]{0,40}?%(?:25)?(?:[46][1-9a-f]|[57][0-9a]|3[0-9])[a-z0-9_"
        r".%-]{0,40}=)"
        r"[^ \t\r\n&\"'<>]{4,}",
        r"\1[secret:url_parameter]",
        hints=("%",),
        needs=NAME,
    ),
    Rule(
        "",
        rf"(?i){SAID}[ \t]+(?:is|has|must be|should be|of)[ \t]+(?:at (?:least|most)[ \t]+)?[0-9]"
        rf"{{1,4}}"
        r"[ \t]+(?:digits?|char(?:acter)?s?|letters?|numbers?|words?|minutes?|hours?|days?|seconds?"
        r"|bytes?|bits?)\b",
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        rf"(?i)({ANY_NAME}[ \t]*:[ \t]*[&a-z<>\[\]?.]{{1,20}}[ \t]*=[ \t]*){QUOTED}",
        kept("secret:credential"),
        needs=NAME,
    ),
    Rule(
        "secret:security_code",
        r"(?i)(\b(?:cvv2?|cvc2?|csc)[ \t:#=]{1,4}|\b(?:door|gate|alarm|access|entry|safe)[ -]code(?"
        r":[ \t]is)?[ \t:=]{1,3})[0-9]{3,8}\b",
        r"\1[secret:security_code]",
        hints=("cvv", "cvc", "csc", "code"),
        needs=NAME,
    ),
    Rule(
        "secret:password",
        r"((?:パスワード|暗証番号|密码|口令|비밀번호)(?:は|是|为|는|은)[ \t「『]?)[!-~]{4,}",
        r"\1[secret:password]",
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        rf"(?i)({SAID}[ \t]+)[a-z0-9_+/=.-]{{20,}}",
        r"\1[secret:credential]",
        check="mixed",
        needs=RUN,
        hints=("key", "token", "secret", "pass"),
    ),
    Rule(
        "secret:credential",
        r"(?i)(\bcred(?:ential)?s?[ \t]+[a-z0-9_.@-]{1,64}:)[^ \t\r\n\"'/]{6,}",
        r"\1[secret:credential]",
        hints=("cred",),
        needs=NAME,
    ),
    # Names and values: password=…, "api_key": "…", <password>…</password>, password is …
    Rule(
        "",
        rf"(?i){ANY_NAME}{IS_SIGN}\\*[\"'`]?(?:{NO_VALUE}\\*(?:[\"'`,;.!?)\]}} \t\r\n]|$)"
        rf"|[$%]?[{{(<\[]"
        rf"|\$[A-Za-z_]|%[a-z(]|\*{{3}}|"
        r"!(?:vault|secret|ref|sub|getatt|env(?:_var)?|reference|join|importvalue|unsafe|include)\b"
        r"|"
        r"x{4}|\.{3}|(?:await|new|async|return|lambda)[ \t]|[A-Za-z_][A-Za-z0-9_.]*[(\[]|your[_-]|"
        r"(?:req(?:uest)?|self|this|os|process|env|conf(?:ig)?|cfg|settings|args|opt(?:ion)?s|par"
        r"ams|props|ctx|context|data|form|body|user|event|var|local|secrets|input|state|values)\.[A"
        r"-Za-z_]|(?:get|n"
        r"ew|read|import)-[a-z]+)",
        needs=NAME,
    ),
    Rule(
        "secret:password",
        rf"(?i)({PASS_NAME}{IS_SIGN}{PREFIX}){QUOTED}",
        kept("secret:password"),
        needs=NAME,
    ),
    Rule(
        "secret:password",
        rf"(?i)({PASS_NAME}\\*[\"'`]?\]?[ \t]*(?:=>|:=|=)[ \t]*){BARE}",
        r"\1[secret:password]",
        needs=NAME,
    ),
    Rule(
        "secret:password",
        rf"(?i)({PASS_NAME}\\*[\"'`]?[ \t]*(?::|：|->|→|⇒)[ \t]*){TOKENISH}",
        r"\1[secret:password]",
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        rf"(?i)({ANY_NAME}{IS_SIGN}{PREFIX}){QUOTED}",
        kept("secret:credential"),
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        rf"(?i)({ANY_NAME}\\*[\"'`]?\]?[ \t]*(?:=>|:=|=)[ \t]*){BARE}",
        r"\1[secret:credential]",
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        rf"(?i)({ANY_NAME}\\*[\"'`]?[ \t]*(?::|：|->|→|⇒)[ \t]*){TOKENISH}",
        r"\1[secret:credential]",
        needs=NAME,
    ),
    Rule(
        "secret:password",
        rf"(?i)({PASS_NAME}\\*[\"'`]?[ \t]*(?::|：|->|→|⇒)[ \t]*)[^ \t\r\n\"'`&;<>(){{}}\[\]$,.%]"
        rf"{{4,}}[!.]?(?:[ \t]*[\r\n]|[ \t]*$)",
        r"\1[secret:password]",
        needs=NAME,
    ),
    # password for ada: …
    Rule(
        "secret:password",
        rf"(?i)({PASS_NAME}(?:[ \t](?:for|to|of|on|von|für|pour|de)[ \t][^ \t\r\n:=]{{1,40}}){{1"
        rf",2}}[ \t]*[:=][ \t]*)(?:{ANY_QUOTED}|{TOKENISH})",
        r"\1[secret:password]",
        needs=NAME,
    ),
    # password …, as configuration files and SQL have it
    Rule(
        "",
        rf"(?i){SAID}[ \t]+(?:sha-?[0-9]+|md5|pbkdf2|argon2[a-z]*|bcrypt|base64|utf-?8|oauth2?|v"
        r"[0-9.]+)\b",
        needs=NAME,
    ),
    Rule(
        "secret:password",
        rf"(?i)((?:{PASS_SAID}|identified[ \t]+by|convertto-securestring(?:[ \t]+-string)?)[ \t]"
        rf"+){QUOTED}",
        kept("secret:password"),
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        rf"(?i)({PASS_SAID}[ \t]+){MIXED}",
        r"\1[secret:credential]",
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        rf"(?i)(\|[ \t]*[a-z0-9_. -]{{0,30}}{ANY_NAME}[ \t*]*\|[ \t]*)"
        rf"(?:`[^`|\r\n]+`|[^ \t\r\n|]*[0"
        r"-9][^ \t\r\n|]*)",
        r"\1[secret:credential]",
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        r"(?i)(\b(?:define|set|setenv|put|putenv|setproperty|setitem|add|header|append|defaults)"
        rf"\([ \t]*[\"'][^\"'\r\n]{{0,40}}?{SAID}[\"'][ \t]*,[ \t]*){QUOTED}",
        kept("secret:credential"),
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        rf"(?i)(name=\\*\"[a-z0-9_.-]{{0,30}}{SAID}\\*\"(?:\r?\n|\r\n|\n){{1,2}})[^\r\n\\]+",
        r"\1[secret:credential]",
        hints=("name=",),
        needs=NAME,
    ),
    Rule(
        "secret:session",
        r"(?i)((?:\b|_)(?:[a-z]+_)?(?:session|pat)\\*[\"']?[ \t]*[:=][ \t]*\\*[\"']?)[A-Za-z0-9_%+/"
        r"=.]{20"
        r",}",
        r"\1[secret:session]",
        hints=("session", "pat"),
        needs=RUN,
    ),
    Rule(
        "secret:password_hash",
        r"\$(?:2[abxy]?|[1567y]|apr1|argon2(?:id|i|d)|scrypt|pbkdf2[a-z0-9-]*|P|H|sha1|bcrypt[a-z"
        r"0-9-]*)\$[A-Za-z0-9./$,=+_-]{16,}",
        hints=("$",),
        needs=RUN,
    ),
    Rule(
        "secret:password_hash",
        r"\{(?:SSHA|SHA|SMD5|CRYPT|SSHA256|SSHA512)\}[A-Za-z0-9./$+=]{16,}",
        hints=("sha", "md5", "crypt"),
        needs=RUN,
    ),
    Rule(
        "secret:password",
        r"(\b[A-Za-z0-9.*-]{1,80}:(?:[0-9]{2,5}|\*):[A-Za-z0-9_*-]{1,64}:[A-Za-z0-9_*.-]{1,64}:)"
        r"[^ \t\r\n:\"'/\[][^ \t\r\n:\"'/]{5,}",
        r"\1[secret:password]",
        hints=(":",),
        needs=RUN,
    ),
    Rule(
        "secret:password",
        r"(\b(?:chpasswd|sudo[ \t]+-S|passwd)\b[^\r\n]{0,40}?<<<[ \t]*)" + ANY_QUOTED,
        r"\1[secret:password]",
        hints=("<<<",),
        needs=FLAG,
    ),
    Rule(
        "secret:password",
        rf"(\becho[ \t]+(?:-n[ \t]+)?)(?:{ANY_QUOTED}|[^ \t\r\n\"'$|]+)([ \t]*\|[ \t]*"
        rf"(?:sudo[ \t]+-"
        r"S|chpasswd|passwd|docker[ \t]+login|gpg|su[ \t]))",
        r"\1[secret:password]\2",
        hints=("echo",),
        needs=FLAG,
    ),
    Rule(
        "secret:password",
        rf"(?i)({PASS_SAID}(?:[ \t](?:for|to|of|on)(?:[ \t][^ \t\r\n:]{{1,30}}){{1,3}})?[ \t]+"
        r"(?:(?:(?:is|was|has been|were)[ \t]+)?(?:changed|set|reset|rotated|updated) to|"
        r"is|was|ist|lautet|est|es|é|är|er|are|to)(?:[ \t]+(?:now|still|just|simply|"
        r"jetzt))?[ \t:]+)"
        rf"(?:{ANY_QUOTED}|[^ \t\r\n\"'`]*[0-9][^ \t\r\n\"'`]*)",
        r"\1[secret:password]",
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        rf"(?i)({SAID}(?:[ \t](?:for|to|of|on)(?:[ \t][^ \t\r\n:]{{1,30}}){{1,3}})?[ \t]+"
        r"(?:is|ist|est)(?:[ \t]+(?:now|still|just|simply|"
        r"jetzt))?[ \t:]+)"
        rf"(?:{ANY_QUOTED}|[^ \t\r\n\"'`]*[0-9][^ \t\r\n\"'`]*)",
        r"\1[secret:credential]",
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        rf"(?i)(<(?:[a-z0-9]+[:._-])?(?:{STRONG}|{SHORT})(?:[ \t][^<>]*)?>)[^<>$ \t\r\n{{][^<>]"
        r"*(</)",
        r"\1[secret:credential]\2",
        needs=NAME,
    ),
    # 40 characters of Base64 by themselves, as AWS makes them.
    Rule(
        "secret:aws_secret_key",
        r"(^|[^A-Za-z0-9/+_.-])[A-Za-z0-9/+]{40}($|[^A-Za-z0-9/+=_.-])",
        r"\1[secret:aws_secret_key]\2",
        check="mixed",
        needs=RUN,
    ),
)


# people.py
"""Personal data: people and places."""





_ATEXT = "A-Za-z0-9.!#$&'*+/=?^_`{|}~\u00a1-\u1fff\u2c00-\ufefe\uff10-\U0010ffff-"
_LABEL = "A-Za-z0-9\u00a1-\u1fff\u2c00-\u3001\u3003-\ufefe\uff10-\U0010ffff"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_AT = (
    r"(?:@|＠|%40|&#64;|&#x40;|&commat;|[\\]u0040|"
    r"[ \t]?[\[({<][ \t]?(?:at|@|arobase)[ \t]?[\])}>][ \t]?)"
)
_TLD = "A-Za-z\u00a1-\u1fff\u2c00-\u3001\u3003-\ufefe"
_DOT = r"(?:[.。．]|[ \t]?[\[({][ \t]?(?:dot|punkt|point)[ \t]?[\])}][ \t]?|%2[Ee])"
_DOMAIN = (
    rf"(?:[{_LABEL}](?:[{_LABEL}-]{{0,62}}){_DOT}){{1,8}}"
    rf"(?:xn--[A-Za-z0-9-]{{2,59}}|[{_TLD}]{{2,24}})"
)
_LINK = r"(?:[^ \t\r\n\"'<>@%]|%(?:[0-35-9A-Fa-f][0-9A-Fa-f]|4[1-9A-Fa-f]))"
"""A character of a link before its first @."""
_IN_LINK = "A-Za-z0-9.!$'*+^_`{|}~%\u00a1-\u1fff\u2c00-\ufefe\uff10-\U0010ffff-"
_AT_IN_LINK = "(?:@|%40)"
_DIGITS_JP = "0-9\uff10-\uff19"
_STREET_WORD = rf"(?:[A-ZÀ-Þ][{LETTER}'’.-]*|[0-9]{{1,3}}(?:st|nd|rd|th))"
_STATES = (
    "A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|PR|RI|S[CD]|"
    "T[NX]|UT|V[AT]|W[AIVY]"
)
_POSTCODE_UK = "[A-Z]{1,2}[0-9][A-Z0-9]?[  ][0-9][ABD-HJLNP-UW-Z]{2}"
PHONE_GAP = f"(?:[{SPACES}{DASHES}\\t./()-]|%20)"
_PHONE_WORD = (
    r"(?:tele?(?:phone|fon|fax)?(?:nummer)?|phone|mobile?|mobil(?:nummer|telefon)|cell(?:ular)?(?"
    r":phone)?|celular|telefone|tel[ée]fono|fixo|m[óo]vil|cellulare|telefoon|"
    r"handy(?:nummer)?|fax|rufnummer|durchwahl|t[éÉ]l(?:[éÉ]phone)?|portable|"
    r"whats ?app|wa\.me/|sms|hotline|landline|festnetz|電話(?:番号)?|"
    r"携帯(?:電話)?|call(?: me| us| him| her| them)?|text(?: me| us| him| her)?|"
    r"dial|ring(?: me| us)?|reach(?: me| us| him| her)|contact(?: me| us)?|callback)"
)
_PHONE_LINK = (
    r"(?:[ _-]?(?:number|num|no|nr|nummer|numéro|番号))?\.?\\*[\"']?"
    r"(?:[ \t]*(?:is|ist|est|at|on|under|unter|au|sur|me|now|today|:|=|#|は|：|%3[Aa])){0,3}[ \t\"'"
    r"\\]{0,4}"
)
_ID_WORD = (
    r"(?:ssn|social security|soc\. ?sec\.?|passport|reisepass|passeport|pasaporte|personalausweis"
    r"|ausweis|"
    r"uidai|(?:steuerliche )?identifikationsnummer|pesel|sin|documento|pan card|curp|c[ée]dula|ru"
    r"t|cnp|oib|egn|jmbg|nric|hkid|cpr|"
    r"f[øo]dselsnummer|henkil[öo]tunnus|partita iva|steuer-?id|steuer-?identifikationsnummer|steu"
    r"eridentnummer|idnr|steuernummer|tax[ _-]?(?:payer )?id|itin|"
    r"national insurance|nino|ni|nhs|driver'?s?'? licen[cs]e|driving licen[cs]e|f[ü]hrerschein|"
    r"num[ée]ro de s[ée]curit[ée] sociale|s[ée]curit[ée] sociale|secu|insee|cni|"
    r"my ?number|マイナンバー|個人番号|旅券|免許証|"
    r"dni|nif|cpf|codice fiscale|bsn|personnummer|aadhaar|national[ _-]?id|identity card|id card|"
    r"(?:bank )?account|acct|kontonummer|konto|routing|aba|sort code|blz|medicare|medicaid|"
    r"versichertennummer|sozialversicherungsnummer|rentenversicherungsnummer|svnr|"
    r"patient|mrn|medical record|student id|employee id|personalnummer|(?-i:EIN|TIN|PAN|NIE|NIR))"
)
_ID_LINK = (
    r"(?:[ _-]?(?:number|num|no|nr|nummer|n°|nº|番号|code|id))?\.?\\*[\"']?"
    r"(?:[ \t]*(?:is|ist|est|lautet|:|=|#|は|：)){0,2}[ \t\"'\\#]{0,4}"
)
_MONTH = (
    r"(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|"
    r"juli|"
    r"aug(?:ust)?|sep(?:t(?:ember)?)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
_DATE = (
    rf"(?:[0-9]{{1,2}}[./ -][0-9]{{1,2}}[./ -][0-9]{{2,4}}|[0-9]{{4}}[./-][0-9]{{1,2}}[./-][0-9]"
    rf"{{1,2}}|"
    rf"[0-9]{{1,2}}\.?(?:st|nd|rd|th)?[ ](?:of[ ])?{_MONTH}\.?,?[ ][0-9]{{4}}|{_MONTH}\.?[ ][0-9]"
    rf"{{1,2}}(?:st|nd|rd|th)?,?[ ][0-9]{{4}})"
)

PEOPLE: tuple[Rule, ...] = (
    STAND_IN,
    # What has an @ and is no address: packages with a version, images with a digest, git over SSH.
    Rule("ip", rf"([A-Za-z0-9._-]{{1,64}}@){_OCTET}(?:\.{_OCTET}){{3}}\b", r"\1[ip]"),
    Rule(
        "",
        r"[A-Za-z0-9_.+/-]+@[A-Za-z0-9_.-]+(?:\(|\.(?:service|socket|timer|target|mount|slice|sco"
        r"pe|png|jpe?g|webp|svg|gif|ico|js|tsx?|json|ya?ml|txt|csv|sql|html?|css|conf|cfg|log|tom"
        r"l|xml|pdf|mean|sum|transpose|dot|shape|reshape)\b)",
    ),
    Rule(
        "",
        r"[A-Za-z0-9@._/-]+@(?:v?[0-9]+\.[0-9]|[~^<>=*]|latest\b|next\b|sha256:|sha512:)[A-Za-z0-"
        r"9.^~*:+-]*",
    ),
    Rule("", r"[A-Za-z0-9@._/-]+@[0-9]+(?:[ \t\r\n\"',;)]|$)"),
    Rule("", r"\b(?:git|hg|svn|aur)@[A-Za-z0-9.-]+[:/]"),
    # In a link: its address and the names of its parameters stay.
    Rule(
        "email",
        rf"((?i:https?|ftp|app)://(?:{_LINK}*(?:[/?&=;,:#]|%(?:3[ADFadf]|2[06CFcf])))?)"
        rf"[{_IN_LINK}]{{1,64}}{_AT_IN_LINK}{_DOMAIN}",
        r"\1[email]",
    ),
    Rule(
        "email",
        rf"([?&;][A-Za-z0-9_.-]{{1,64}}=)[{_IN_LINK}]{{1,64}}{_AT_IN_LINK}{_DOMAIN}",
        r"\1[email]",
    ),
    Rule(
        "email",
        rf"(?:mailto:)?(?:\"[^\"\r\n@]{{1,64}}\"|[{_ATEXT}%]{{1,128}}){_AT}"
        rf"{_DOMAIN}",
    ),
    Rule(
        "email",
        rf"(?:\"[^\"\r\n@]{{1,64}}\"|[{_ATEXT}%]{{1,128}})(?:@|%40|＠)\[[0-9A-Fa-f.:IPv]{{7,45}}\]",
    ),
    Rule(
        "email",
        r"(?i)\b[a-z0-9][a-z0-9._+-]{0,63}[ \t]+at[ \t]+[a-z0-9-]{1,63}(?:[ \t]+dot[ \t]+[a-z0-9-"
        r"]{2,63}){1,3}\b",
    ),
    # Home folders: whose they are.
    Rule("", r"(?i)\b[a-z]:(?:\\+|/)users(?:\\+|/)(?:public|default|all users)\b"),
    Rule("", r"/Users/Shared\b"),
    Rule(
        "",
        r"/home/(?:runner|ubuntu|ec2-user|vagrant|node|app|jovyan|user|vscode|circleci|git|www|ww"
        r"w-data|airflow|postgres|linuxbrew)\b",
    ),
    Rule(
        "user",
        r"(?i)(\b[a-z]:(?:\\+|/)(?:users|documents and settings)(?:\\+|/))[^\\/:*?\"<>|\r\n\t\[]{"
        r"1,64}(\\|/)",
        r"\1[user]\2",
    ),
    Rule(
        "user",
        r"(?i)(\b[a-z]:(?:\\+|/)(?:users|documents and settings)(?:\\+|/))[^\\/:*?\"<>|\r\n\t\[ ,"
        r";)']{1,64}",
        r"\1[user]",
    ),
    Rule(
        "user",
        r"((?:^|[ \t\r\n\"'`=(:,;>\[{|~]|file://|/mnt/[a-z]|/private|[+][A-Za-z0-9._-]{1,30}|/Vol"
        r"umes/[A-Za-z0-9 _-]{1,40}|/run/media)"
        r"/(?:home|Users|export/home|var/home)/)[^/\\ \t\r\n\"'`:;,<>|)(\[\]{}*$]{1,64}",
        r"\1[user]",
    ),
    # Addresses of machines. Loopback, masks and "any" are nobody's.
    Rule(
        "",
        r"\b(?:127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}|0\.0\.0\.0|255\.255\.[0-9]{1,3}\.[0-9]{1,3"
        r"})\b",
    ),
    Rule(
        "",
        r"(?i)(?:version|release|\bv|\bver\.?|build|revision|\boid|firmware|section|chapter|claus"
        r"e|appendix|§)[ \t:=(\"']{1,4}v?[0-9]+(?:\.[0-9]+){2,6}\b",
    ),
    Rule("", r"\b[0-9]+(?:\.[0-9]+){4,}\b"),
    Rule(
        "",
        r"\b[0-9]+(?:\.[0-9]+){3}(?:-(?:alpha|beta|rc|dev|pre|snapshot|final|ga|post)|\.0/[0-9]{1"
        r",2}\b|\.[A-Za-z])",
    ),
    Rule("", r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){2}\.0/[0-9]{1,2}\b"),
    Rule("ip", rf"\b{_OCTET}(?:\.{_OCTET}){{3}}\b"),
    Rule("ip", rf"\b{_OCTET}(?:-{_OCTET}){{3}}\b(\.[a-z])", r"[ip]\1"),
    Rule("ip", r"(?i)\b(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b"),
    Rule(
        "ip",
        r"(?i)\b(?:[23][0-9a-f]{3}|f[cd][0-9a-f]{2}|fe80|64)(?::[0-9a-f]{1,4}){0,6}::"
        rf"(?:[0-9a-f]{{1,4}}(?::[0-9a-f]{{1,4}}){{0,5}})?(?::{_OCTET}(?:\.{_OCTET}){{3}})?",
    ),
    Rule("ip", rf"(?i)::ffff:{_OCTET}(?:\.{_OCTET}){{3}}\b"),
    # Numbers that a word before them explains.
    Rule(
        "",
        rf"(?i)\b{_PHONE_WORD}{_PHONE_LINK}(?:(?:19|20)[0-9]{{2}}[-/.][0-9]{{1,2}}[-/.][0-9]{{1,2"
        rf"}}|[0-9]{{1,2}}[./][0-9]{{1,2}}[./](?:19|20)[0-9]{{2}})\b",
    ),
    Rule(
        "phone",
        rf"(?i)(\b{_PHONE_WORD}{_PHONE_LINK}|[電携][話帯](?:電話)?(?:番号)?{_PHONE_LINK})"
        rf"(?:(?:\+|%2B)[ \t]?[0-9]|\(?0|\([1-9]|[2-9]|1{PHONE_GAP}(?:\(?[2-9]))(?:{PHONE_GAP}"
        rf"{{0,3}}[0-9]){{5,13}}\b",
        r"\1[phone]",
    ),
    Rule(
        "id_number",
        rf"(?i)(\b{_ID_WORD}{_ID_LINK}|[マ個旅免][^ \t\r\n0-9A-Za-z]{{1,7}}{_ID_LINK})"
        rf"(?-i:(?:[A-Z]{{0,5}}[ .-]?[0-9](?:[{SPACES}{DASHES}./-]{{0,2}}[A-Z0-9]){{3,24}}|[A-Z"
        rf"]{{2,8}}[0-9]{{2,9}})\b)",
        r"\1[id_number]",
    ),
    Rule(
        "birth_date",
        r"(?i)(\b(?:date[ _]of[ _]birth|birth[ _]?date|birthday|born(?: on)?|d\.?o\.?b\.?|gebore"
        r"n(?: am)?|geburtsdatum|geb\.|"
        r"née?(?: le)?|date de naissance|生年月日)\\*[\"']?(?:[ \t]*(?:is|ist|est|was|:|=|は|：))?[ \t"
        rf"\"'\\]{{0,4}}){_DATE}",
        r"\1[birth_date]",
    ),
    # Postal addresses.
    Rule(
        "address",
        rf"\b[0-9]{{1,5}}[A-Za-z]?(?:-[0-9]{{1,4}})?,?[ ]+(?:[NSEW]{{1,2}}\.?[ ]+)?(?:"
        rf"{_STREET_WORD}[ ]+){{1,4}}"
        r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way|Square|Sq|"
        r"Place|Pl|Terrace|"
        r"Close|Crescent|Cres|Gardens|Parkway|Pkwy|Highway|Hwy|Row|Mews|Grove|Circle|Cir|Trail|Lo"
        r"op|Plaza|Alley|Walk)\b\.?"
        r"(?:[ ](?:NW|NE|SW|SE|N|S|E|W)\b)?(?:,?[ ]+(?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|F"
        r"l|Room|#)\.?[ ]*#?[A-Za-z0-9-]+)?"
        rf"(?:,?[ \n]+{_STREET_WORD}\b(?:[ ]{_STREET_WORD}\b){{0,2}})?(?:,?[ \n]+(?:{_STATES})\b"
        r"\.?)?"
        rf"(?:,?[ \n]+(?:[0-9]{{5}}(?:-[0-9]{{4}})?|{_POSTCODE_UK})\b)?",
    ),
    Rule(
        "address",
        rf"\b{_STREET_WORD}(?:[ ]{_STREET_WORD}){{0,2}},[ ]+(?:{_STATES})[ ]+[0-9]{{5}}(?:-[0-9]"
        rf"{{4}})?\b",
    ),
    Rule("address", rf"\b{_POSTCODE_UK}\b"),
    Rule(
        "address",
        r"(?i)\b(?:p\.?[ ]?o\.?[ ]?box|postfach|boîte postale|b\.?p\.?)[ ]+[0-9][0-9 ]{0,8}[0-9]?"
        r"\b",
    ),
    Rule(
        "address",
        r"[A-ZÄÖÜ][A-Za-zÄÖÜäöüß-]{0,40}(?:[ ][A-ZÄÖÜ]?[a-zäöüß-]{2,20}){0,2}[ -]?"
        r"(?:[Ss]tra(?:ß|ss)e|[Ss]tr\.|allee|gasse|Allee|Gasse)[ ]*[0-9]{1,4}[ ]?[a-zA-Z]?\b(?:-["
        r"0-9]{1,4})?"
        r"(?:,?[ \n]+(?:D-|A-|CH-|DE-)?[0-9]{4,5}[ ]+[A-ZÄÖÜ][A-Za-zäöüß-]+)?",
    ),
    Rule(
        "address",
        r"[A-ZÄÖÜ][A-Za-zäöüß-]{0,40}(?:[ ][A-Za-zäöüß-]{2,20}){0,3}[ ][0-9]{1,4}[ ]?[a-z]?,?[ \n]+"
        r"(?:D-|A-|CH-|DE-)?[0-9]{5}[ ]+[A-ZÄÖÜ][a-zäöüß]{2,}\b",
    ),
    Rule("address", r"\b(?:D|DE|A|CH|F)-[0-9]{4,5}[ ]+[A-ZÄÖÜ][A-Za-zäöüß-]{2,}"),
    Rule(
        "address",
        r"(?i)\b[0-9]{1,4}(?:[ ]?(?:bis|ter|quater))?,?[ ]+(?:(?:rue|boulevard|bd|impasse|chemin|"
        r"quai|allée|faubourg)[ ]+[^ ,\r\n]{1,30}|"
        r"(?:place|avenue|av\.|route|cours|square)[ ]+(?:(?:de|du|des|la|le|les)[ ]|d['’]|l['’]|("
        r"?-i:[A-ZÀ-Þ]))[^ ,\r\n]{1,30})"
        r"(?:[ ](?:de|du|des|la|le|les|et|en|sur|(?-i:[A-ZÀ-Þ])[^ ,\r\n]{0,30})){0,6}"
        r"(?:,?[ \n]+(?:F-)?[0-9]{5}[ ]+[a-zÀ-ɏ-]+)?",
    ),
    Rule(
        "address",
        rf"(?:〒[ ]?[{_DIGITS_JP}]{{3}}[-‐−－][{_DIGITS_JP}]{{4}}[ 　]*)?(?:東京都|北海道|(?:京都|大阪)府|[一-鿿]"
        rf"{{2,3}}県)"
        rf"[^ \t\r\n、。,{_DIGITS_JP}]{{1,30}}[{_DIGITS_JP}]{{1,4}}(?:(?:[-‐−－の]|丁目|番地?|号)["
        rf"{_DIGITS_JP}]{{0,4}}){{0,5}}",
    ),
    Rule("address", rf"〒[ ]?[{_DIGITS_JP}]{{3}}[-‐−－]?[{_DIGITS_JP}]{{4}}"),
    Rule(
        "address",
        r"\b[0-9]{1,4}-[0-9]{1,3}(?:-[0-9]{1,3})?,?[ ]+[A-Z][a-z]+(?:-[a-z]+)?(?:,?[ ]+[A-Z][a-z]"
        r"+(?:-[a-z]+)?){0,4},?[ ]+[0-9]{3}-[0-9]{4}\b",
    ),
    Rule(
        "address",
        r"\b[0-9]{1,4}-[0-9]{1,3}(?:-[0-9]{1,3})?,?[ ]+[A-Z][a-z]+(?:-[a-z]+)?,[ ]+[A-Z][a-z]+-(?"
        r":ku|shi|cho|machi|gun)\b(?:,[ ]+[A-Z][a-z]+){0,2}",
    ),
)


# numbers.py
"""Personal data: numbers."""



from collections.abc import Sequence





_IBAN_LENGTHS: Sequence[tuple[int, str]] = (
    (15, "NO"),
    (16, "BE"),
    (18, "DK|FI|FO|GL|NL|SD|FK"),
    (19, "MK|SI"),
    (20, "AT|BA|EE|KZ|LT|LU|XK|MN"),
    (21, "CH|HR|LI|LV"),
    (22, "BG|BH|CR|DE|GB|GE|IE|ME|RS|VA"),
    (23, "AE|GI|IL|IQ|TL|OM|SO"),
    (24, "AD|CZ|ES|MD|PK|RO|SA|SE|SK|TN|VG"),
    (25, "LY|PT|ST"),
    (26, "IS|TR"),
    (27, "BI|DJ|FR|GR|IT|MC|MR|SM"),
    (28, "AL|AZ|BY|CY|DO|GT|HU|LB|NI|PL|SV"),
    (29, "BR|EG|PS|QA|UA"),
    (30, "JO|KW|MU|YE"),
    (31, "MT|SC"),
    (32, "LC"),
    (33, "RU"),
)
_IBAN = "|".join(
    rf"(?:{countries})[0-9]{{2}}(?:{SEP}?[A-Za-z0-9]){{{length - 4}}}"
    for length, countries in _IBAN_LENGTHS
)
_YEAR = "(?:19|20)[0-9]{2}"
_EDGE = "(^|[^0-9A-Za-z_.,:/+-])"
NUMBERS: tuple[Rule, ...] = (
    STAND_IN,
    Rule("", UUID),
    Rule("", r"(?i)\bhttps?://[^ \t\r\n\"'<>]+"),
    Rule(
        "",
        rf"[^0-9A-Za-z]?\b{_YEAR}[-/.][0-9]{{1,2}}[-/.][0-9]{{1,2}}(?:[T _-][0-9]{{2}}[:.-]?[0-9]"
        rf"{{2}}(?:[:.-]?[0-9]{{2}})?(?:[.,][0-9]+)?(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?)?",
    ),
    Rule("", rf"[^0-9A-Za-z]?\b[0-3]?[0-9][ ./-][0-3]?[0-9][ ./-]{_YEAR}\b"),
    Rule("", rf"[^0-9A-Za-z]?\b{_YEAR}[0-9]{{4}}(?:[-_T]?[0-9]{{4,6}})?Z?\b"),
    Rule("", rf"\b{_YEAR}[ ]?(?:[-/]|–|—)[ ]?{_YEAR}\b"),
    Rule("", r"(?i)\b(?:isbn|issn|ean|doi|pmid|orcid)(?:-1[03])?:?[ ]*[0-9][0-9 -]{6,18}[0-9xX]\b"),
    Rule("", r"\b97[89][- ]?[0-9](?:[- ]?[0-9]){8}[- ]?[0-9X]\b"),
    Rule("", r"\b[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?\b"),
    Rule(
        "",
        r"(?i)\b(?:sn|s/n|serial|part|p/n|pn|sku|model|item|order|ref|rev|art(?:ikel)?|ticket|inv"
        r"oice|rechnung|tracking|batch|lot|build)(?:[ -]?(?:no|nr|number|num|nummer|id))?[.:# ]{1"
        r",3}[0-9][0-9A-Z-]*",
    ),
    Rule("iban", rf"(?i)\b(?:{_IBAN})\b", check="iban"),
    Rule(
        "ssn",
        rf"\b(?:00[1-9]|0[1-9][0-9]|[1-578][0-9]{{2}}|6(?:[0-57-9][0-9]|6[0-57-9]))[{SPACES}"
        rf"{DASHES}.-](?:0[1-9]|[1-9][0-9])"
        rf"[{SPACES}{DASHES}.-](?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{{2}}|[1-9][0-9]{{3}})\b",
    ),
    Rule("ssn", r"\b9[0-9]{2}-(?:5[0-9]|6[0-5]|7[0-9]|8[0-8]|9[0-24-9])-[0-9]{4}\b"),
    Rule(
        "id_number",
        r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[A-D]\b",
    ),
    Rule(
        "id_number",
        r"\b[12][ ]?[0-9]{2}[ ]?(?:0[1-9]|1[0-2]|[2-9][0-9])[ ]?(?:[0-9]{2}|2[AB])[ ]?[0-9]{3}[ ]"
        r"?[0-9]{3}[ ]?[0-9]{2}\b",
        check="nir",
    ),
    Rule("id_number", r"\b[1-9][0-9][ ][0-9]{3}[ ][0-9]{3}[ ][0-9]{3}\b", check="mod11_10"),
    Rule("id_number", r"\b[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}\b"),
    Rule("id_number", r"\b756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}\b"),
    Rule("id_number", r"(?i)\b[A-Z]{6}[0-9]{2}[A-EHLMPRST][0-9]{2}[A-Z][0-9]{3}[A-Z]\b"),
    Rule("id_number", r"\b[0-9]{8}-?[A-HJ-NP-TV-Z]\b", check="dni"),
    # Phones: international, then North American, then national ones that begin with 0.
    Rule(
        "phone",
        rf"(^|[^0-9A-Za-z_)+.])(?:\+|＋|%2[Bb])[ ]?(?:[1-9][0-9]{{8,14}}|[1-9][0-9]{{0,3}}(?:"
        rf"{PHONE_GAP}{{1,3}}[0-9]{{1,12}}){{1,7}})\b",
        r"\1[phone]",
        check="phone",
    ),
    Rule(
        "phone",
        rf"{_EDGE}(?:00[2-9][0-9]{{9,12}}|001[2-9][0-9]{{9}}|00[1-9][0-9]{{0,2}}(?:{PHONE_GAP}{{"
        rf"1,3}}[0-9]{{1,12}}){{1,7}})\b",
        r"\1[phone]",
        check="phone",
    ),
    Rule(
        "phone",
        rf"(?:\b1[{SPACES}{DASHES}.-]{{1,2}})?(?:\([2-9][0-9]{{2}}\)[{SPACES}{DASHES}.-]{{0,2"
        rf"}}|\b[2-9][0-9]{{2}}[{SPACES}{DASHES}./-])"
        rf"[2-9][0-9]{{2}}[{SPACES}{DASHES}.-][0-9]{{4}}\b(?:[ ]?(?:x|ext\.?|extension)[ ]?[0-9"
        rf"]{{1,5}}\b)?",
    ),
    Rule(
        "phone",
        rf"(^|[^0-9A-Za-z_.,:/+-])(?:\(0[1-9][0-9]{{0,4}}\){PHONE_GAP}{{0,3}}[0-9]{{1,8}}|0[1-9]"
        rf"[0-9]{{0,4}}{PHONE_GAP}{{1,3}}[0-9]{{1,8}})"
        rf"(?:{PHONE_GAP}{{1,3}}[0-9]{{1,8}}){{0,4}}\b",
        r"\1[phone]",
        check="national",
    ),
    Rule("phone", rf"{_EDGE}0[1-9][0-9]{{8,9}}\b", r"\1[phone]"),
    Rule("phone", r"０[０-９]{1,4}[-‐−ー－][０-９]{1,4}[-‐−ー－][０-９]{3,4}"),
    # Words with digits in them: names of things, versions, hashes, tags.
    Rule("", r"\b[A-Za-z_][A-Za-z0-9_]*(?:[-._][A-Za-z0-9_]+)+"),
    Rule("", r"\b[0-9]+[A-Za-z_][A-Za-z0-9_]*(?:[-._][A-Za-z0-9_]+)*"),
)


# passes.py
"""The list: which rules are tried, in which order."""











__all__ = ["CARDS", "CREDENTIALS", "CREDENTIAL_PASSES", "NUMBERS", "PASSES", "PEOPLE"]

CREDENTIALS: tuple[Rule, ...] = (*CARRIED, *COMMANDS, *NAMED)
CREDENTIAL_PASSES: tuple[tuple[Rule, ...], ...] = (CREDENTIALS, CARDS)
"""What is taken out where a record is born."""
PASSES: tuple[tuple[Rule, ...], ...] = (*CREDENTIAL_PASSES, PEOPLE, NUMBERS)
"""What is taken out where others look on."""


# text.py
"""Text: the passes of the list over it."""



import re
from collections.abc import Sequence
from functools import cache
from typing import Final







@cache
def _signed(rules: tuple[Rule, ...], signs: int) -> tuple[Rule, ...]:
    """Those that may match a text with these signs."""
    return tuple(rule for rule in rules if not rule.needs or rule.needs & signs)


def _is_hinted(rule: Rule, lower: str) -> bool:
    for hint in rule.hints:
        if hint in lower:
            return True
    return not rule.hints


def _run(rules: tuple[Rule, ...], text: str, lower: str, signs: int) -> str:
    """One pass over the text."""
    active = [
        (rule, compiled(rule.pattern)) for rule in _signed(rules, signs) if _is_hinted(rule, lower)
    ]
    if not any(rule.label for rule, _ in active):
        return text
    nexts = [pattern.search(text) for _, pattern in active]
    parts: list[str] = []
    place = 0
    while True:
        first: re.Match[str] | None = None
        for index, (_, pattern) in enumerate(active):
            found = nexts[index]
            if found is not None and found.start() < place:
                found = nexts[index] = pattern.search(text, place)
            if found is not None and (first is None or found.start() < first.start()):
                first = found
        if first is None:
            break
        end = first.end()
        parts += (text[place : first.start()], _become(active, first.group()))
        if end == first.start():  # no pattern matches nothing, but a loop must end
            parts.append(text[end : end + 1])
            end += 1
        place = end
    parts.append(text[place:])
    return "".join(parts)


def _become(active: Sequence[tuple[Rule, re.Pattern[str]]], match: str) -> str:
    for rule, pattern in active:
        whole = pattern.fullmatch(match)
        if whole is not None and (not rule.check or CHECKS[rule.check](match)):
            if not rule.label:
                return match
            return whole.expand(rule.becomes) if rule.becomes else f"[{rule.label}]"
    return match


_SHORT: Final = 80
_MOST_KNOWN: Final = 4_096
_harmless: dict[tuple[str, bool], None] = {}
"""Short texts in which nothing was found: names of models, tools and projects come again and again.
No credential is ever kept here.
"""


def redact_text(text: str, *, personal: bool = False) -> str:
    """The text with credentials, and where `personal` personal data, replaced by what they were.

    Letters that only look like those of a name are read as what they are meant for. They stay where
    nothing is found behind them, but not in what others look at.
    """
    if not text.isascii() and (plain := as_meant(text)) is not text:
        if personal:
            text = plain
        elif (found := _redact(plain, False)) != plain:
            return found
    return _redact(text, personal)


def _redact(text: str, personal: bool) -> str:
    if len(text) > _SHORT:
        return _passed(text, personal)
    if (text, personal) in _harmless:
        return text
    redacted = _passed(text, personal)
    if redacted == text:
        if len(_harmless) >= _MOST_KNOWN:
            _harmless.clear()
        _harmless[text, personal] = None
        return text
    return redacted


def _passed(text: str, personal: bool) -> str:
    lower = text.lower()
    signs = signs_of(lower, text.encode("utf-8", "surrogatepass"))
    if not signs and not personal:
        return text
    # The list is read when a text first needs it: a server that starts has none yet.


    if signs:
        text = _run(CREDENTIALS, text, lower, signs)
        if signs & CARD:
            text = _run(CARDS, text, text.lower(), 0)
    if personal:
        for rules in (PEOPLE, NUMBERS):
            text = _run(rules, text, text.lower(), 0)
    return text


# document.py
"""Documents as JSON has them: texts, names of keys, numbers, keys that are data themselves."""



import json
import re
from functools import lru_cache
from typing import Any







_OF = (
    r"(?P<of>(?:param(?:eter)?|option|field|header|prop(?:erty)?|attr(?:ibute)?|env(?:ironment)?|"
    r"var(?:iable)?|setting|config|input|item|entry|metadata|tag|secret|credential|form)[_-]?)?"
)
_NAMING = re.compile(
    _OF + r"(?:name|key|header|field|label|param|parameter|property|k|n|id|(?P<type>type))\Z"
)
_VALUED = re.compile(
    r"(?P<of>[a-z]{2,20}[_-]?)??(?:value|val|v|values|content|data|default|text)\Z"
)
_ANY_VALUE = (
    "default",
    "string",
    "secret",
    "current",
    "new",
    "raw",
    "plain",
    "initial",
    "resolved",
)
"""What a value may be called beside what its name is: `stringValue`."""
_NO_NAME_AS_TYPE = ("secret:token", "secret:key", "secret:security_code", "secret:secret", "name")
"""Labels that are words for kinds of things as well: `{"type": "token", "value": "if"}`."""
_STANDS_IN = re.compile(r"\[[a-z_:0-9 ]+\]\Z")
_MAX_EMBEDDED = 65_536
_OUR_ID = re.compile(
    r"(?!.*(?:[0-9]-?){13})"
    r"(?:[0-9a-f]{16}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\Z"
)
"""A UUID or a query's hash, with too few digits in a row for a card: by itself no credential."""
_PLAIN_KEY = re.compile(r"(?=.{1,32}\Z)[a-z]{1,12}(?:_[a-z]{1,12})*\Z")
"""Words: no pattern of the list takes them for a token, and the list need not be read for them."""
_LEAST_CARD = 1e12
_NOTHING, _SECRET, _NAMES_ANOTHER = 0, 1, 2


def redact_value(value: Any, *, personal: bool = False) -> Any:
    """A document as JSON has it, redacted at any depth: texts, numbers that are cards, what a key's
    name gives away, keys themselves, and JSON inside a text. Where nothing is found the same object
    comes back.
    """
    if isinstance(value, str):
        return _redact_leaf(value, personal)
    if isinstance(value, dict):
        return _redact_object(value, personal)
    if isinstance(value, list | tuple):
        return _redact_array(value, personal)
    if isinstance(value, int | float) and not isinstance(value, bool) and _is_card_number(value):
        return "[card]"
    return value


def _is_card_number(value: int | float) -> bool:
    if not _LEAST_CARD <= value < 1e19 or value != int(value):
        return False
    return is_card(str(int(value)))


def _redact_leaf(text: str, personal: bool) -> str:
    if len(text) <= _MAX_EMBEDDED and text[:1] in "{[ \n\r\t" and text.strip()[-1:] in ("}", "]"):
        try:
            document = json.loads(text)
            if isinstance(document, dict | list):
                redacted = redact_value(document, personal=personal)
                if redacted is document:
                    return text
                compact = '": ' not in text and ", " not in text
                return json.dumps(
                    redacted, ensure_ascii=False, separators=(",", ":") if compact else None
                )
        except (ValueError, RecursionError):
            pass  # no JSON after all, or none that a reader would follow: it is text
    return redact_text(text, personal=personal)


def _redact_object(document: dict[Any, Any], personal: bool) -> dict[Any, Any]:
    named, of = "", ""
    for key, told in document.items():
        if not (isinstance(key, str) and isinstance(told, str)):
            continue
        if (naming := _NAMING.match(key.lower())) and (
            named := _told(naming, key_label(told, personal=personal))
        ):
            of = naming["of"] or ""
            break
    changed = False
    result: dict[Any, Any] = {}
    for key, item in document.items():
        label = key_label(key, personal=personal) if isinstance(key, str) else ""
        if not label and named and isinstance(key, str) and _is_value_of(key.lower(), of):
            label = named
        new = _stand_in(item, label) if label else item
        if new is item:
            new = redact_value(item, personal=personal)
        new_key = (
            redact_text(key, personal=personal) if isinstance(key, str) and len(key) > 5 else key
        )
        if new_key != key:
            new_key = _free(new_key, result, document)
        changed = changed or new is not item or new_key != key
        result[new_key] = new
    return result if changed else document


def _told(naming: re.Match[str], label: str) -> str:
    """The label that a pair's name gives to its value."""
    return "" if naming["type"] and label in _NO_NAME_AS_TYPE else label


def _is_value_of(key: str, of: str) -> bool:
    """Whether a key is the value beside a name: `parameterValue` beside `parameterKey`."""
    found = _VALUED.match(key)
    return found is not None and (
        not found["of"] or found["of"].rstrip("_-") in (of.rstrip("_-"), *_ANY_VALUE)
    )


def _free(key: str, *taken: dict[Any, Any]) -> str:
    """The key, numbered where it is taken: two addresses as keys are two values still."""
    number, free = 2, key
    while any(free in names for names in taken):
        free = f"{key} {number}"
        number += 1
    return free


def _redact_array(items: list[Any] | tuple[Any, ...], personal: bool) -> Any:
    if (
        len(items) == 2
        and isinstance(items[0], str)
        and (label := key_label(items[0], personal=personal))
    ):
        second = _stand_in(items[1], label)
        if second is not items[1]:
            return [items[0], second]
    result = [redact_value(item, personal=personal) for item in items]
    if all(new is old for new, old in zip(result, items, strict=True)):
        return items
    return result


def _stand_in(value: Any, label: str) -> Any:
    """`[label]` in place of a value that says something. Null, true and false, and what stands in
    already stay.
    """
    if value is None or isinstance(value, bool) or value in ("", [], {}):
        return value
    if isinstance(value, str) and _STANDS_IN.match(value):
        return value
    if isinstance(value, int | float) and label in (
        "name",
        "address",
        "secret:token",
        "secret:secret",
    ):
        return value  # a count or a length, as in {"token": 12}
    return f"[{label}]"


def redact_fields(value: Any) -> Any:
    """`redact_value(value)` without personal data, for where somebody waits: most values hold no
    credential, and a look at their keys, and at their texts all at once, shows it.
    """
    texts: list[str] = []
    if not _collect(value, texts):
        if not texts:
            return value
        text = as_meant(" ".join(texts))
        if "\\" not in text and not signs_of(text.lower(), text.encode("utf-8", "surrogatepass")):
            return value
    return redact_value(value)


@lru_cache(maxsize=4096)
def _key_shows(key: str) -> int:
    """What is to be done about a key: nothing as a rule."""
    if key_label(key):
        return _SECRET
    if _NAMING.match(key.lower()):
        return _NAMES_ANOTHER
    if _PLAIN_KEY.match(key):
        return _NOTHING
    return _SECRET if redact_text(key) != key else _NOTHING


def _collect(value: Any, texts: list[str]) -> bool:
    """Gather the texts of a document that may say something. True as soon as a key or a number
    gives a credential away.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            shows = _key_shows(key)
            if shows == _SECRET or (shows and isinstance(item, str) and key_label(item)):
                return True
            if isinstance(item, str):
                if len(item) not in (16, 36) or not _OUR_ID.match(item):
                    texts.append(item)
            elif isinstance(item, int | float):
                if item >= _LEAST_CARD and _is_card_number(item):
                    return True
            elif item is not None and _collect(item, texts):
                return True
    elif isinstance(value, str):
        texts.append(value)
    elif isinstance(value, list | tuple):
        if len(value) == 2 and isinstance(value[0], str) and key_label(value[0]):
            return True
        for item in value:
            if _collect(item, texts):
                return True
    elif isinstance(value, int | float) and value >= _LEAST_CARD:
        return _is_card_number(value)
    return False
{%- endraw %}
{%- endmacro %}
