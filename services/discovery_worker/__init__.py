"""The discovery worker: keeps every provider's model list fresh, and tests unsaved ones.

tasks      what others may ask for
discovery  one asyncio loop in one thread, and what belongs to it
ledger     the database thread
follower   the event stream, which only shortens the wait

scheduler  whose turn it is: 64 checks at once, one a server at a time
checker    one check: the model list, and whether the key is needed for it
verdict    what a check found, told from what came, and when to look again

checks     whose turn it is among tests of unsaved values, and how their steps are stored
tester     one test: its steps in their order (`reaching`, `asking`), their state (`trial`),
           what they found (`report`), and what to do about it (`advice`)
"""
