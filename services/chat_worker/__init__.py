"""The chat worker: claims jobs from the store, calls their providers, writes how they ended.

app        the Celery application: the doorbell's task, and the step that owns the engine
keeper     the database thread: lease, finished calls, claims, sweep
engine     the asyncio loop with every call in flight
call       one claim, from the sealed request to its outcome
outcomes   what a failure means for the job and for its provider's gate
senders    Redis from threads of its own: bells, notices, observations
watchdog   ends a process that stopped turning
"""
