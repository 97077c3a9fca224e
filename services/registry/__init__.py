"""The HTTP face: owns providers and keys, accepts chats, answers for jobs, publishes events.

server          gunicorn in this process, gevent workers
bootstrap       picks the parts of one worker process
app             the Flask application over those parts
timely          how long a request's body may take to come
problems        the one place that knows HTTP for errors
database        transactions that share a commit, off the event loop
bell            hints to the workers after a commit
relay           outbox → event stream, by whoever leads
waiting         requests that wait for the end of a job
watching        requests that wait for discovery: refreshes and checks
preferences     what a client would prefer (RFC 7240)
providers, checks, events, models, chat     one package a resource
"""
