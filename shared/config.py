"""Every setting, once: its variable, its default, its meaning and its check.

`load` reads a mapping (entry points pass the environment) into one frozen object and reports all
faults together, in the form "VARIABLE: expected …, got …". Secrets in URLs are hidden by `shown`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from shared import secret_files
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
    log_level: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the README's table of settings. `default` may refer to `{data_dir}`."""

    variable: str
    default: str
    meaning: str
    parse: Callable[[str], Any]
    secret: bool = False


class _Expected(ValueError):
    """The text does not fit; the message says what was expected."""


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _keyring(text: str) -> Keyring | None:
    return Keyring.parse(text, origin="DRAGOMAN_KEYRING") if text else None


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise _Expected(f"a number of seconds from {low:g} to {high:g}")
        return value

    return parse


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise _Expected(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def _choice(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.upper() not in words:
            raise _Expected(f"one of {', '.join(words)}")
        return text.upper()

    return parse


def _database(text: str) -> str:
    expected = _Expected("sqlite:////absolute/path or postgresql://user:password@host/name")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise expected from None
    if parts.scheme == "sqlite" and parts.path.startswith("//") and not parts.netloc:
        return text
    if parts.scheme in ("postgresql", "postgres") and parts.path.strip("/"):
        return urlunsplit(parts._replace(scheme="postgresql"))
    raise expected


def _redis(text: str) -> str | None:
    if not text:
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    network = parts.scheme in ("redis", "rediss") and parts.hostname
    socket = parts.scheme == "unix" and parts.path.startswith("/")
    if not network and not socket:
        raise _Expected("redis://…, rediss://… or unix://…")
    return text


def _outbound(text: str) -> str:
    for word in filter(None, (part.strip() for part in text.split(","))):
        if word not in ("loopback", "private"):
            try:
                ipaddress.ip_network(word)
            except ValueError:
                raise _Expected(
                    "a comma-separated list of loopback, private and networks like 10.0.0.0/8"
                ) from None
    return text


def _host(text: str) -> str:
    if not text or any(ch.isspace() or ch in "/@" for ch in text):
        raise _Expected("an address or a host name to listen on")
    return text


SETTINGS: Final[dict[str, Setting]] = {
    "data_dir": Setting("DRAGOMAN_DATA_DIR", "./.dragoman", "where everything local lives", _path),
    "database_url": Setting(
        "DATABASE_URL",
        "sqlite:///{data_dir}/dragoman.db",
        "the truth: SQLite (one machine) or PostgreSQL",
        _database,
        secret=True,
    ),
    "redis_url": Setting(
        "REDIS_URL",
        "",
        "doorbells, events and notices; empty: `up` starts a Valkey of its own",
        _redis,
        secret=True,
    ),
    "host": Setting("DRAGOMAN_HOST", "127.0.0.1", "address that the registry listens on", _host),
    "port": Setting(
        "DRAGOMAN_PORT", "8642", "port that the registry listens on", _integer(1, 65535)
    ),
    "registry_workers": Setting(
        "DRAGOMAN_REGISTRY_WORKERS", "1", "registry processes behind that port", _integer(1, 64)
    ),
    "keyring": Setting(
        "DRAGOMAN_KEYRING",
        "",
        "the keyring itself, instead of a file",
        _keyring,
        secret=True,
    ),
    "keyring_file": Setting(
        "DRAGOMAN_KEYRING_FILE", "{data_dir}/keyring.json", "the keyring's file (0600)", _path
    ),
    "admin_key_file": Setting(
        "DRAGOMAN_ADMIN_KEY_FILE", "{data_dir}/admin.key", "the first admin key's file", _path
    ),
    "lease_seconds": Setting(
        "DRAGOMAN_LEASE_SECONDS",
        "60",
        "a chat worker silent for this long is suspect, for twice this long dead",
        _number(1, 3600),
    ),
    "grace_seconds": Setting(
        "DRAGOMAN_GRACE_SECONDS",
        "30",
        "how long a stopping chat worker lets running calls finish",
        _number(0, 3600),
    ),
    "discovery_interval": Setting(
        "DRAGOMAN_DISCOVERY_INTERVAL",
        "300",
        "time between two checks of a provider's model list (±10 %)",
        _number(1, 86400),
    ),
    "chat_concurrency": Setting(
        "DRAGOMAN_CHAT_CONCURRENCY",
        "2000",
        "calls in flight at most, for each chat worker",
        _integer(1, 100_000),
    ),
    "queue_limit": Setting(
        "DRAGOMAN_QUEUE_LIMIT",
        "100000",
        "queued jobs at most; beyond it submissions get 429 `queue_full`",
        _integer(1, 100_000_000),
    ),
    "result_ttl": Setting(
        "DRAGOMAN_RESULT_TTL",
        "604800",
        "how long a stored result is kept after its end",
        _number(1, 31_536_000),
    ),
    "unstored_result_ttl": Setting(
        "DRAGOMAN_UNSTORED_RESULT_TTL",
        "600",
        'how long a result with `"store": false` is kept after its end',
        _number(1, 31_536_000),
    ),
    "outbound_allow": Setting(
        "DRAGOMAN_OUTBOUND_ALLOW",
        "",
        "local networks that providers may live in: loopback, private, CIDR forms; "
        "`up` and `demo` use loopback,private where it is unset",
        _outbound,
    ),
    "log_level": Setting(
        "DRAGOMAN_LOG_LEVEL",
        "INFO",
        "the least level that is logged",
        _choice("DEBUG", "INFO", "WARNING", "ERROR"),
    ),
}

assert [field.name for field in fields(Settings)] == list(SETTINGS)  # noqa: S101 - one table


def load(environ: Mapping[str, str]) -> Settings:
    """The settings in `environ`; raises ConfigurationError with every fault at once."""
    values: dict[str, Any] = {}
    environ, faults = secret_files.read(environ)
    for name, setting in SETTINGS.items():
        text = environ.get(setting.variable, "").strip()
        if not text:
            text = setting.default.format_map({"data_dir": values.get("data_dir", "")})
        try:
            values[name] = setting.parse(text)
        except _Expected as expected:
            got = "something else (hidden)" if setting.secret and "@" in text else f'"{text}"'
            faults.append(f"{setting.variable}: expected {expected}, got {got}")
        except ConfigurationError as fault:
            faults.extend(fault.faults)
    known = {setting.variable for setting in SETTINGS.values()} | INTERNAL_VARIABLES
    for variable in sorted(environ):
        if variable.startswith("DRAGOMAN_") and variable not in known:
            faults.append(f"{variable}: expected a setting that exists, got an unknown name")
    if faults:
        raise ConfigurationError(faults)
    return Settings(**values)


# Set by the runner for its children; no setting of the user's.
READY_FD: Final = "DRAGOMAN_READY_FD"
INTERNAL_VARIABLES: Final = frozenset({READY_FD})


def shown(settings: Settings) -> dict[str, str]:
    """Variable → value in force, fit to print: no keyring, no password."""
    result = {}
    for name, setting in SETTINGS.items():
        value = getattr(settings, name)
        text = "" if value is None else str(value)
        if isinstance(value, Keyring):
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
