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
    PREFIX,
    QUOTED,
    SAID,
    SHORT,
    STRONG,
    TOKENISH,
    kept,
)

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
