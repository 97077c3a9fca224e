"""`dragoman backup`: a copy of the SQLite database, taken while everything runs.

The copy is one transaction's view, made by SQLite's own backup API: writers go on meanwhile.
PostgreSQL has tools of its own for that, which this does not wrap.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from deploy.refusal import Refusal
from shared.config import Settings


def backup(settings: Settings, target: Path) -> int:
    """Copy the database to a new file, which only its owner can read; returns its size in bytes.

    Raises Refusal where there is no SQLite database of ours to copy, the file exists, the disk is
    full, or the copy is damaged.
    """
    url = sa.make_url(settings.database_url)
    if not url.drivername.startswith("sqlite") or url.database is None:
        raise Refusal(
            "Expected a SQLite database, got PostgreSQL: back it up with pg_dump, as "
            "docs/backup.md says."
        )
    source, unfinished = Path(url.database), target.with_name(f"{target.name}.unfinished")
    if not source.exists():
        raise Refusal(f"Expected the database {source}, got no file. See --data-dir.")
    if target.exists():
        raise Refusal(f"Expected a new file, got {target}, which exists. Choose another name.")
    try:
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        _copy(source, unfinished)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.rename(target)
    except (OSError, sqlite3.Error) as fault:
        unfinished.unlink(missing_ok=True)
        raise Refusal(f"{target} could not be written: {fault}.") from None
    return target.stat().st_size


def _copy(source: Path, target: Path) -> None:
    there = f"file:{quote(str(source))}?mode=ro"
    with closing(sqlite3.connect(there, uri=True)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        ours = new.execute("SELECT 1 FROM sqlite_master WHERE name = 'installation'").fetchone()
        if ours is None:
            raise sqlite3.DatabaseError(f"{source} holds no installation; see --data-dir")
        new.execute("PRAGMA journal_mode=DELETE")  # one file, whose name is all there is to it
        (verdict,) = new.execute("PRAGMA integrity_check").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"the copy is damaged ({verdict}), and so is {source}")
