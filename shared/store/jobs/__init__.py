"""The job store: every move of a chat job is one conditional UPDATE in this package.

rows     the shapes in which jobs enter and leave
submit   accept, cancel, and the ends that the registry writes
read     what owners see
claim    which jobs a worker takes next
finish   how claims end, fenced by (worker, attempt)
gates    why a provider is left alone
sweep    dead workers, deadlines, results past their time
"""

from shared.store.jobs.claim import claim, has_work
from shared.store.jobs.finish import finish, held_by, lost
from shared.store.jobs.read import get, queue_position, running_of, states
from shared.store.jobs.rows import (
    ERROR,
    REQUEST,
    RESULT,
    TABLE,
    ClaimedJob,
    Evidence,
    Fence,
    GateEffect,
    Job,
    NewJob,
    Outcome,
    Retention,
    Swept,
    Target,
)
from shared.store.jobs.submit import (
    cancel,
    expire_foreground,
    fail_of_deleted_provider,
    insert,
)
from shared.store.jobs.sweep import purge, release_held, sweep

__all__ = [
    "ERROR",
    "REQUEST",
    "RESULT",
    "TABLE",
    "ClaimedJob",
    "Evidence",
    "Fence",
    "GateEffect",
    "Job",
    "NewJob",
    "Outcome",
    "Retention",
    "Swept",
    "Target",
    "cancel",
    "claim",
    "expire_foreground",
    "fail_of_deleted_provider",
    "finish",
    "get",
    "has_work",
    "held_by",
    "insert",
    "lost",
    "purge",
    "queue_position",
    "release_held",
    "running_of",
    "states",
    "sweep",
]
