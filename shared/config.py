"""Every setting, once: its variable, its default, its meaning and its check.

`load` reads a mapping (entry points pass the environment) into one frozen object and reports all
faults together, in the form "VARIABLE: expected …, got …". Secrets in URLs are hidden by `shown`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from shared import secret_files
from shared import setting_values as values
from shared.errors import ConfigurationError
from shared.keyring import Keyring


@dataclass(frozen=True, slots=True)
class Settings:
    """What is in force. Times are in seconds, paths are absolute."""

    data_dir: Path
    database_url: str
    redis_url: str | None
    host: str
    port: int
    registry_workers: int
    body_seconds: float
    keyring: Keyring | None
    keyring_file: Path
    admin_key_file: Path
    lease_seconds: float
    grace_seconds: float
    discovery_interval: float
    chat_concurrency: int
    queue_limit: int
    result_ttl: float
    unstored_result_ttl: float
    outbound_allow: str
    public_hosts: str
    trusted_proxies: str
    cors_origins: str
    log_level: str
    log_format: str
    metrics_dir: Path
    metrics_listen: str
    metrics_token: str | None


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the README's table of settings. `default` may refer to `{data_dir}`."""

    variable: str
    default: str
    meaning: str
    parse: Callable[[str], Any]
    secret: bool = False  # its password is not shown
    hidden: bool = False  # nothing of it is shown


SETTINGS: Final[dict[str, Setting]] = {
    "data_dir": Setting(
        "DRAGOMAN_DATA_DIR", "./.dragoman", "where everything local lives", values.path
    ),
    "database_url": Setting(
        "DATABASE_URL",
        "sqlite:///{data_dir}/dragoman.db",
        "the truth: SQLite (one machine) or PostgreSQL",
        values.database,
        secret=True,
    ),
    "redis_url": Setting(
        "REDIS_URL",
        "",
        "doorbells, events and notices; empty: `up` starts a Valkey of its own",
        values.redis,
        secret=True,
    ),
    "host": Setting(
        "DRAGOMAN_HOST", "127.0.0.1", "address that the registry listens on", values.host
    ),
    "port": Setting(
        "DRAGOMAN_PORT", "8642", "port that the registry listens on", values.integer(1, 65535)
    ),
    "registry_workers": Setting(
        "DRAGOMAN_REGISTRY_WORKERS",
        "2",
        "registry processes behind that port",
        values.integer(1, 64),
    ),
    "body_seconds": Setting(
        "DRAGOMAN_BODY_SECONDS",
        "120",
        "how long a request's body may take to come, and a client take nothing of its answer",
        values.number(1, 3600),
    ),
    "keyring": Setting(
        "DRAGOMAN_KEYRING",
        "",
        "the keyring itself, instead of a file",
        values.keyring,
        hidden=True,
    ),
    "keyring_file": Setting(
        "DRAGOMAN_KEYRING_FILE", "{data_dir}/keyring.json", "the keyring's file (0600)", values.path
    ),
    "admin_key_file": Setting(
        "DRAGOMAN_ADMIN_KEY_FILE", "{data_dir}/admin.key", "the first admin key's file", values.path
    ),
    "lease_seconds": Setting(
        "DRAGOMAN_LEASE_SECONDS",
        "60",
        "a chat worker silent for this long is suspect, for twice this long dead",
        values.number(1, 3600),
    ),
    "grace_seconds": Setting(
        "DRAGOMAN_GRACE_SECONDS",
        "30",
        "how long a stopping chat worker lets running calls finish",
        values.number(0, 3600),
    ),
    "discovery_interval": Setting(
        "DRAGOMAN_DISCOVERY_INTERVAL",
        "300",
        "time between two checks of a provider's model list (±10 %)",
        values.number(1, 86400),
    ),
    "chat_concurrency": Setting(
        "DRAGOMAN_CHAT_CONCURRENCY",
        "2000",
        "calls in flight at most, for each chat worker",
        values.integer(1, 100_000),
    ),
    "queue_limit": Setting(
        "DRAGOMAN_QUEUE_LIMIT",
        "100000",
        "queued jobs at most, of all providers together, counted once a second; beyond it "
        "submissions get 429 `queue_full`",
        values.integer(1, 100_000_000),
    ),
    "result_ttl": Setting(
        "DRAGOMAN_RESULT_TTL",
        "604800",
        "how long a stored result is kept after its end",
        values.number(1, 31_536_000),
    ),
    "unstored_result_ttl": Setting(
        "DRAGOMAN_UNSTORED_RESULT_TTL",
        "600",
        'how long a result with `"store": false` is kept after its end',
        values.number(1, 31_536_000),
    ),
    "outbound_allow": Setting(
        "DRAGOMAN_OUTBOUND_ALLOW",
        "",
        "local networks that providers may live in: loopback, private, CIDR forms; "
        "`up` and `demo` use loopback,private where it is unset",
        values.outbound,
    ),
    "public_hosts": Setting(
        "DRAGOMAN_PUBLIC_HOSTS",
        "",
        "host names that requests may name in `Host`, besides addresses and localhost; empty: any",
        values.hosts,
    ),
    "trusted_proxies": Setting(
        "DRAGOMAN_TRUSTED_PROXIES",
        "",
        "addresses and networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed",
        values.networks,
    ),
    "cors_origins": Setting(
        "DRAGOMAN_CORS_ORIGINS",
        "",
        "origins whose pages may call the API, with a key and never with a login; `*`: all",
        values.origins,
    ),
    "log_level": Setting(
        "DRAGOMAN_LOG_LEVEL",
        "INFO",
        "the least level that is logged",
        values.choice("DEBUG", "INFO", "WARNING", "ERROR"),
    ),
    "log_format": Setting(
        "DRAGOMAN_LOG_FORMAT",
        "line",
        "how lines are logged: `line`, for people, or `json`, one object a line",
        values.word("line", "json"),
    ),
    "metrics_dir": Setting(
        "DRAGOMAN_METRICS_DIR",
        "{data_dir}/metrics",
        "where the processes of one machine leave their metrics for `GET /metrics`",
        values.path,
    ),
    "metrics_listen": Setting(
        "DRAGOMAN_METRICS_LISTEN",
        "",
        "address and port at which a worker serves its own metrics; empty: none; "
        "`up` has no use for it",
        values.listener,
    ),
    "metrics_token": Setting(
        "DRAGOMAN_METRICS_TOKEN",
        "",
        "what opens `/metrics` besides an admin's key",
        values.token,
        hidden=True,
    ),
}

