"""The description of the API: `/openapi.json`, and `/docs`, which shows it to people."""

from services.registry.openapi.document import Api, register

__all__ = ["Api", "register"]
