"""Events: the outbox as a feed for people's own integrations, and each provider's timeline.

following   live followers of one process: one reader for all of them
service     pages of the feed and of timelines
documents   an event as its readers see it, as JSON and as a frame of a stream
routes      HTTP
"""
