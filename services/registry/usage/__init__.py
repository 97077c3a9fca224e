"""Usage: totals by provider, model, key, owner and day.

schemas   what a query may hold
documents the totals as their readers see them
names     what a reader calls the providers in them
shapes    the same as JSON Schema
routes    HTTP
"""
