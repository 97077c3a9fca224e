"""Providers: register, list, show, change, delete.

values      what a field may hold, and its one spelling
schemas     what a request may hold
slugs       short names for model ids and paths
lookup      id or slug → the provider, if the caller may see it
endpoints   where a provider is called, and where its key may go
keys        how its key is stored
changes     what a merge patch makes of a provider
listing     filters and pages
service     what happens, and its events in the same transaction
catalogue   what it lists, and what it listed before
refreshing  ask for a check now, and wait for it
resolving   where an endpoint leads, before it is saved
documents   a provider as its users see it
routes      HTTP
"""
