"""The job table itself, read beside the API: a job that no caller knows must end as well."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa

LIVE = ("queued", "in_progress")


class JobTable:
    """Reads only. `url` as in DATABASE_URL."""

    def __init__(self, url: str) -> None:
        parsed = sa.make_url(url)
        if parsed.drivername == "sqlite":
            parsed = sa.make_url(f"sqlite:///file:{parsed.database}?mode=ro&uri=true")
        else:
            parsed = parsed.set(drivername="postgresql+psycopg")
        self._engine = sa.create_engine(parsed, poolclass=sa.NullPool)

    def states(self) -> Counter[str]:
        """State → number of jobs in it."""
        with self._engine.connect() as connection:
            rows = connection.execute(
                sa.text("SELECT state, count(*) AS jobs FROM chat_job GROUP BY state")
            )
            return Counter({row.state: row.jobs for row in rows})

    def live(self) -> int:
        """Jobs that have not ended."""
        states = self.states()
        return sum(states[state] for state in LIVE)

    def undelivered(self) -> int:
        """Webhooks that are still to be told."""
        with self._engine.connect() as connection:
            query = sa.text("SELECT count(*) FROM webhook_delivery WHERE status = 'pending'")
            return int(connection.execute(query).scalar_one())

    def holder(self, job_id: str) -> int | None:
        """The pid of the worker that holds this job; None while none does."""
        query = sa.text(
            "SELECT worker.pid FROM chat_job JOIN worker ON worker.id = chat_job.worker_id"
            " WHERE chat_job.id = :id AND chat_job.state = 'in_progress'"
        )
        with self._engine.connect() as connection:
            return connection.execute(query, {"id": job_id.rpartition("-")[2]}).scalar()

    def has_ended(self, job_id: str) -> bool:
        """Whether this job is terminal."""
        query = sa.text("SELECT state FROM chat_job WHERE id = :id")
        with self._engine.connect() as connection:
            found = connection.execute(query, {"id": job_id.rpartition("-")[2]}).scalar_one()
            return found not in LIVE

    def running_seconds(self, code: str) -> list[float]:
        """From the first start to the end, of each job that failed with `code`."""
        query = sa.text(
            "SELECT completed_at - started_at FROM chat_job"
            " WHERE error_code = :code AND started_at IS NOT NULL"
        )
        with self._engine.connect() as connection:
            return [seconds for (seconds,) in connection.execute(query, {"code": code})]
