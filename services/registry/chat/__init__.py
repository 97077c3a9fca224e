"""Chat completions, which are the jobs.

request      the body: what is ours, what goes upstream unchanged
webhooks     where its end is told
idempotency  the client's own key for a request
backlog      how many jobs wait, and whether one more is taken
submission   from a valid body to a durable job
jobs         what owners do with their jobs
documents    the job as its owner sees it
shapes       the same as JSON Schema
following    chunks of running jobs, as Redis brings them
frames       the bytes of a stream
streams      one streamed answer: live chunks, stored chunks, the end
naming       what a job is called, on which route
views        how a job looks: a naming, a document, the form of its stream
replies      jobs as HTTP answers
calls        the forms of a submission: background, plain, stream
routes       HTTP: submit, and read by id
records      HTTP: lists, what was asked, the evidence, metadata, cancel, delete
"""
