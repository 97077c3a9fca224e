"""Providers: register, list, show, delete.

schemas     what a request may hold
slugs       short names for model ids and paths
lookup      id or slug → the provider, if the caller may see it
service     what happens, and its event in the same transaction
documents   a provider as its users see it
routes      HTTP
"""
