"""Settings: read once, from the environment and `config.toml`, into one frozen object. Nothing else
reads the environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, tzinfo
from pathlib import Path
from typing import Literal, cast

from cdesk.core.checks import check_customer
from cdesk.core.errors import ConfigurationError, shown
from cdesk.core.features import CAPTURE, NONE_SWITCHED, Features, read_features
from cdesk.core.features import NAMES as FEATURE_NAMES

Target = Literal["duckdb", "snowflake"]
WorkerMode = Literal["auto", "off"]
Durability = Literal["os", "disk"]
RenderMode = Literal["auto", "off"]
Encryption = Literal["AES256", "aws:kms", "none"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "target": ("duckdb", "snowflake"),
    "worker": ("auto", "off"),
    "durability": ("os", "disk"),
    "render": ("auto", "off"),
    "artifacts_encryption": ("AES256", "aws:kms", "none"),
}
ROLES = ("analyst",)
"""What a session over stdio may do beside its own data."""
SETTINGS = (
    "home",
    "customer",
    "roles",
    "target",
    "worker",
    "durability",
    "timezone",
    "locale",
    "runtime",
    "render",
    "render_url",
    "artifacts_url",
    "artifacts_endpoint",
    "artifacts_region",
    "artifacts_encryption",
    "artifacts_kms_key",
)
"""Every setting of a person; in the environment `CDESK_` and the upper-case name, in config.toml
the name.
"""
HTTP_SETTINGS = (
    "http_host",
    "http_port",
    "http_workers",
    "http_url",
    "http_hosts",
    "http_origins",
    "http_proxies",
    "http_calls_per_minute",
    "http_tickets_per_minute",
    "http_least_customers",
    "http_issuer",
    "http_jwks_url",
    "http_audience",
    "http_customer_claim",
)
"""Those of the HTTP service (`HttpSettings`), which no client starts."""

OPS_SETTINGS = (
    "metrics_address",
    "metrics_certificates",
    "otlp_endpoint",
    "cost_usd_an_hour",
    "cost_credits_a_day",
    "cost_query_seconds_a_day",
    "cost_query_bytes_a_day",
    "cost_credits_an_hour",
    "cost_grace_hours",
    "retention_days",
    "snowflake_key_expires",
)
"""Those of who runs it: metrics, traces, what may be spent, how long what is kept."""

NUMBERS = frozenset(
    (
        "http_port",
        "http_workers",
        "http_calls_per_minute",
        "http_tickets_per_minute",
        "http_least_customers",
        "retention_days",
        *(name for name in OPS_SETTINGS if name.startswith("cost_")),
    )
)
"""Settings that config.toml may hold as a number, too."""
LEAST_RETENTION_DAYS = 180

RENDER_URL = "http://127.0.0.1:8377"
_WEB_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_PORT = re.compile(r"[a-z0-9]+://(?:\[[^\]]*\]|[^/:\[]*):([^/]*)")
_USER_INFO = re.compile(r"^([^/]*//)[^/]*@")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")
_S3_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._=/-]{0,200})?")


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How the server is served over HTTP (`cdesk mcp --http`).

    host, port: where it listens. workers: processes on that port. url: where clients reach it, when
        a proxy stands before it. hosts, origins: further values of the Host and Origin headers that
        are answered. proxies: addresses whose forwarded headers count.
    calls_per_minute, tickets_per_minute: what one customer may ask of the service; its processes
        have equal parts of it.
    least_customers: of how many customers a row has to be that is shown to an analyst who is no
        admin; 1 shows every row.
    issuer, jwks_url: the OAuth authorization server whose tokens count, and where its keys are;
        audience: whom they must be for (the address of /mcp if empty); customer_claim: which claim
        names the customer.
    """

    host: str = "127.0.0.1"
    port: int = 8378
    workers: int = 1
    url: str = ""
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    calls_per_minute: int = 600
    tickets_per_minute: int = 60
    least_customers: int = 5
    issuer: str = ""
    jwks_url: str = ""
    audience: str = ""
    customer_claim: str = "sub"

    @property
    def part_of_a_process(self) -> tuple[float, float]:
        """How many calls and how many tickets a minute each process takes of one customer, so that
        all of them together take what is set.
        """
        return self.calls_per_minute / self.workers, self.tickets_per_minute / self.workers


