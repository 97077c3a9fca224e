"""Opening the store: the schema must fit this code, and the keyring what is sealed in it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.pool import Pool

from shared.config import Settings, without_password
from shared.crypto import SealBroken, Sealer, load_keyring
from shared.errors import ConfigurationError
from shared.store.database import UNAVAILABLE, Database, reason_of
from shared.store.schema import installation

SCHEMA_REVISION = 2
PROOF_PLACE = {"table": "installation", "row": "1", "column": "keyring_proof"}
PROOF = b"dragoman"


def open_store(
    settings: Settings, *, pool: type[Pool] | None = None, pool_size: int = 5
) -> tuple[Database, Sealer]:
    """The database and the sealer of this configuration.

    Raises ConfigurationError when the database is away, was never migrated, is older or newer
    than this code can run on, or was sealed with another keyring.
    """
    sealer = Sealer(load_keyring(settings))
    database = Database(settings.database_url, pool=pool, pool_size=pool_size)
    try:
        proof = _check_schema(database, f"DATABASE_URL ({without_password(settings.database_url)})")
        check_keyring(sealer, proof)
    except ConfigurationError:
        database.dispose()
        raise
    return database, sealer


def _check_schema(database: Database, origin: str) -> str:
    """The keyring's proof, when this code can run on the schema; else ConfigurationError."""
    reason = "no row in `installation`"
    try:
        with database.read() as tx:
            row = tx.execute(sa.select(installation)).first()
    except (*UNAVAILABLE, exc.ProgrammingError) as fault:
        row, reason = None, reason_of(fault)
    if row is None or row.keyring_proof is None:
        raise ConfigurationError(
            [f"{origin}: expected a database prepared by `dragoman migrate`, got: {reason}"]
        )
    if row.revision >= SCHEMA_REVISION and row.compatible_from <= SCHEMA_REVISION:
        return str(row.keyring_proof)
    remedy = "Start a newer release."
    if row.revision < SCHEMA_REVISION:
        remedy = "Run `dragoman migrate`."
    raise ConfigurationError(
        [
            f"{origin}: expected a schema that revision {SCHEMA_REVISION} can run on, got "
            f"revision {row.revision}, made for {row.compatible_from} and newer. {remedy}"
        ]
    )


def check_keyring(sealer: Sealer, proof: str) -> None:
    """Raise ConfigurationError when the database was sealed with another keyring."""
    try:
        sealer.open(proof, **PROOF_PLACE)
    except SealBroken:
        raise ConfigurationError(
            [
                "DRAGOMAN_KEYRING_FILE or DRAGOMAN_KEYRING: expected the keyring that this "
                "database was sealed with, got another one. Restore it from your backup."
            ]
        ) from None
