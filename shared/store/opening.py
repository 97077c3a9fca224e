"""Opening the store: the schema must fit this code, and the keyring what is sealed in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.pool import Pool

from shared.config import Settings, without_password
from shared.crypto import SealBroken, Sealer, load_sealer, sealed_with
from shared.errors import ConfigurationError, Faults
from shared.store.database import ANSWER_SECONDS, UNAVAILABLE, Database, reason_of
from shared.store.schema import installation

SCHEMA_REVISION = 11
PROOF_PLACE = {"table": "installation", "row": "1", "column": "keyring_proof"}
PROOF = b"dragoman"


def open_store(
    settings: Settings,
    *also: Callable[[], object],
    pool: type[Pool] | None = None,
    pool_size: int = 5,
) -> tuple[Database, Sealer]:
    """The database and the sealer of this configuration; the sealer follows the keyring's file.

    Raises ConfigurationError when the database is away, was never migrated, is older or newer
    than this code can run on, or when the keyring is unusable, another one, or lacks a key that
    is still in use; with all the faults at once, those of the checks in `also` among them.
    """
    faults = Faults()
    for check in also:
        faults.of(check)
    sealer = faults.of(partial(load_sealer, settings))
    database = Database(
        settings.database_url, pool=pool, pool_size=pool_size, answer_seconds=ANSWER_SECONDS
    )
    origin = f"DATABASE_URL ({without_password(settings.database_url)})"
    try:
        proofs = faults.of(partial(_check_schema, database, origin))
        if sealer is not None and proofs is not None:
            faults.of(partial(check_keyring, sealer, proofs))
        faults.raise_any()
        assert sealer is not None  # noqa: S101 - else there was a fault
    except BaseException:
        database.dispose()
        raise
    return database, sealer


def _check_schema(database: Database, origin: str) -> str:
    """The keyring's proofs, when this code can run on the schema; else ConfigurationError."""
    row, reason = None, "no row in `installation`"
    try:
        if database.is_missing:  # to connect would make it
            reason = "no such file"
        else:
            with database.read() as tx:
                row = tx.execute(sa.select(installation)).first()
    except (*UNAVAILABLE, exc.DatabaseError) as fault:
        reason = reason_of(fault)
    if row is None or row.keyring_proof is None:
        raise ConfigurationError(
            [f"{origin}: expected a database prepared by `dragoman migrate`, got: {reason}"]
        )
    check_revision(row, origin)
    return str(row.keyring_proof)


def check_revision(row: sa.Row[Any], origin: str) -> None:
    """Raise ConfigurationError unless this code can run on the schema that the row tells."""
    if row.revision >= SCHEMA_REVISION and row.compatible_from <= SCHEMA_REVISION:
        return
    remedy = "Start a newer release."
    if row.revision < SCHEMA_REVISION:
        remedy = "Run `dragoman migrate`."
    raise ConfigurationError(
        [
            f"{origin}: expected a schema that revision {SCHEMA_REVISION} can run on, got "
            f"revision {row.revision}, made for {row.compatible_from} and newer. {remedy}"
        ]
    )


def prove(sealer: Sealer) -> str:
    """A proof that the sealer's primary key is one of this database's."""
    return sealer.seal(PROOF, **PROOF_PLACE)


def check_keyring(sealer: Sealer, proofs: str) -> None:
    """Raise ConfigurationError unless the keyring holds every key that the database needs.

    `proofs` are one for each of them, with spaces between: while a rotation is under way, two.
    """
    needed = by_key(proofs)
    missing = [kid for kid, proof in needed.items() if not _opens(sealer, proof)]
    if needed and not missing:
        return
    got = "another one. Restore it from your backup."
    if len(missing) < len(needed):
        got = (
            f"one without key {', '.join(missing)}, which is in use since `dragoman keys "
            "rotate-master`. Copy the present keyring to this machine."
        )
    raise ConfigurationError(
        [
            "DRAGOMAN_KEYRING_FILE or DRAGOMAN_KEYRING: expected the keyring that this database "
            f"was sealed with, got {got}"
        ]
    )


def by_key(proofs: str) -> dict[str, str]:
    """Key id → proof."""
    return {sealed_with(proof): proof for proof in proofs.split()}


def _opens(sealer: Sealer, proof: str) -> bool:
    try:
        return sealer.open(proof, **PROOF_PLACE) == PROOF
    except SealBroken:
        return False