@dataclass(frozen=True, slots=True)
class CostCaps:
    """What may be used before the cost guard turns the kill switch; 0 is no cap.

    usd_an_hour, credits_a_day: on Snowflake. query_seconds_a_day, query_bytes_a_day: what the
    queries take and answer with, on the embedded default. credits_an_hour: what the warehouse uses
    while it runs (1 for an X-Small). grace_hours: how long the guard may be unable to read what
    was used before it turns the switch.
    """

    usd_an_hour: float = 100.0
    credits_a_day: float = 0.0
    query_seconds_a_day: float = 0.0
    query_bytes_a_day: float = 0.0
    credits_an_hour: float = 1.0
    grace_hours: float = 6.0


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """The table `[capture]`: whether Claude's own histories on this computer are followed.

    include_text: whether what was written goes in, too. exclude: projects by name, and folders by
    path or pattern, of which nothing is taken in.
    """

    enabled: bool = False
    include_text: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """The table `[budget]`: US dollars that a day, a week, a month may cost; None is no limit."""

    day: float | None = None
    week: float | None = None
    month: float | None = None

    @property
    def is_set(self) -> bool:
        return any(limit is not None for limit in (self.day, self.week, self.month))


TABLES = {
    "capture": ("enabled", "include_text", "exclude"),
    "budget": ("day", "week", "month"),
    "features": FEATURE_NAMES,
}
"""The tables of config.toml, each with its keys; `CDESK_CAPTURE` (`on`, `off`) comes before
`capture.enabled`.
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process of cdesk needs to know before it starts.

    home: the state directory. customer: whose records these are (stdio has one customer). roles:
        what a session over stdio may do beside its own data. target: the warehouse engine.
    worker: `auto` starts a worker where none runs. durability: `os` survives the death of the
        process, `disk` the loss of power.
    """

    home: Path
    customer: str
    roles: tuple[str, ...] = ()
    target: Target = "duckdb"
    worker: WorkerMode = "auto"
    durability: Durability = "os"
    timezone: str = "UTC"
    """IANA name of the person's time zone, for days and hours in answers; stored times are UTC."""
    locale: str = "en"
    """How pages write numbers and dates (`de-DE`); `en` writes moments as ISO 8601."""
    runtime: str = ""
    """Folder with the wheel that the worker's own environment is made from; empty: the worker runs
    in the installation that serves.
    """
    render: RenderMode = "auto"
    """`auto`: the worker starts the renderer of cards when there is a card to show."""
    render_url: str = RENDER_URL
    """Where a browser reaches cards and dashboard; no slash at its end."""
    artifacts_url: str = ""
    """`s3://bucket/prefix`; empty: results stay in the state directory."""
    artifacts_endpoint: str = ""
    """Address of an S3-compatible service; empty: Amazon's own."""
    artifacts_region: str = ""
    artifacts_encryption: Encryption = "AES256"
    artifacts_kms_key: str = ""
    http: HttpSettings = HttpSettings()
    metrics_address: str = ""
    """`host:port` where the worker answers Prometheus; empty: nowhere."""
    metrics_certificates: tuple[str, ...] = ()
    """PEM files whose expiry is among the metrics."""
    otlp_endpoint: str = ""
    """Where traces go, over OTLP and HTTP; empty: none are made."""
    costs: CostCaps = CostCaps()
    retention_days: int = 0
    """On the embedded default: after how many days activities are deleted; 0 keeps them. On
    Snowflake the macro `apply_retention` says so, for all.
    """
    snowflake_key_expires: str = ""
    """The day (`2027-01-31`) by which the key or token of the Snowflake login is to be exchanged;
    nobody but who gave it out knows.
    """
    capture: CaptureSettings = CaptureSettings()
    budget: BudgetSettings = BudgetSettings()
    features: Features = NONE_SWITCHED
    environ: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The environment as it was read, for child processes and for the engines' own variables (never
    logged).
    """

    @property
    def zone(self) -> tzinfo:
        """The person's time zone."""
        return zone_named(self.timezone)

    def card_url(self, artifact_id: str) -> str:
        """Where the card of a stored result is, without the signature that opens it elsewhere."""
        return f"{self.render_url}/c/{artifact_id}"


