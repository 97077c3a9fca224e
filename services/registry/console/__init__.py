"""The console: pages for people, from the same use cases that the API serves.

pages       how a page is made: templates, who may see it, what its answer must carry
login       in and out
assets      styles, scripts and pictures, under a name that changes with them
faults      errors as pages
queries     the filters that a page's address holds
addresses   of our own pages, and of servers as people read them
times       for scripts, and without them
routes      the blueprint; a page is a module with `add(routes, console)` in its `PAGES`

Pages only read. What changes anything is sent by their scripts to the same `/v1` routes that every
client uses, with the session's cookie and the token that `sessions` asks for.
"""
