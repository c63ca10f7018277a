"""Names of keys in documents, in snake case: what the value under one is."""

from __future__ import annotations

import re
from functools import lru_cache

from cdesk.contract.redaction.lookalikes import as_meant
from cdesk.contract.redaction.rules import compiled

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
