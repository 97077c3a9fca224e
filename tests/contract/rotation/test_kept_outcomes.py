"""An answer that waited for the database is written under the master key of then, chunks too."""

from __future__ import annotations

import time

import sqlalchemy as sa

from services.chat_worker.unwritten import Unwritten
from shared.crypto import LOOK_SECONDS, Sealer, sealed_with
from shared.domain import JobState
from shared.store.jobs import Finished, Outcome, Retention
from shared.store.schema import chat_job
from shared.store.sealed import COLUMNS
from tests import sealedrows
from tests.contract.rotation.conftest import ROWS, Installation

RESULT, LOG = (
    column
    for name in ("result_sealed", "log_sealed")
    for column in COLUMNS
    if str(column) == f"chat_job.{name}"
)


def test_a_kept_answer_is_sealed_anew_when_the_key_was_rotated_meanwhile(
    installation: Installation,
) -> None:
    now = [0.0]
    sealer = Sealer(installation.keyring, file=installation.file, clock=lambda: now[0])
    held = {"state": "in_progress", "worker_id": "wrk", "attempt": 1, "result_sealed": None}
    with installation.database.write() as tx:
        tx.execute(sa.update(chat_job).where(chat_job.c.id.in_(ROWS[:2])).values(held))
    unwritten = Unwritten(installation.database, sealer, Retention(60, 60), time.time)
    kept = [
        Outcome(
            row,
            "wrk",
            1,
            JobState.COMPLETED,
            result_sealed=sealer.seal(sealedrows.plain(RESULT, row), **RESULT.place(row)),
            log_sealed=sealer.seal(sealedrows.plain(LOG, row), **LOG.place(row)),
        )
        for row in ROWS[:2]
    ]
    unwritten.add(kept[0])
    (before,) = unwritten.write(renew=lambda _tx: True)
    assert before == ([kept[0]], Finished({kept[0].fence}, hooked=True))
    unwritten.add(kept[1])
    installation.rotate()
    now[0] += LOOK_SECONDS
    ((_, ended),) = unwritten.write(renew=lambda _tx: True)
    assert ended.held == {kept[1].fence}
    for column in (RESULT, LOG):
        stored = sealedrows.values(installation.database, column)[ROWS[1]]
        assert sealed_with(stored) == installation.keyring.primary
    assert sealedrows.all_open(installation.database, Sealer(installation.keyring))
