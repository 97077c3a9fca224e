"""Provider checks: values that are not saved yet, tested step by step by a discovery worker.

schemas     what a request may hold
service     what is tested, how often, and how to wait for it
documents   a check as admins see it
routes      HTTP
"""
