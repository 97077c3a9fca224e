"""The columns and indexes that many tables share, and the metadata that holds all tables."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = sa.MetaData(naming_convention=NAMING)


def json_type() -> sa.types.TypeEngine[Any]:
    """JSON, as JSONB where there is one."""
    return sa.JSON().with_variant(JSONB(), "postgresql")


def time(name: str, *, nullable: bool = True) -> sa.Column[float]:
    """Unix seconds."""
    return sa.Column(name, sa.Double, nullable=nullable)


def flag(name: str) -> sa.Column[bool]:
    """False unless set."""
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


def count(name: str) -> sa.Column[int]:
    """A total."""
    return sa.Column(name, sa.BigInteger, nullable=False)


def alive(name: str, *columns: str) -> sa.Index:
    """Unique among the rows that were not deleted."""
    condition = sa.text("deleted_at IS NULL")
    return sa.Index(name, *columns, unique=True, sqlite_where=condition, postgresql_where=condition)


def where(name: str, condition: str, *columns: str) -> sa.Index:
    """A partial index."""
    clause = sa.text(condition)
    return sa.Index(name, *columns, sqlite_where=clause, postgresql_where=clause)