assert [field.name for field in fields(Settings)] == list(SETTINGS)  # noqa: S101 - one table


def load(environ: Mapping[str, str]) -> Settings:
    """The settings in `environ`; raises ConfigurationError with every fault at once."""
    found: dict[str, Any] = {}
    environ, faults = secret_files.read(environ)
    for name, setting in SETTINGS.items():
        text = environ.get(setting.variable, "").strip()
        if not text:
            text = setting.default.format_map({"data_dir": found.get("data_dir", "")})
        try:
            found[name] = setting.parse(text)
        except values.Expected as expected:
            hide = setting.hidden or (setting.secret and "@" in text)
            got = "something else (hidden)" if hide else f'"{text}"'
            faults.append(f"{setting.variable}: expected {expected}, got {got}")
        except ConfigurationError as fault:
            faults.extend(fault.faults)
    faults += _open_metrics(found)
    known = {setting.variable for setting in SETTINGS.values()}
    known |= INTERNAL_VARIABLES | OTHERS_VARIABLES | secret_files.FILES.keys()
    for variable in sorted(environ):
        if variable.startswith("DRAGOMAN_") and variable not in known:
            faults.append(f"{variable}: expected a setting that exists, got an unknown name")
    if faults:
        raise ConfigurationError(faults)
    return Settings(**found)


def _open_metrics(found: Mapping[str, Any]) -> list[str]:
    """What is wrong where a worker's metrics would be open to the network."""
    listen = found.get("metrics_listen")
    if not listen or found.get("metrics_token"):
        return []
    address, _ = values.split_listener(listen)
    with suppress(ValueError):
        if ipaddress.ip_address(address).is_loopback:
            return []
    return [
        "DRAGOMAN_METRICS_LISTEN: expected DRAGOMAN_METRICS_TOKEN beside it, or a loopback "
        f'address, got "{listen}"'
    ]


# Set by the runner for its children; no setting of the user's.
READY_FD: Final = "DRAGOMAN_READY_FD"
INTERNAL_VARIABLES: Final = frozenset({READY_FD})
# The command line's, and the composition's: they may be exported where services start.
OTHERS_VARIABLES: Final = frozenset({"DRAGOMAN_API_KEY", "DRAGOMAN_URL", "DRAGOMAN_IMAGE"})


def shown(settings: Settings) -> dict[str, str]:
    """Variable → value in force, fit to print: no keyring, no password."""
    result = {}
    for name, setting in SETTINGS.items():
        value = getattr(settings, name)
        text = "" if value is None else str(value)
        if setting.hidden and value is not None:
            text = "***"
        elif setting.secret:
            text = without_password(text)
        result[setting.variable] = text
    return result


def without_password(url: str) -> str:
    """The URL with its password replaced by stars."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))
