"""The chat worker: claims jobs from the store, calls their providers, writes how they ended.

worker       the parts, put together, started and stopped in order
tasks        what others may ask for: the doorbell, the purge
keeper       the database thread: finished calls, claims, the sweep
incarnation  the keeper's lease
unwritten    the outcomes that the keeper has yet to write
engine       the asyncio loop with every call in flight
call         one claim, from the sealed request to its outcome
outcomes     what a failure means for the job and for its provider's gate
senders      Redis from threads of its own: bells, cancellations, observations
watchdog     ends a process that stopped turning
"""
