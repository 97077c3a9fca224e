"""Where the server is, and which key opens it.

The URL: `--url`, else DRAGOMAN_URL, else that of the `./dragoman up` that runs on the data
directory, else 127.0.0.1 at DRAGOMAN_PORT (8642). The key: `--key-file`, else DRAGOMAN_API_KEY,
else the local installation's admin key, which is only ever sent to this machine.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from cli.failures import NoKey

USUAL_PORT: Final = "8642"
URL, API_KEY = VARIABLES = ("DRAGOMAN_URL", "DRAGOMAN_API_KEY")
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound
_BARE: Final = re.compile(r"(\[[0-9a-fA-F:]+\]|[\w.-]+)(:\d+)?(/[\w./-]*)?")  # a host, no scheme
_PORT: Final = re.compile(r"[0-9]{1,5}")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,512}")


@dataclass(frozen=True, slots=True)
class Server:
    """The server to call; `key` is a secret."""

    url: str
    key: str = field(repr=False)

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine: proxies are for others."""
        return is_loopback(self.url)


def find(
    environ: Mapping[str, str],
    *,
    url: str | None = None,
    key_file: str | None = None,
    data_dir: str | None = None,
) -> Server:
    """The server to call; raises NoKey, or click's UsageError for what cannot be a URL or a key."""
    folder = Path(data_dir or environ.get("DRAGOMAN_DATA_DIR") or "./.dragoman").expanduser()
    running = _running(folder)
    named = url or environ.get(URL)
    where = _checked(named) if named else _reachable(running.get("url") or _usual(environ))
    if key_file is not None:
        return Server(where, key_of(key_file, "--key-file"))
    if given := environ.get(API_KEY, "").strip():
        return Server(where, _plausible(given, API_KEY))
    if not is_loopback(where):
        raise NoKey(
            f"Expected a key for {where}, got none. Set DRAGOMAN_API_KEY, or give --key-file."
        )
    admin_key = environ.get("DRAGOMAN_ADMIN_KEY_FILE") or running.get("admin_key_file")
    local = Path(admin_key).expanduser() if admin_key else folder / "admin.key"
    try:
        return Server(where, _plausible(local.read_text("utf-8").strip(), str(local)))
    except OSError as problem:
        raise NoKey(
            f"Expected a key for {where}, got none: {local} cannot be read ({problem.strerror}). "
            "Set DRAGOMAN_API_KEY, give --key-file, or run this where `./dragoman up` runs "
            "(--data-dir names its data directory)."
        ) from problem


def key_of(file: str, option: str) -> str:
    """The key in a file, `-` for standard input; raises UsageError."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise click.UsageError(f"{option}: {file} cannot be read: {problem}.") from problem
    return _plausible(text.strip(), option)


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _plausible(key: str, origin: str) -> str:
    """The key, if it can be one; raises UsageError without showing it."""
    if not _KEY.fullmatch(key):
        raise click.UsageError(
            f"{origin}: expected a key of 1 to 512 visible ASCII characters, got "
            f"{'nothing' if not key else 'something else'}."
        )
    return key


def _checked(url: str) -> str:
    """The base of the API; `/v1`, which SDKs want in theirs, is taken off.

    Without a scheme this machine is meant by http; for others that would show a key to the network.
    """
    text = url.strip()
    bare = _BARE.fullmatch(text) is not None
    try:
        parts = urlsplit(f"http://{text}" if bare else text)
        _ = parts.port
    except ValueError:
        parts, bare = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise click.UsageError(
            "DRAGOMAN_URL, --url: expected http://host:port or https://host, got another text."
        )
    if bare and not is_loopback(parts.geturl()):
        raise click.UsageError(
            f"DRAGOMAN_URL, --url: expected http:// or https:// before {text}, got neither. Write "
            f"https://{text}, or http://{text} where nobody can listen to the key."
        )
    path = parts.path.rstrip("/").removesuffix("/v1")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _usual(environ: Mapping[str, str]) -> str:
    port = environ.get("DRAGOMAN_PORT") or USUAL_PORT
    if not (_PORT.fullmatch(port) and 0 < int(port) < 65_536):
        raise click.UsageError(
            f"DRAGOMAN_PORT: expected a whole number from 1 to 65535, got {port[:20]!r}."
        )
    return f"http://127.0.0.1:{port}"


def _reachable(url: str) -> str:
    """Where a server that listens on all addresses is found from here."""
    parts = urlsplit(url)
    host = _EVERYWHERE.get(parts.hostname or "", parts.hostname or "")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{parts.port}"


def _running(folder: Path) -> dict[str, Any]:
    """What the runner wrote about itself; nothing unless it lives, which its lock tells."""
    try:
        descriptor = os.open(folder / "run.lock", os.O_RDWR)
    except OSError:
        return {}
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(folder / "run.json")
    finally:
        os.close(descriptor)
    return {}


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # it is just starting or stopping
    return document if isinstance(document, dict) else {}