def _locale(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8}){0,3}", name):
        raise ConfigurationError(f"locale is {shown(name)}; allowed: a name such as de-DE")
    return name


def zone_named(name: str) -> tzinfo:
    """The time zone of an IANA name.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if name == "UTC":
        return UTC
    # Only here: most processes need no other zone than UTC.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(
            f"timezone is {shown(name)}; "
            "allowed: a name of the IANA time zone database, as Europe/Berlin"
        ) from None


def default_home(environ: Mapping[str, str]) -> Path:
    """`CDESK_HOME`, or the platform's directory for application data."""
    if given := environ.get("CDESK_HOME"):
        return Path(given).expanduser().absolute()
    # Imported here: a server with CDESK_HOME set starts without it.
    from platformdirs import user_data_path

    return user_data_path("cdesk", appauthor=False)


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from `environ` first, then `config.toml` in the state directory, then defaults.

    Raises:
        ConfigurationError: a value that is not allowed, an unknown key in config.toml, or a file
        that is no TOML.
    """
    home = default_home(environ)
    file_values, tables = _read_file(home / "config.toml")

    def value(name: str, default: str) -> str:
        text = environ.get(f"CDESK_{name.upper()}") or file_values.get(name) or default
        allowed = _CHOICES.get(name)
        if allowed and text not in allowed:
            raise ConfigurationError(f"{name} is {text!r}; allowed: {', '.join(allowed)}")
        return text

    customer = value("customer", environ.get("USER") or environ.get("USERNAME") or "local")
    try:
        check_customer(customer)
    except ValueError as error:
        problem, allowed = error.args
        raise ConfigurationError(f"customer: {problem}; allowed: {allowed}") from None
    features = read_features(tables.get("features", {}))
    capture = _capture(tables.get("capture", {}), environ.get("CDESK_CAPTURE", ""))
    timezone = value("timezone", "UTC")
    zone_named(timezone)
    urls = {
        name: _url(name, value(name, default), pattern, example)
        for name, default, pattern, example in (
            ("render_url", RENDER_URL, _WEB_URL, "https://cards.example.com"),
            ("artifacts_url", "", _S3_URL, "s3://bucket/prefix"),
            ("artifacts_endpoint", "", _WEB_URL, "https://s3.example.com"),
            ("otlp_endpoint", "", _WEB_URL, "http://127.0.0.1:4318"),
        )
    }
    return Settings(
        home=home,
        customer=customer,
        roles=_roles(value("roles", "")),
        target=cast(Target, value("target", "duckdb")),
        worker=cast(WorkerMode, value("worker", "auto")),
        durability=cast(Durability, value("durability", "os")),
        timezone=timezone,
        locale=_locale(value("locale", "en")),
        runtime=value("runtime", ""),
        render=cast(RenderMode, value("render", "auto")),
        artifacts_region=value("artifacts_region", ""),
        artifacts_encryption=cast(Encryption, value("artifacts_encryption", "AES256")),
        artifacts_kms_key=value("artifacts_kms_key", ""),
        **urls,
        http=_http(value),
        metrics_address=_address(value("metrics_address", "")),
        metrics_certificates=_listed(value("metrics_certificates", "")),
        costs=_costs(value),
        retention_days=_retention_days(value("retention_days", "0")),
        snowflake_key_expires=_day("snowflake_key_expires", value("snowflake_key_expires", "")),
        capture=capture if features.has(CAPTURE) else replace(capture, enabled=False),
        budget=_budget(tables.get("budget", {})),
        features=features,
        environ=dict(environ),
    )


def _http(value: Callable[[str, str], str]) -> HttpSettings:
    """The settings of the HTTP service; `value` gives one by its name and default."""
    default = HttpSettings()

    def number(name: str, default: int, *, low: int, high: int) -> int:
        text = value(f"http_{name}", str(default))
        if not text.isascii() or not text.isdigit() or not low <= int(text[:12]) <= high:
            raise ConfigurationError(
                f"http_{name} is {shown(text)}; allowed: a whole number from {low} to {high:,}"
            )
        return int(text)

    def names(name: str) -> tuple[str, ...]:
        return _listed(value(f"http_{name}", ""))

    url, jwks_url = (
        _url(f"http_{name}", value(f"http_{name}", ""), _WEB_URL, example)
        for name, example in (
            ("url", "https://cdesk.example.com"),
            ("jwks_url", "https://login.example.com/keys"),
        )
    )
    issuer = value("http_issuer", "")  # compared with the tokens' as it stands
    if issuer and not (_WEB_URL.fullmatch(issuer) and jwks_url and url):
        raise ConfigurationError(
            "http_issuer needs an address as https://login.example.com, and http_jwks_url and "
            "http_url beside it"
        )
    return HttpSettings(
        host=value("http_host", default.host),
        port=number("port", default.port, low=0, high=65_535),
        workers=number("workers", default.workers, low=1, high=64),
        url=url,
        hosts=names("hosts"),
        origins=names("origins"),
        proxies=names("proxies"),
        calls_per_minute=number("calls_per_minute", 600, low=1, high=1_000_000),
        tickets_per_minute=number("tickets_per_minute", 60, low=1, high=1_000_000),
        least_customers=number("least_customers", default.least_customers, low=1, high=1_000_000),
        issuer=issuer,
        jwks_url=jwks_url,
        audience=value("http_audience", ""),
        customer_claim=value("http_customer_claim", default.customer_claim),
    )


def _listed(text: str) -> tuple[str, ...]:
    """The parts of a text with commas between."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _address(text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if text and (match is None or not 0 < int(match[2]) < 65_536):
        raise ConfigurationError(
            f"metrics_address is {shown(text)}; allowed: host:port as 127.0.0.1:9464"
        )
    return text


