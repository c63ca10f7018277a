"""Credentials on command lines: behind flags, and where a command expects them."""

from __future__ import annotations

from cdesk.contract.redaction.rules import AT, FLAG, NAME, Rule
from cdesk.contract.redaction.words import ANY_NAME, ANY_QUOTED

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
