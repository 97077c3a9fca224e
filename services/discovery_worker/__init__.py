"""The discovery worker: keeps every provider's model list fresh.

tasks      what others may ask for
discovery  one asyncio loop in one thread, and what belongs to it
scheduler  whose turn it is: 64 checks at once, one a server at a time
checker    one check: the model list, and whether the key is needed for it
verdict    what a check found, told from what came, and when to look again
ledger     the database thread
follower   the event stream, which only shortens the wait
"""
