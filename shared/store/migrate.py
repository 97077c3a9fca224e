"""`dragoman migrate`: the schema, the keyring and the first admin key.

Only this makes a missing keyring or admin key. It may run on every start and from several
machines at once: one runs, the others wait and then find nothing to do.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import exc

from shared.config import Settings, without_password
from shared.crypto import Sealer, load_sealer
from shared.errors import ConfigurationError
from shared.keyring import Keyring
from shared.store import access, audit
from shared.store.audit import COMMAND_LINE, Action
from shared.store.database import UNAVAILABLE, Database, reason_of
from shared.store.opening import SCHEMA_REVISION, check_keyring, check_revision, prove
from shared.store.schema import installation
from shared.telemetry import Secret

MIGRATION_LOCK: Final = 0x6D696772617465
INSUFFICIENT_PRIVILEGE: Final = "42501"  # SQLSTATE
_SENDABLE: Final = re.compile(r"[\x20-\x7e]{32,}")  # in a header
_SCRIPTS: Final = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What one run did; the paths are None where the file existed already."""

    revision: int
    keyring_created: Path | None
    admin_key_created: Path | None
    admin_key_file: Path


def migrate(settings: Settings, *, new_admin_key: bool = False) -> MigrationReport:
    """Bring the database to this code's schema and make what is missing.

    A newer schema stays as it is where this code can run on it: of the release after this one.
    `new_admin_key` makes a missing file of the admin key also where the database knows an admin.
    Raises ConfigurationError when the database is away, was sealed with a keyring that is gone, or
    knows the file's key as one that is over.
    """
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        told = f"expected a directory that can be made, got: {fault.strerror}"
        raise ConfigurationError([f"DRAGOMAN_DATA_DIR ({settings.data_dir}): {told}"]) from None
    database = Database(settings.database_url, pool=sa.pool.NullPool)
    try:
        with database.write() as tx:
            if tx.dialect.name != "sqlite":
                tx.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            before = _revision(tx)
            if before is not None and before > SCHEMA_REVISION:
                check_revision(tx.execute(sa.select(installation)).one(), _origin(settings))
            else:
                upgrade(tx)
            if before is None or before < SCHEMA_REVISION:
                _tell(tx, Action.SCHEMA_MIGRATE, {"from": before, "to": SCHEMA_REVISION})
            sealer, keyring_created = _keyring(tx, settings)
            admin_key_created = _admin_key(tx, settings, anew=new_admin_key)
            _prove(tx, sealer)
    except UNAVAILABLE as fault:
        raise _unusable(settings, "a database that answers", fault) from None
    except exc.ProgrammingError as fault:
        if getattr(fault.orig, "sqlstate", None) != INSUFFICIENT_PRIVILEGE:
            raise
        raise _unusable(settings, "the role that owns the tables", fault) from None
    except (exc.DatabaseError, sqlite3.DatabaseError) as fault:
        cause = getattr(fault, "orig", fault)
        if getattr(cause, "sqlite_errorcode", None) != sqlite3.SQLITE_NOTADB:
            raise
        raise _unusable(settings, "a database of SQLite", fault) from None
    finally:
        database.dispose()
    revision = max(before or 0, SCHEMA_REVISION)
    return MigrationReport(revision, keyring_created, admin_key_created, settings.admin_key_file)


def _unusable(settings: Settings, expected: str, fault: Exception) -> ConfigurationError:
    return ConfigurationError(
        [f"{_origin(settings)}: expected {expected}, got: {reason_of(fault)}"]
    )


def _origin(settings: Settings) -> str:
    return f"DATABASE_URL ({without_password(settings.database_url)})"


def alembic_config(tx: sa.Connection) -> Config:
    """Alembic's configuration for a run on this connection."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = tx
    return config


def upgrade(tx: sa.Connection, revision: str = "head") -> None:
    """Run the migrations up to `revision` in this transaction."""
    command.upgrade(alembic_config(tx), revision)


def _keyring(tx: sa.Connection, settings: Settings) -> tuple[Sealer, Path | None]:
    proof = tx.execute(sa.select(installation.c.keyring_proof)).scalar_one()
    path = settings.keyring_file
    if proof is not None and settings.keyring is None and not path.exists():
        raise ConfigurationError(
            [
                f"DRAGOMAN_KEYRING_FILE ({path}): expected the keyring that this database was "
                "sealed with, got no file. Restore your copy: a new keyring could open nothing "
                "that is stored."
            ]
        )
    if settings.keyring is not None or path.exists():
        return load_sealer(settings), None
    keyring = Keyring.generate()
    write_secret(path, keyring.dump())
    return Sealer(keyring), path


def _prove(tx: sa.Connection, sealer: Sealer) -> None:
    proof = tx.execute(sa.select(installation.c.keyring_proof)).scalar_one()
    if proof is not None:
        check_keyring(sealer, proof)
        return
    tx.execute(sa.update(installation).values(keyring_proof=prove(sealer)))


def _admin_key(tx: sa.Connection, settings: Settings, *, anew: bool) -> Path | None:
    path, is_known = settings.admin_key_file, access.any_admin(tx, now=time.time())
    created = None
    if path.exists():
        secret = Secret(path.read_bytes().strip().decode("utf-8", "replace"))
        if _SENDABLE.fullmatch(secret.reveal()) is None:
            short = len(secret.reveal()) < 32
            got = f"{len(secret.reveal())}" if short else "a line break or other ones among them"
            raise ConfigurationError(
                [
                    f"DRAGOMAN_ADMIN_KEY_FILE ({path}): expected a key of at least 32 printable "
                    f"ASCII characters, got {got}"
                ]
            )
    elif is_known and not anew:
        return None  # the operator took the file away on purpose
    else:
        secret = access.new_secret()
        write_secret(path, secret.reveal() + "\n")
        created = path
    digest = access.digest(secret.reveal())
    if not access.has_digest(tx, digest):
        key_id = access.add_key(
            tx,
            secret,
            name="another admin key" if is_known else "first admin key",
            owner="admin",
            role=access.Role.ADMIN,
            now=time.time(),
        )
        _tell(tx, Action.KEY_CREATE, {"role": access.Role.ADMIN.value}, subject=key_id)
    elif anew and access.find_caller(tx, digest, now=time.time()) is None:
        raise ConfigurationError(
            [
                f"DRAGOMAN_ADMIN_KEY_FILE ({path}): expected a key that opens something, got one "
                "that was revoked or has expired. Move the file away: another is made then"
            ]
        )
    return created


def _revision(tx: sa.Connection) -> int | None:
    """The schema's revision; None where there is no schema yet."""
    head = MigrationContext.configure(tx).get_current_revision()
    return None if head is None else int(head)


def _tell(
    tx: sa.Connection, action: Action, detail: Mapping[str, Any], *, subject: str | None = None
) -> None:
    audit.append(tx, COMMAND_LINE, action, at=time.time(), subject=subject, detail=detail)


def write_secret(path: Path, text: str) -> None:
    """Write a new file that only its owner can read; raises FileExistsError rather than replace."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
