"""The job store: every move of a chat job is one conditional UPDATE in this package.

rows     the shapes in which jobs enter and leave
submit   accept, cancel, delete, and the ends that the registry writes
read     what owners see
history  what owners look back on: lists, requests, attempts
filters  which jobs a list shows, and what an index does of that
claim    which jobs a worker takes next
lanes    whose turn it is: tiers, owners, providers' limits and gates
waiting  what is queued, and for whom
held     which claims hold: (worker, attempt) fences every move of a worker
finish   how claims end
ends     how jobs end without one
gates    why a provider is left alone
sweep    dead workers, deadlines, results past their time
"""

from shared.store.jobs.claim import claim, has_work
from shared.store.jobs.filters import Wanted
from shared.store.jobs.finish import finish
from shared.store.jobs.held import held_by, lost, publish
from shared.store.jobs.history import (
    MOST_LOOKED_AT,
    Attempt,
    Page,
    Sent,
    StoredLog,
    attempts,
    log_of,
    original_of,
    page,
    request_of,
    sent_of,
)
from shared.store.jobs.read import get, queue_position, queued, running_of, states
from shared.store.jobs.rows import (
    ERROR,
    LOG,
    ORIGINAL,
    REQUEST,
    RESULT,
    TABLE,
    WEBHOOK,
    ClaimedJob,
    Evidence,
    Fence,
    Finished,
    GateEffect,
    Job,
    NewJob,
    Outcome,
    Retention,
    Swept,
    Target,
)
from shared.store.jobs.submit import (
    by_key,
    cancel,
    delete,
    expire_foreground,
    fail_of_deleted_provider,
    insert,
    set_metadata,
)
from shared.store.jobs.sweep import purge, release_held, sweep

__all__ = [
    "ERROR",
    "LOG",
    "MOST_LOOKED_AT",
    "ORIGINAL",
    "REQUEST",
    "RESULT",
    "TABLE",
    "WEBHOOK",
    "Attempt",
    "ClaimedJob",
    "Evidence",
    "Fence",
    "Finished",
    "GateEffect",
    "Job",
    "NewJob",
    "Outcome",
    "Page",
    "Retention",
    "Sent",
    "StoredLog",
    "Swept",
    "Target",
    "Wanted",
    "attempts",
    "by_key",
    "cancel",
    "claim",
    "delete",
    "expire_foreground",
    "fail_of_deleted_provider",
    "finish",
    "get",
    "has_work",
    "held_by",
    "insert",
    "log_of",
    "lost",
    "original_of",
    "page",
    "publish",
    "purge",
    "queue_position",
    "queued",
    "release_held",
    "request_of",
    "running_of",
    "sent_of",
    "set_metadata",
    "states",
    "sweep",
]
