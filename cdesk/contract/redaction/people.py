"""Personal data: people and places."""

from __future__ import annotations

from cdesk.contract.redaction.rules import DASHES, LETTER, SPACES, STAND_IN, Rule

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
