"""Other people's clients, unmodified, and the scripts that use them as anybody would.

Each is installed from its lock (`requirements/clients.lock`, `node/package-lock.json`) into
`.clients/`, apart from Dragoman's own packages: they need not agree with ours.
"""
