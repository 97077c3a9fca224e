"""`dragoman keys rotate-master --stage status` and `--stage verify`: looks that change nothing."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from deploy.refusal import Refusal
from shared.crypto import Sealer
from shared.keyring import Keyring
from shared.store.schema import provider
from shared.store.sealed import COLUMNS
from tests.contract.rotation.conftest import ROWS, Installation


def test_the_status_counts_what_each_key_sealed(installation: Installation) -> None:
    old = installation.keyring
    installation.rotate(stage="add")
    stranger = Sealer(Keyring.generate())
    with installation.database.write() as tx:
        place = {"table": "provider", "row": ROWS[0], "column": "api_key_sealed"}
        foreign = stranger.seal(b"x", **place)
        tx.execute(
            sa.update(provider).where(provider.c.id == ROWS[0]).values(api_key_sealed=foreign)
        )
    installation.said.clear()
    installation.rotate(stage="status")
    assert installation.said == [
        f"key {old.primary}  seals  {len(ROWS) * len(COLUMNS) - 1} values",
        f"key {installation.keyring.coming}  next   0 values",
        "no key of this keyring  1 values",
    ]


def test_every_value_is_opened_where_that_is_asked_for(installation: Installation) -> None:
    """A value that stands in another row names a key that is there, and yet does not open."""
    installation.said.clear()
    installation.rotate(stage="verify")
    assert installation.said == ["Every stored value opens with this keyring."]
    with installation.database.write() as tx:
        first, second = (provider.c.id == row for row in ROWS[:2])
        moved = tx.execute(sa.select(provider.c.api_key_sealed).where(first)).scalar_one()
        tx.execute(sa.update(provider).where(second).values(api_key_sealed=moved))
    installation.said.clear()
    with pytest.raises(Refusal, match="got 1 that do not"):
        installation.rotate(stage="verify")
    (told,) = installation.said
    assert f"provider {ROWS[1]} api_key_sealed" in told
