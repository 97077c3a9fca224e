"""Models: what all visible providers list, and which provider a model id means.

resolution  model id → provider and the upstream's own id
documents   the catalogue as OpenAI's model list
routes      HTTP
"""
