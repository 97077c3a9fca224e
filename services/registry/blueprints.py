"""Blueprints of this API: guarded by a key, with arguments read strictly."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeVar

import marshmallow as ma
import msgspec
from flask import Request, g, request
from flask_smorest import Blueprint as SmorestBlueprint
from webargs.flaskparser import FlaskParser

from services.registry import json_bodies
from services.registry.authentication import Authenticator
from services.registry.schemas import UNKNOWN
from shared.errors import InvalidValue, UnknownField

View = TypeVar("View", bound=Callable[..., Any])


class Decorator(Protocol):
    """Gives back the view that it was given."""

    def __call__(self, view: View) -> View: ...  # noqa: D102


_OBJECTS: Final = msgspec.json.Decoder(dict[str, Any])


class Parser(FlaskParser):
    """Reads arguments by marshmallow schemas; its refusals are errors of the tree."""

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {"json": ma.RAISE, "query": ma.RAISE}  # noqa: RUF012

    def load_json(self, req: Request, schema: ma.Schema) -> dict[str, Any]:
        """The body as an object within the bounds of `json_bodies`."""
        return json_bodies.decode(json_bodies.read(req), _OBJECTS)

    def handle_error(self, error: ma.ValidationError, *_: object, **__: object) -> NoReturn:
        """Raise InvalidValue or UnknownField for the first fault found."""
        (faults,) = error.normalized_messages().values()  # type: ignore[no-untyped-call] # by location: json or query
        path, message = _first(faults, "")
        if message is UNKNOWN:
            raise UnknownField(f"Expected only documented fields, got {path}.", param=path)
        raise InvalidValue(f"{path}: {message}" if path else message, param=path or None)


class Blueprint(SmorestBlueprint):  # type: ignore[misc] # flask-smorest has no types
    """A blueprint whose arguments are read by our parser."""

    ARGUMENTS_PARSER = Parser()

    if TYPE_CHECKING:  # what of flask-smorest we use, with its types

        def get(self, rule: str) -> Decorator: ...  # noqa: D102

        def post(self, rule: str) -> Decorator: ...  # noqa: D102

        def delete(self, rule: str) -> Decorator: ...  # noqa: D102

        def before_request(self, function: View) -> View: ...  # noqa: D102

        def arguments(self, schema: Any, **options: Any) -> Decorator: ...  # noqa: D102

        def response(self, status: int, schema: Any = None, **options: Any) -> Decorator: ...  # noqa: D102

        def alt_response(self, status: int, **options: Any) -> Decorator: ...  # noqa: D102

        def doc(self, **options: Any) -> Decorator: ...  # noqa: D102


def guarded(authenticator: Authenticator, name: str, prefix: str, description: str) -> Blueprint:
    """A blueprint below `prefix` that serves nobody without a key."""
    routes = Blueprint(name, __name__, url_prefix=prefix, description=description)

    @routes.before_request
    def authenticate() -> None:
        g.caller = authenticator.caller_of(request)

    return routes


def _first(faults: Any, path: str) -> tuple[str, str]:
    """The first message in marshmallow's tree of them, and its JSON path."""
    while isinstance(faults, dict):
        key, faults = next(iter(faults.items()))
        if isinstance(key, int):
            path = f"{path}[{key}]"
        elif key != "_schema":
            path = f"{path}.{key}" if path else str(key)
    return path, faults[0]
