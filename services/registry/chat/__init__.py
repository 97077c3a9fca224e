"""Chat completions, which are the jobs.

request     the body: what is ours, what goes upstream unchanged
submission  from a valid body to a durable job
documents   the job as its owner sees it
routes      HTTP
"""
