"""Styles, scripts and pictures, served under a version of their content.

A page names the version that it was made with, so a browser may keep each file for ever and still
never mixes two releases.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from flask import Response, send_from_directory

from shared.errors import NotFound

FOLDER: Final = Path(__file__).with_name("static")
ROUTE: Final = "/console/static"
# Written down, because what the machine's own table says differs from machine to machine.
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".license": "text/plain; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_KEPT: Final = "public, max-age=31536000, immutable"


class Assets:
    """The files below `folder`, at one version."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self.version = _version(folder)

    def url(self, path: str) -> str:
        """Where a page finds this file; raises LookupError for one that is not there."""
        if not (self._folder / path).is_file():
            raise LookupError(f"expected a file below {self._folder.name}/, got {path!r}")
        return f"{ROUTE}/{self.version}/{path}"

    def send(self, version: str, path: str) -> Response:
        """The file; raises NotFound. Another version than ours is not kept by browsers."""
        kind = TYPES.get(Path(path).suffix.lower())
        if kind is None or not (self._folder / path).is_file():
            raise NotFound("Expected a file of the console, got a name that has none. Reload.")
        answer = send_from_directory(self._folder, path, mimetype=kind, etag=True)
        answer.headers["Cache-Control"] = _KEPT if version == self.version else "no-cache"
        return answer


def _version(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\x00")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
