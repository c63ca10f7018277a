"""Examples and counter-examples for redaction, by kind.

Credentials are put together at run time, so that no scanner of repositories takes them for real.
Each example names the part that must not survive.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Example(NamedTuple):
    """A text, and what of it must be gone (nothing for a counter-example)."""

    kind: str
    text: str
    secret: str = ""


_CUT = "\u02d0"
_ALNUM = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"
_UPPER = string.ascii_uppercase + string.digits
_B64 = _ALNUM + "+/"
_URL = _ALNUM + "-_"


def _made(rng: random.Random, *parts: str | tuple[str, int]) -> str:
    """A token of fixed parts and of (alphabet, length)."""
    return "".join(
        part if isinstance(part, str) else "".join(rng.choices(part[0], k=part[1]))
        for part in parts
    )


_TOKENS: dict[str, tuple[tuple[str | tuple[str, int], ...], ...]] = {
    "github": (
        *((f"gh{letter}" + "_", (_ALNUM, 36)) for letter in "pousr"),
        ("github" + "_pat_", (_ALNUM, 22), "_", (_ALNUM, 59)),
    ),
    "gitlab": (
        ("gl" + "pat-", (_URL, 20)),
        ("gl" + "ptt-", (_HEX, 40)),
        ("gl" + "rt-", (_URL, 20)),
    ),
    "aws": (
        ("AK" + "IA", (string.ascii_uppercase, 16)),
        ("AS" + "IA", (_UPPER, 16)),
        ("aB3", (_B64, 36), "z"),
    ),
    "anthropic": (
        ("sk-" + "ant-api03-", (_URL, 93), "AA"),
        ("sk-" + "ant-admin01-", (_URL, 93), "AA"),
    ),
    "openai": (
        ("sk-" + "proj-", (_URL, 74)),
        ("sk-", (_ALNUM, 48)),
        ("sk-" + "svcacct-", (_URL, 60)),
    ),
    "stripe": (
        ("sk" + "_live_", (_ALNUM, 24)),
        ("rk" + "_test_", (_ALNUM, 24)),
        ("pk" + "_live_", (_ALNUM, 24)),
        ("wh" + "sec_", (_ALNUM, 32)),
    ),
    "slack": (
        ("xo" + "xb-", (string.digits, 12), "-", (string.digits, 12), "-", (_ALNUM, 24)),
        (
            "xo" + "xp-",
            (string.digits, 11),
            "-",
            (string.digits, 11),
            "-",
            (string.digits, 12),
            "-",
            (_HEX, 32),
        ),
        ("xa" + "pp-1-A", (_UPPER, 10), "-", (string.digits, 13), "-", (_HEX, 64)),
    ),
    "google": (
        ("AI" + "za", (_URL, 35)),
        ("ya" + "29.", (_URL, 60)),
        ("GOC" + "SPX-", (_URL, 28)),
        ("1/" + "/0", (_URL, 40)),
    ),
    "vault": (("hv" + "s.", (_URL, 95)), ("hv" + "b.", (_URL, 140))),
    "sendgrid": (("SG" + ".", (_URL, 22), ".", (_URL, 43)),),
    "mail services": (
        ("ke" + "y-", (_HEX, 32)),
        ("f", (_HEX, 31), "-us" + "12"),
        ("xk" + "eysib-", (_HEX, 64), "-", (_ALNUM, 16)),
    ),
    "twilio": (("S" + "K", (_HEX, 32)), ("A" + "C", (_HEX, 32))),
    "registries": (
        ("np" + "m_", (_ALNUM, 36)),
        ("py" + "pi-AgEIcHlwaS5vcmc", (_URL, 60)),
        ("ru" + "bygems_", (_HEX, 48)),
        ("dc" + "kr_pat_", (_URL, 27)),
    ),
    "models": (
        ("h" + "f_", (string.ascii_letters, 34)),
        ("gs" + "k_", (_ALNUM, 52)),
        ("r" + "8_", (_ALNUM, 37)),
        ("pp" + "lx-", (_ALNUM, 48)),
        ("xa" + "i-", (_ALNUM, 80)),
    ),
    "clouds": (
        ("do" + "p_v1_", (_HEX, 64)),
        ("da" + "pi", (_HEX, 32)),
        ("LT" + "AI", (_ALNUM, 20)),
        ("ab", (_ALNUM, 1), "8Q~", (_URL, 34)),
        ("HR" + "KU-AA", (_URL, 58)),
        ("fo" + "1_", (_URL, 43)),
        ("ts" + "key-auth-", (_ALNUM, 12), "-", (_ALNUM, 20)),
    ),
    "services": (
        ("sh" + "pat_", (_HEX, 32)),
        ("li" + "n_api_", (_ALNUM, 40)),
        ("nt" + "n_", (string.digits, 11), (_ALNUM, 35)),
        ("fi" + "gd_", (_URL, 40)),
        ("sn" + "tryu_", (_HEX, 64)),
        ("NR" + "AK-", (_UPPER, 27)),
        ("PM" + "AK-", (_HEX, 24), "-", (_HEX, 34)),
        ("AT" + "ATT3", (_URL, 120)),
        ("pa" + "t", (_ALNUM, 14), ".", (_HEX, 64)),
        ("sq" + "0atp-", (_URL, 22)),
        (
            "pa" + "t-na1-",
            (_HEX, 8),
            "-",
            (_HEX, 4),
            "-",
            (_HEX, 4),
            "-",
            (_HEX, 4),
            "-",
            (_HEX, 12),
        ),
        ("gl" + "sa_", (_ALNUM, 32), "_", (_HEX, 8)),
        ("1234567890:AA", (_URL, 33)),
        ("MT", (_ALNUM, 22), ".", (_URL, 6), ".", (_URL, 38)),
    ),
    "json web tokens": (
        ("ey" + "J", (_URL, 33), ".ey" + "J", (_URL, 60), ".", (_URL, 43)),
        ("ey" + "J", (_URL, 20), ".ey" + "J", (_URL, 30), "."),
    ),
}
_AROUND = (
    "{}",
    "use {} for the deploy",
    "it says: {}, and then stops.",
    'curl -H "X: {}" https://api.example.com',
    "export THING={}",
    "({})",
    "see https://example.com/?x={}&y=1",
    "`{}`",
)


def _tokens(rng: random.Random) -> Iterator[Example]:
    for kind, shapes in _TOKENS.items():
        for shape in shapes:
            for around in rng.sample(_AROUND, 2):
                token = _made(rng, *shape)
                yield Example(kind, around.format(token), token.rstrip("."))


def _pem(kind: str, rng: random.Random, break_: str = "\n") -> str:
    body = break_.join(_made(rng, (_B64, 64)) for _ in range(4))
    return (
        f"-----BEGIN {kind}PRIVATE "
        + f"KEY-----{break_}{body}==\n-----END {kind}PRIVATE "
        + "KEY-----"
    )


def _written(rng: random.Random) -> Iterator[Example]:
    """Credentials that a name, a scheme or a URL gives away."""
    p = _made(rng, "Tr0ub4dor", "&", (_ALNUM, 4))
    t = _made(rng, (_ALNUM, 32))
    h, k = _made(rng, (_HEX, 64)), _made(rng, (_B64, 86))
    words = "correct horse battery staple"
    for text, secret in (
        (f"password={p}", p),
        (f"password: {p}", p),
        (f"Password : {p}", p),
        (f'"password": "{p}"', p),
        (f"'passwd': '{p}'", p),
        (f"pwd={p};", p),
        (f"PGPASSWORD={p} psql -h db", p),
        (f"DB_PASSWORD='{p}'", p),
        (f"export MYSQL_PWD={p}", p),
        (f"spring.datasource.password={p}", p),
        (f"my password is {p}", p),
        (f"the wifi password is \"{words}\"", words),
        (f"Passwort: {p}", p),
        (f"Kennwort lautet {p}", p),
        (f"mot de passe : {p}", p),
        (f"contraseña: {p}", p),
        (f"パスワード：{p}", p),
        (f'passphrase="{words}"', words),
        (f"{{'passphrase': '{words}'}}", words),
        (f"<password>{p}</password>", p),
        (f'{{\\"password\\": \\"{p}\\"}}', p),
        (f"userPassword={p}", p),
        (f"login failed for sa, Password={p};Database=x", p),
        (f"Server=tcp:x.database.windows.net;User ID=sa;Password={p};Encrypt=True", p),
        (f"postgres://app:{p.replace('&', '')}@db.example.com/app", p.replace("&", "")),
        (f"mongodb+srv://root:{t}@cluster0.example.net/?w=1", t),
        (f"redis://:{t}@cache:6379/0", t),
        (f"amqps://u:{t}@mq", t),
        (f"https://ada:{t}@git.example.com/x.git", t),
        (f"https://{t}@github.com/x/y.git", t),
        (f"snowflake://ada:{t}@acct/db?warehouse=w", t),
        (f"Authorization: Bearer {t}", t),
        (f"authorization: token {t}", t),
        (f"'Authorization': 'Basic {t}=='", t),
        (f"curl -H 'Authorization: Bearer {t}' https://x.example", t),
        (f'curl -H "X-Api-Key: {t}" https://x.example', t),
        (f"X-Auth-Token: {t}", t),
        (f"PRIVATE-TOKEN: {t}", t),
        (f"it sent Bearer {t} in the header", t),
        (f"Basic {t[:22]}==", t[:22]),
        (f"Cookie: session={t}; theme=dark", t),
        (f"Set-Cookie: sid={t}; HttpOnly", t),
        (f"curl -u ada:{p} https://x.example", p),
        (f"mysql -u root -p{t} shop", t),
        (f"sshpass -p {t} ssh host", t),
        (f"deploy --token {t} --env prod", t),
        (f"tool --api-key={t}", t),
        (f"psql --password {t}", t),
        (f"api_key={t}", t),
        (f"apiKey: '{t}'", t),
        (f"API-KEY: {t}", t),
        (f"api key: {t}", t),
        (f"client_secret={t}", t),
        (f"clientSecret: \"{t}\"", t),
        (f"SECRET_KEY = '{t}'", t),
        (f"aws_secret_access_key = {k[:40]}", k[:40]),
        (f"AWS_SESSION_TOKEN={t}", t),
        (f"access_token={t}&token_type=bearer", t),
        (f"refresh_token: {t}", t),
        (f"https://x.example/cb#access_token={t}&state=1", t),
        (f"https://x.example/f?sig={t}%3D&se=2026", t),
        (f"https://s3.example.com/k?X-Amz-Signature={h}", h),
        (f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={k}==;", k),
        (f"Endpoint=sb://x/;SharedAccessKeyName=k;SharedAccessKey={k[:43]}=", k[:43]),
        (f"encryption_key: {t}", t),
        (f"private_key='{t}'", t),
        (f"signing-key={t}", t),
        (f"JWT={t}", t),
        ("otp: 482911", "482911"),
        ("PIN: 4821", "4821"),
        ("the verification code is 482911", "482911"),
        ("cvv=123", "=123"),
        ("CVC: 987", "987"),
        (f"seed phrase: \"{words} lamp\"", words),
        (f"recovery code: {t}", t),
        (f'{{"name": "X-Api-Key", "value": "{t}"}}', t),
        (f'{{"key": "Authorization", "value": "Token {t}"}}', t),
        (_pem("RSA ", rng), "RSA"),
        (_pem("", rng), "KEY"),
        (_pem("EC ", rng).partition("-----END")[0], "EC"),
        (_pem("OPENSSH ", rng), "OPENSSH"),
        (_pem("", rng, "\\n"), "KEY"),
        ("https://hooks." + f"slack.com/services/T00000000/B00000000/{t}", t),
        ("https://dis" + f"cord.com/api/webhooks/123456789012345678/{t}", t),
        (f"https://acme.webhook.office.com/webhookb2/{t}/IncomingWebhook/{t}", t),
        ("https://hooks." + f"zapier.com/hooks/catch/123456/{t}", t),
    ):  # fmt: skip
        if secret in ("RSA", "KEY", "EC", "OPENSSH"):
            secret = text.splitlines()[1] if "\n" in text else text
        yield Example("written credentials", text, secret)


_EMAILS = (
    "ada@example.com", "ada.lovelace+news@mail.example.co.uk", "a_b-c%d@example.org",
    "ada%40example.com",
    "ada@müller.de", "jörg@example.de", "用户@例え.jp", "ada@xn--mller-kva.de", "почта@пример.рф",
    "o'brien@example.ie", "ADA@EXAMPLE.COM", "ada@[192.0.2.7]", "ada [at] example [dot] com",
    "ada (at) example.com", "ada at example dot com", "x@y.io", '"ada lovelace"@example.com',
    "ada＠example.com", "163user@163.com", "mailto:ada@example.com",
    "first.last@sub.domain.example.museum",
    "ada&#64;example.com", "1234567@qq.com", "ada+tag%40example.co.jp",
)  # fmt: skip
_EMAIL_AROUND = (
    "{}", "write to {} today", "Ada Lovelace <{}>", "user={}&x=1", '{{"to": "{}"}}', "({})",
    "from:{},",
)  # fmt: skip
_PHONES = (
    "+49 170 1234567", "+49 (0)30 123456-0", "+49-89-12345678", "0049 30 1234567",
    "+4915112345678", "030 1234567",
    "0171/1234567", "(0221) 12 34 56 78", "089-1234567-0", "01701234567", "0151 234 567 89",
    "040.12345678",
    "+33 6 12 34 56 78", "+33(0)612345678", "06 12 34 56 78", "06.12.34.56.78", "01-23-45-67-89",
    "0612345678",
    "0033 6 12 34 56 78", "+44 20 7946 0958", "+44 (0)20 7946 0958", "020 7946 0958",
    "07700 900123", "(0161) 496 0000",
    "01632 960961", "07700900123", "+81 3-1234-5678", "03-1234-5678", "090-1234-5678",
    "0120-123-456", "+81-90-1234-5678",
    "０９０－１２３４－５６７８", "(03) 1234-5678", "+1 212 555 0123", "+12125550123", "(212) 555-0123",
    "212-555-0123", "212.555.0123",
    "1-800-555-0199", "+1 (212) 555-0123 x45", "%2B49 170 1234567", "%2B491701234567",
    "+41 44 668 18 00",
    "+43 1 5880440", "+31 20 123 4567", "+91 98765 43210", "+86 138 0013 8000",
    "+55 11 91234-5678", "+61 2 9374 4000",
    "+34 912 345 678", "+39 06 1234 5678", "+420 123 456 789", "+48 22 123 45 67",
    "030\u00a01234567", "+49\u00a0170\u00a01234567",
    "212\u2011555\u20110123", "06\u202f12\u202f34\u202f56\u202f78",
)  # fmt: skip
_PHONE_AROUND = (
    "{}",
    "call {} tomorrow",
    "Tel.: {}",
    "my number: {}.",
    "reach me at {} or by mail",
    '"{}"',
)
_CARDS = (
    "4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "4111.1111.1111.1111",
    "4111/1111/1111/1111",
    "4111\u00a01111\u00a01111\u00a01111", "5500 0055 5555 5559", "5555555555554444",
    "2223003122003222", "378282246310005",
    "3782 822463 10005", "3714-496353-98431", "6011111111111117", "6011 0009 9013 9424",
    "3530111333300000", "30569309025904",
    "3852 000002 3237", "4012888888881881", "4222222222222", "6759649826438453",
    "6200000000000005", "4111\u20111111\u20111111\u20111111",
    "4111 - 1111 - 1111 - 1111", "4111_1111_1111_1111", "4111\u202f1111\u202f1111\u202f1111",
)  # fmt: skip
_CARD_AROUND = ("{}", "card {} exp 12/27", "paid with {}, thanks", "pan={}")
_IDS = (
    ("ssn", "123-45-6789"), ("ssn", "123 45 6789"), ("ssn", "123.45.6789"),
    ("ssn", "078-05-1120"), ("ssn", "912-71-1234"),
    ("ssn", "123\u201145\u20116789"), ("iban", "DE89370400440532013000"),
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB29 NWBK 6016 1331 9268 19"), ("iban", "FR14 2004 1010 0505 0001 3M02 606"),
    ("iban", "GB82-WEST-1234-5698-7654-32"),
    ("iban", "NL91ABNA0417164300"), ("iban", "de89 3704 0044 0532 0130 00"),
    ("iban", "CH93 0076 2011 6238 5295 7"),
    ("iban", "ES91 2100 0418 4502 0005 1332"), ("iban", "NO9386011117947"),
    ("iban", "DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000"),
    ("nino", "QQ 12 34 56 C".replace("QQ", "AB")), ("nino", "AB123456C"),
    ("nir", "1 84 12 76 451 089 46"), ("tax id", "86 095 742 719"),
    ("cpf", "529.982.247-25"), ("ahv", "756.9217.0769.85"),
    ("codice fiscale", "RSSMRA85T10A562S"), ("dni", "12345678Z"),
)  # fmt: skip
_SAID_IDS = (
    ("Passport number: C01X00T47", "C01X00T47"), ("passport no. 123456789", "123456789"),
    ("SSN 123456789", "123456789"),
    ("Reisepassnummer: C01X00T47", "C01X00T47"), ("Steuer-ID 86095742719", "86095742719"),
    ("driver's license: D1234567", "D1234567"),
    ("マイナンバー: 1234 5678 9018", "1234 5678 9018"), ("account number: 12345678", "12345678"),
    ("routing number 021000021", "021000021"),
    ("Kontonummer: 532013000", "532013000"), ("sort code 20-00-00", "20-00-00"),
    ("NHS number 943 476 5919", "943 476 5919"),
    ("national insurance number AB123456C", "AB123456C"),
    ("Personalausweis: L01X00T471", "L01X00T471"),
    ("date of birth: 12/10/1815", "12/10/1815"),
    ("born on 10 December 1815", "10 December 1815"), ("DOB: 1815-12-10", "1815-12-10"),
    ("geboren am 10.12.1815", "10.12.1815"), ("née le 10/12/1815", "10/12/1815"),
    ("tax id: 12-3456789", "12-3456789"),
    ("EIN 12-3456789", "12-3456789"), ("PAN: ABCDE1234F", "1234"), ("BSN 123456782", "123456782"),
)  # fmt: skip
_ADDRESSES = (
    ("1600 Pennsylvania Avenue NW, Washington, DC 20500", "1600 Pennsylvania"),
    ("221B Baker Street, London NW1 6XE", "221B Baker"),
    ("I live at 742 Evergreen Terrace.", "742 Evergreen"),
    ("350 5th Ave, New York, NY 10118", "350 5th"),
    ("ship to 1 Infinite Loop, Cupertino, CA 95014", "1 Infinite"),
    ("10 Downing Street", "10 Downing"), ("P.O. Box 1234", "1234"),
    ("12 Main St Apt 4B", "12 Main"), ("Hauptstraße 12, 10115 Berlin", "Hauptstraße 12"),
    ("Berliner Str. 5", "Berliner Str. 5"),
    ("Musterstrasse 7a, 8001 Zürich", "Musterstrasse 7a"),
    ("Unter den Linden 77, 10117 Berlin", "Linden 77"), ("D-10115 Berlin", "10115"),
    ("Lindenallee 4", "Lindenallee 4"), ("12 rue de la Paix, 75002 Paris", "12 rue"),
    ("5 avenue Anatole France, 75007 Paris", "5 avenue"),
    ("3 bis boulevard Saint-Germain", "3 bis"), ("8 place de la Concorde", "8 place"),
    ("〒100-0001 東京都千代田区千代田1-1", "100-0001"),
    ("大阪府大阪市北区梅田3-1-3", "梅田3-1-3"),
    ("1-2-3 Shibuya, Shibuya-ku, Tokyo 150-0002", "1-2-3 Shibuya"), ("SW1A 2AA", "SW1A 2AA"),
    ("Postfach 12 34 56", "12 34 56"), ("4 Privet Drive, Little Whinging", "4 Privet"),
    ("Springfield, IL 62704", "62704"),
)  # fmt: skip
_PLACES = (
    ("192.168.1.17", "192.168.1.17"), ("from 203.0.113.9:443", "203.0.113.9"),
    ("http://10.0.0.5/admin", "10.0.0.5"),
    ("2001:db8::8a2e:370:7334", "8a2e"), ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "0370"),
    ("fe80::1ff:fe23:4567:890a", "4567"),
    ("::ffff:192.0.2.128", "192.0.2.128"), ("/home/ada/notes.txt", "ada"),
    ("/Users/ada.lovelace/Documents/x", "ada.lovelace"),
    ("C:\\Users\\Ada Lovelace\\Desktop\\a.xlsx", "Ada Lovelace"), ("C:/Users/ada/x", "ada"),
    ("file:///home/ada/x", "ada"),
    ("C:\\\\Users\\\\ada\\\\x", "ada"), ("open('/Users/ada/a.csv')", "ada"),
    ("/mnt/c/Users/ada/x", "ada"), ("cd /home/ada", "ada"),
    ("ip=198.51.100.23;", "198.51.100.23"), ("[2001:db8::1]:8080", "2001:db8::1"),
)  # fmt: skip


def examples() -> list[Example]:
    """What must not come through."""
    rng = random.Random(1815)
    found = [*_tokens(rng), *_written(rng)]
    for kind, values, arounds in (
        ("e-mail", _EMAILS, _EMAIL_AROUND),
        ("phone", _PHONES, _PHONE_AROUND),
        ("card", _CARDS, _CARD_AROUND),
    ):
        for number, value in enumerate(values):
            for around in (arounds[number % len(arounds)], arounds[(number + 3) % len(arounds)]):
                found.append(Example(kind, around.format(value), value.removeprefix("mailto:")))
    for kind, value in _IDS:
        found += [Example(kind, value, value), Example(kind, f"it is {value}, she said", value)]
    found += [Example("said id", text, secret) for text, secret in _SAID_IDS]
    found += [Example("address", text, secret) for text, secret in _ADDRESSES]
    found += [Example("place", text, secret) for text, secret in _PLACES]
    return found


_HARMLESS: dict[str, tuple[str, ...]] = {
    "time": (
        "1764171812", "1764171812255", "1764171812255123", "1764171812255123456",
        "2026-01-31T12:00:00.123456Z", "2026-01-31 12:00:00+01:00",
        "20260131T120000Z", "20260131-120000", "2024-01-01..2024-12-31", "2024-01-01/2024-12-31",
        "2019-2024", "2019–2024", "1999/2000",
        "01.02.2024 - 05.03.2024", "01/02/2024", "31-01-2026", "12:30:45.123",
        "from 2024-01-01 10:00 to 2024-01-02 11:30", "Q3 2024",
        "KW 05 2024", "1 h 30 min 20 s", "UTC+01:00", "1970-01-01", "20240101 20240201 20240301",
        "call on 2024-01-15 at 10:00",
        "born in 1815", "0.123456789012", "2026-W05", "days 01 02 03 04",
    ),
    "book": (
        "ISBN 978-3-16-148410-0", "ISBN-10: 0-306-40615-2", "ISBN 0306406152", "9783161484100",
        "978 0 306 40615 7", "ISSN 1234-5679",
        "doi:10.1000/182", "10.1145/3292500.3330701", "arXiv:1706.03762",
        "ISBN-13 9780306406157", "PMID 12345678", "ORCID 0000-0002-1825-0097",
    ),
    "package": (
        "lodash@4.17.21", "@types/node@20.1.0", "react@^18.2.0", "npm i express@latest",
        "actions/checkout@v4", "python-dateutil==2.9.0.post0",
        "alpine@sha256:" + "9b7c" * 16, "git@github.com:dbt-labs/dbt-core.git",
        "pip install scikit-learn==1.5.0", "google-re2 1.1.20240702",
        "sk-learn-contrib-extensions", "numpy>=1.26,<2", "Chrome/120.0.6099.109", "v1.2.3.4",
        "version 10.0.19041.1", "version 1.2.3.4", "1.2.3.4.5",
        "org.apache.commons:commons-lang3:3.14.0", "node:20.11.1-alpine3.19", "dbt-core 1.10.15",
        "gcc (GCC) 13.2.1 20231011", "com.example.app",
        "@anthropic-ai/sdk", "k8s.io/api v0.29.0", "snowflake-connector-python[pandas]",
        "user@host", "lodash.debounce@4.0.8", "foo@1.0.0-beta.2",
    ),
    "number": (
        "1,234,567.89", "1.234.567,89 €", "$1,299.00", "USD 1299", "£20.50", "12 345 678",
        "99.95 %", "3.14159265358979", "1e-13", "6.022e23",
        "9007199254740993", "18446744073709551615", "5368709120 bytes", "1099511627776",
        "4111111111111112", "1234567890123456", "rows 100-200",
        "0.4111111111111111", "port 8080", "HTTP 404", "+12.5%", "-3 °C", "10 x 20 x 30",
        "1:1000000", "48.8566, 2.3522", "order 4155552671",
        "ticket 1234567", "5000000000", "line 123456789", "0x1A2B3C4D", "+1,234", "2^53", "1/3",
        "000123", "12345678", "SKU 123-456", "16 GiB",
        "pages 10-12", "chapter 12.3.4", "§ 123 BGB", "A4 210 x 297 mm", "200 300 400",
        "score 21:19", "1st, 2nd, 3rd", "24/7", "4 711 rows",
    ),
    "code": (
        "password = get_password()", "token = request.headers['X-Token']",
        "def login(user: str, password: str) -> Token:", "api_key=os.environ['API_KEY']",
        "password=${DB_PASSWORD}", "password: {{ env_var('DBT_PASSWORD') }}",
        "secret: <your secret>", "PASSWORD=$PASSWORD", "password=****", "token: null",
        '"password": "string"', "password: required", "if password is None:", "max_tokens=4096",
        "input_tokens: 1200, output_tokens: 340", "token_count=12",
        "primary key: customer_id", "key: value", "sort_key=ts", "public_key: none",
        "for key, value in items():", "next_token: null", "compass=north",
        "secretary: 2", "postgres://localhost:5432/app", "postgres://user@localhost/app",
        "https://user.example.com:8080/path", "redis://cache:6379/0",
        "postgres://${USER}:${PASSWORD}@db/app", "the basic idea of bearer tokens",
        "Basic understanding of SQL", "basic authentication is off",
        "bearer of good news", "author: ada", "authors = 3", "authorization: required",
        "cookie policy", "cookie: yes", "password reset link sent", "PIN entry is disabled",
        "forgot password?", "password is required", "the password is wrong", "token expired",
        "tokenizer=bpe", "secrets are rotated weekly",
        "std::vector<int>", "a::b::c", "assert x == 1", "git commit -m 'fix: keys'",
        "select * from t where id = 5", "--password-stdin", "--token-file /run/x",
        "passkey support", "keyboard: qwerty", "monkey=1", "<password>", "pass: 12, fail: 3",
        "auth=none", "pinned: true", "signal: SIGTERM", "design: new",
        "import secrets", "secrets.token_hex(16)", "ssh-keygen -t ed25519", "x-request-id: 42",
        "the token is a word", "OTP=false",
    ),
    "name of a thing": (
        "cdesk_1a2b3c4d", "vw_llm_events", "stg_query_runs", "events_live",
        "part-00000-of-00010.parquet", "report_2024_final_v2.xlsx", "IMG_20240131_120000.jpg",
        "data/2024/01/31/hour=12/file.ndjson", "src/components/Button.tsx",
        "models/views/vw_llm_events.sql", "cdesk://artifacts/2024",
        "s3://bucket/key/2024/01.parquet",
        "https://example.com/home/about", "https://example.com/orders/2125551234",
        "https://medium.com/@ada/post", "docs/decisions/0001-x.md", "Dockerfile.prod",
        "https://docs.snowflake.com/en/sql-reference/functions/get", "activity cdesk.user_asked",
        "us-east-1", "eu-central-1b", "gpt-4-0613", "claude-3-5-sonnet-20241022",
        "arn:aws:s3:::my-bucket", "projects/my-project-123456/topics/t", "COVID-19", "ISO 8601",
        "RFC 2616", "RTX 4090", "Boeing 747-400", "iPhone 15 Pro Max", "F-16",
        "A380-800", "HTTP/1.1", "UTF-8", "SHA-256", "x86_64", "ES2022", "/home", "/home/",
        "/usr/local/bin/python3.11", "C:\\Windows\\System32", "C:\\Users\\Public\\x",
        "~/notes.txt",
        "/Users/Shared/x", "localhost:8080", "127.0.0.1", "0.0.0.0:80", "255.255.255.0", "::1",
        "00:1B:44:11:3A:B7", "@ada on GitHub", "#1234", "PR #12345", "JIRA-12345",
        "feature/ABC-1234-add-thing", "MH370", "LH 454", "Room 101", "Highway 66", "Apollo 11",
        "Area 51", "Windows 11 23H2", "Section 230", "Type 2 diabetes",
        "the 3 main streets", "a drive of 5 miles", "Spring 5, Engineering 12", "auf Platz 3",
        "string 12", "2 new lanes", "5 Steps to Go", "10 Best Ways", "Level 3 Court",
    ),
    "prose": (
        "How many of the 12,345 orders came in 2026-01-31?", "Meet at half past ten.",
        "The median is 12.5 minutes over 30 days.", "Revenue grew by 14 % to 1.2 million.",
        "Compare 2023 with 2024 by month.", "There are 50 states and 3,143 counties.",
        "He ran 100 m in 9.58 s.", "Chapter 3, verse 16", "The password policy changed in 2024.",
        "We rotate keys every 90 days.", "Please summarise the meeting.",
        "It costs 19.99 a month, 199 a year.", "Ratio 16:9 at 1920x1080",
        "I need a token of appreciation.",
        "The key to success is practice.", "A secret garden", "Turn the key: it opens.",
        "Contact sales for a quote.", "call the function twice", "text 2 columns wide",
        "ring 0 and ring 3", "the phone rang 3 times", "mobile first design", "tel aviv 2024",
        "Unter 100 Zeilen", "au 3e trimestre 2024", "第3章 2024年1月31日", "売上は1,234,567円です",
        "約100000人", "Er hat 12 Punkte.", "La page 12 du rapport 2024",
        "Umsatz 2023: 1.234.567 EUR", "am 5. Mai 2024 um 10:30 Uhr", "5 von 10 Nutzern",
        "le 14 juillet 1789",
    ),
}  # fmt: skip


def counter_examples() -> list[Example]:
    """What must come through as it is."""
    rng = random.Random(1852)
    found = [Example(kind, text) for kind, texts in _HARMLESS.items() for text in texts]
    for number in range(16):
        uuid = "-".join(_made(rng, (_HEX, length)) for length in (8, 4, 4, 4, 12))
        digits = "-".join(_made(rng, (string.digits, length)) for length in (8, 4, 4, 4, 12))
        found += [
            Example("uuid", (uuid, f"id={uuid}", f"ticket {uuid.upper()} is done")[number % 3]),
            Example("uuid", f"artifact {digits}"),
            Example("hash", f"commit {_made(rng, (_HEX, (7, 8, 12, 40)[number % 4]))}"),
            Example("hash", f"sha256:{_made(rng, (_HEX, 64))}"),
            Example("hash", f"query_hash {_made(rng, (_HEX, 16))}"),
            Example("hash", f"tag cdesk_{_made(rng, (_HEX, 8))}"),
            Example("hash", f"md5 {_made(rng, (_HEX, 32))}"),
        ]
    return found


class Unseen(NamedTuple):
    """An example of a corpus whose author had not seen the patterns. `is_debatable` where people
    would not agree.
    """

    kind: str
    text: str
    secrets: tuple[str, ...]
    is_debatable: bool


def unseen() -> list[Unseen]:
    """1,226 texts, harmless where no secret is named. In the file each is cut into pieces, so that
    no scanner of repositories takes its random tokens for real.
    """
    path = Path(__file__).with_name("unseen.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Unseen(
            row["kind"],
            row["text"].replace(_CUT, ""),
            tuple(secret.replace(_CUT, "") for secret in row.get("secrets", ())),
            row.get("debatable", False),
        )
        for row in rows
    ]
