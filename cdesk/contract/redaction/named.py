"""Credentials that a name before them gives away: password=…, "api_key": "…", password is …"""

from __future__ import annotations

from cdesk.contract.redaction.rules import FLAG, NAME, RUN, Rule
from cdesk.contract.redaction.words import (
    ANY_NAME,
    ANY_QUOTED,
    BARE,
    IS_SIGN,
    MIXED,
    NO_VALUE,
    PASS_NAME,
    PASS_SAID,
    QUOTED,
    SAID,
    SHORT,
    STRONG,
    TOKENISH,
    kept,
)

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
    # Names and values: password=…, "api_key": "…", <password>…</password>, password is …
    Rule(
        "",
        rf"(?i){ANY_NAME}{IS_SIGN}\\*[\"'`]?(?:{NO_VALUE}\\*(?:[\"'`,;.!?)\]}} \t\r\n]|$)"
        rf"|[$%]?[{{(<\[]"
        rf"|\$[A-Za-z_]|%[a-z(]|\*{{3}}|"
        r"x{4}|\.{3}|(?:await|new|async|return|lambda)[ \t]|[A-Za-z_][A-Za-z0-9_.]*[(\[]|(?:get|n"
        r"ew|read|import)-[a-z]+)",
        needs=NAME,
    ),
    Rule(
        "secret:password",
        rf"(?i)({PASS_NAME}{IS_SIGN}){QUOTED}",
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
        rf"(?i)({ANY_NAME}{IS_SIGN}){QUOTED}",
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
        rf"(?i)({ANY_NAME}[ \t]*:[ \t]*[&a-z<>\[\]?.]{{1,20}}[ \t]*=[ \t]*){QUOTED}",
        kept("secret:credential"),
        needs=NAME,
    ),
    Rule(
        "secret:credential",
        rf"(?i)(name=\\*\"[a-z0-9_.-]{{0,30}}{SAID}\\*\"(?:\r?\n|\\r\\n|\\n){{1,2}})[^\r\n\\]+",
        r"\1[secret:credential]",
        hints=("name=",),
        needs=NAME,
    ),
    Rule(
        "secret:session",
        r"(?i)((?:\b|_)(?:[a-z]+_)?session\\*[\"']?[ \t]*[:=][ \t]*\\*[\"']?)[A-Za-z0-9_%+/=.]{20"
        r",}",
        r"\1[secret:session]",
        hints=("session",),
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
        r"(?:is|was|ist|lautet|est|es|are|changed to|set to|to)(?:[ \t]+(?:now|still|just|simply|"
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
