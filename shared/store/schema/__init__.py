"""The tables. Each names its one writer; times are Unix seconds, `*_sealed` columns ciphertext.

Partial indexes carry the claim: their conditions are repeated literally in `store.jobs`, because
neither database uses a partial index for a condition that arrives as a parameter.
"""

from shared.store.schema.columns import metadata
from shared.store.schema.installation import (
    api_key,
    audit,
    console_session,
    installation,
    leader,
    worker,
)
from shared.store.schema.jobs import (
    LATENCY_BUCKETS,
    NOTED,
    chat_job,
    job_attempt,
    job_metadata,
    provider_gate,
    usage_day,
    usage_hour,
    usage_part,
    webhook_delivery,
)
from shared.store.schema.providers import (
    discovery,
    event,
    event_counter,
    model,
    provider,
    provider_check,
)

__all__ = [
    "LATENCY_BUCKETS",
    "NOTED",
    "api_key",
    "audit",
    "chat_job",
    "console_session",
    "discovery",
    "event",
    "event_counter",
    "installation",
    "job_attempt",
    "job_metadata",
    "leader",
    "metadata",
    "model",
    "provider",
    "provider_check",
    "provider_gate",
    "usage_day",
    "usage_hour",
    "usage_part",
    "webhook_delivery",
    "worker",
]
