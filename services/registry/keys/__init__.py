"""API keys: create (shown once), list, revoke.

schemas     what a request may hold
service     what happens, and what the authenticator must forget
documents   a key as admins see it; never the secret
routes      HTTP
"""
