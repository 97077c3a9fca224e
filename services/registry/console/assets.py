"""Styles, scripts and pictures, served under a version of their content.

A page names the version that it was made with, so a browser may keep each file for ever and still
never mixes two releases. They are read once: nothing outside this list can be asked for.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from flask import Response, request

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
    """The files below `folder` that have one of our types, as they are now."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix.lower() in TYPES
        }
        digest = hashlib.sha256()
        for name, content in self._files.items():
            digest.update(name.encode() + b"\x00" + hashlib.sha256(content).digest())
        self.version = digest.hexdigest()[:16]

    def url(self, path: str) -> str:
        """Where a page finds this file; raises LookupError for one that is not there."""
        if path not in self._files:
            raise LookupError(f"expected a file of the console, got {path!r}")
        return f"{ROUTE}/{self.version}/{path}"

    def send(self, version: str, path: str) -> Response:
        """The file; raises NotFound. Under another version than ours browsers ask again."""
        content = self._files.get(path)
        if content is None:
            raise NotFound("Expected a file of the console, got a name that has none. Reload.")
        answer = Response(content, content_type=TYPES[Path(path).suffix.lower()])
        answer.headers["Cache-Control"] = _KEPT if version == self.version else "no-cache"
        answer.add_etag()
        answer.make_conditional(request)
        return answer
