"""Secrets in files: `DATABASE_URL_FILE` names a file that holds what `DATABASE_URL` would.

Container platforms hand secrets over so: a file that one container sees, and nothing in an
environment that `inspect`, crash reports and child processes show.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

# Variable → the one whose text its file holds.
FILES: Final = {
    f"{variable}_FILE": variable
    for variable in ("DATABASE_URL", "REDIS_URL", "DRAGOMAN_METRICS_TOKEN")
}


def read(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """`environ` with the files' texts under the names of their settings, and every fault."""
    known, faults = dict(environ), []
    for variable, setting in FILES.items():
        name = environ.get(variable, "").strip()
        if not name:
            continue
        if environ.get(setting, "").strip():
            faults.append(f"{variable}: expected {setting} to be unset beside it, got both")
            continue
        try:
            known[setting] = Path(name).expanduser().read_text("utf-8")
        except (OSError, UnicodeDecodeError) as fault:
            reason = getattr(fault, "strerror", None) or "not UTF-8"
            faults.append(f"{variable} ({name}): expected a readable file, got: {reason}")
            continue
        if not known[setting].strip():
            faults.append(f"{variable} ({name}): expected {setting} in the file, got nothing")
    return known, faults
