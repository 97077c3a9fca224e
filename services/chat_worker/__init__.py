"""The chat worker: claims jobs from the store, calls their providers, writes how they ended.

worker       the parts, put together, started and stopped in order
tasks        what others may ask for: the doorbell, the purge
keeper       the database thread: finished calls, claims
tidying      … and the sweep and the purge, whose errors end no claim
incarnation  the keeper's lease
outage       how long the database has been away, or locked
unwritten    the outcomes that the keeper has yet to write
answered     … and which of their failures tell a gate nothing new
unpublished  the streams that wait for the keeper before they may be seen
engine       the asyncio loop with every call in flight
call         one claim, from the sealed request to its outcome
targets      where a claim goes, and within which bounds
publishing   the chunks of a streamed call: numbered, logged, folded
live_queue   the chunks that wait for Redis
live_sender  … and their way there
record       what a claim did so far, and the outcome that this comes to
told         the log line of a call that did not complete
outcomes     what a failure means for the job and for its provider's gate
deliveries   the loop with every webhook under way
postbox      … which of them are due, and how they ended
receivers    … and how many go to whom at once
letters      a webhook on its way
senders      Redis from threads of its own: bells, cancellations, observations
watchdog     ends a process that stopped turning
"""
