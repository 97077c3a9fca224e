"""Responses: jobs in the form of OpenAI's newer API, as a second view of the same rows.

request      the body: what is taken, and what is refused with the reason
messages     input items as the messages of a chat
translation  the body as a chat, which goes upstream
items        output items while they grow
output       a job's chunks as output items, and as events on the way there
documents    the response as its owner sees it
frames       the bytes of a stream of events
view         all of it together
shapes       the response as JSON Schema
routes       HTTP
"""