def _retention_days(text: str) -> int:
    days = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else -1
    if days != 0 and days < LEAST_RETENTION_DAYS:
        raise ConfigurationError(
            f"retention_days is {shown(text)}; allowed: 0 (keep everything), or a whole number "
            f"of at least {LEAST_RETENTION_DAYS}"
        )
    return days


def _day(name: str, text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise ConfigurationError(f"{name} is {shown(text)}; allowed: a day as 2027-01-31") from None


def _costs(value: Callable[[str, str], str]) -> CostCaps:
    """What may be spent."""

    def number(name: str, *, above: float = -1.0) -> float:
        default = getattr(CostCaps(), name)
        text = value(f"cost_{name}", f"{default:g}")
        try:
            found = float(text)
        except ValueError:
            found = -1.0
        if not (0 <= found < 1e18 and found > above):
            allowed = "a number from 0 (no cap)" if above < 0 else "a number above 0"
            raise ConfigurationError(f"cost_{name} is {shown(text)}; allowed: {allowed}")
        return found

    return CostCaps(
        usd_an_hour=number("usd_an_hour"),
        credits_a_day=number("credits_a_day"),
        query_seconds_a_day=number("query_seconds_a_day"),
        query_bytes_a_day=number("query_bytes_a_day"),
        credits_an_hour=number("credits_an_hour"),
        grace_hours=number("grace_hours", above=0.0),
    )


def _roles(text: str) -> tuple[str, ...]:
    """Roles from a text that names them with commas between."""
    names = sorted({name.strip() for name in text.split(",")} - {""})
    for name in names:
        if name not in ROLES:
            raise ConfigurationError(f"roles names {shown(name)}; allowed: {', '.join(ROLES)}")
    return tuple(names)


def _url(name: str, text: str, pattern: re.Pattern[str], example: str) -> str:
    text = text.rstrip("/")
    if text and not (pattern.fullmatch(text) and _has_port_or_none(text)):
        told = _USER_INFO.sub(r"\1…@", text)  # it may hold a password
        raise ConfigurationError(f"{name} is {shown(told)}; allowed: an address as {example}")
    return text


def _has_port_or_none(url: str) -> bool:
    """Whether the port that an address names is one."""
    match = _PORT.match(url)
    port = None if match is None else match[1]
    return port is None or (port.isdecimal() and 0 < int(port) < 65_536)


def _capture(table: Mapping[str, object], given: str) -> CaptureSettings:
    if given not in ("", "on", "off"):
        raise ConfigurationError(f"CDESK_CAPTURE is {shown(given)}; allowed: on, off")
    for name in ("enabled", "include_text"):
        if not isinstance(table.get(name, False), bool):
            raise ConfigurationError(f"capture.{name} is {table[name]!r:.30}; allowed: true, false")
    exclude = table.get("exclude", [])
    if not isinstance(exclude, list) or not all(isinstance(item, str) for item in exclude):
        raise ConfigurationError(
            'capture.exclude is no list of texts; allowed: as ["secret-project", "~/private"]'
        )
    return CaptureSettings(
        enabled=given == "on" if given else bool(table.get("enabled", False)),
        include_text=bool(table.get("include_text", False)),
        exclude=tuple(exclude),
    )


def _budget(table: Mapping[str, object]) -> BudgetSettings:
    limits: dict[str, float | None] = {}
    for name in TABLES["budget"]:
        value = table.get(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and 0 < float(cast(float, value)) < 1e9):
            raise ConfigurationError(
                f"budget.{name} is {value!r:.30}; allowed: US dollars above 0, as 20 or 7.5"
            )
        limits[name] = None if value is None else float(cast(float, value))
    return BudgetSettings(**limits)


def _read_file(path: Path) -> tuple[dict[str, str], dict[str, dict[str, object]]]:
    """The settings of a file, and its tables."""
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}, {}
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read ({error.strerror}); mend its permissions"
        ) from None
    import tomllib

    try:
        values = tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from None
    tables: dict[str, dict[str, object]] = {}
    for key in TABLES.keys() & values.keys():
        table = values.pop(key)
        if not isinstance(table, dict):
            raise ConfigurationError(f"{path}: {key} is no table; write [{key}]")
        if odd := sorted(table.keys() - set(TABLES[key])):
            allowed = ", ".join(TABLES[key])
            raise ConfigurationError(
                f"{path}: unknown setting {odd[0]!r} in [{key}]; allowed: {allowed}"
            )
        tables[key] = table
    known = (*SETTINGS[1:], *HTTP_SETTINGS, *OPS_SETTINGS)
    for key, item in values.items():
        if key not in known:
            raise ConfigurationError(
                f"{path}: unknown setting {key!r}; allowed: {', '.join(known)}"
            )
        if not isinstance(item, str):
            values[key] = _plain(path, key, item)
    return values, tables


def _plain(path: Path, key: str, item: object) -> str:
    """A setting that TOML has as a number, or as a day, where the setting is one."""
    if key in NUMBERS and isinstance(item, int | float) and not isinstance(item, bool):
        return str(item)
    if key == "snowflake_key_expires" and type(item) is date:
        return item.isoformat()
    raise ConfigurationError(f'{path}: {key} is not a string; write {key} = "…"')
