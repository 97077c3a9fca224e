"""The audit trail, read: by page, newest first.

documents   an entry as admins see it
shapes      the same for the OpenAPI document
service     a page of it
routes      HTTP
"""
