"""Blueprints of this API: guarded by a key, with arguments read strictly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeVar

import marshmallow as ma
import msgspec
from flask import Request, Response, after_this_request, g, request
from flask_smorest import Blueprint as SmorestBlueprint
from webargs.flaskparser import FlaskParser

from services.registry import json_bodies
from services.registry.parts import Parts
from services.registry.refusals import LONGEST_PATH, unknown_field
from services.registry.schemas import Unknown
from shared.errors import InvalidValue, UnknownField

View = TypeVar("View", bound=Callable[..., Any])


class Decorator(Protocol):
    """Gives back the view that it was given."""

    def __call__(self, view: View) -> View: ...  # noqa: D102


MOST_TOLD: Final = 5  # further faults that a message names
_OBJECTS: Final = msgspec.json.Decoder(dict[str, Any])


class Parser(FlaskParser):
    """Reads arguments by marshmallow schemas; its refusals are errors of the tree."""

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {"json": ma.RAISE, "query": ma.RAISE}  # noqa: RUF012

    def load_json(self, req: Request, schema: ma.Schema) -> dict[str, Any]:
        """The body as an object within the bounds of `json_bodies`."""
        return json_bodies.decode(json_bodies.read(req), _OBJECTS)

    def load_querystring(self, req: Request, schema: ma.Schema) -> Any:
        """The arguments of the query: each once, but for those that are documented as lists."""
        found = super().load_querystring(req, schema)
        for name, values in req.args.lists():
            if len(values) > 1 and name not in found.multiple_keys:
                name = name[:LONGEST_PATH]
                raise InvalidValue(
                    f"{name}: Expected one value, got {len(values):,}. Send it once.", param=name
                )
        return found

    def handle_error(self, error: ma.ValidationError, *_: object, **__: object) -> NoReturn:
        """Raise InvalidValue or UnknownField for the first fault; its message names the others."""
        ((location, faults),) = error.normalized_messages().items()  # type: ignore[no-untyped-call] # untyped
        # Fields that nobody knows come last, by name: marshmallow finds them in no order.
        leaves = list(_leaves(faults, ""))
        if location == "query":  # an argument that came twice is no list to whoever sent it
            leaves = [(path.partition("[")[0], message) for path, message in leaves]
        found = [leaf for leaf in leaves if not isinstance(leaf[1], Unknown)]
        found += sorted(leaf for leaf in leaves if isinstance(leaf[1], Unknown))
        (path, message), others = found[0], found[1:]
        told = " Also ".join(_told(*leaf) for leaf in found[: 1 + MOST_TOLD])
        told = told.replace(" Also Expected ", " Also expected ")  # of no field's own
        if len(others) > MOST_TOLD:
            told += f" Further faults: {len(others) - MOST_TOLD}."
        kind = UnknownField if isinstance(message, Unknown) else InvalidValue
        raise kind(told, param=path or None)


class Blueprint(SmorestBlueprint):  # type: ignore[misc] # flask-smorest has no types
    """A blueprint whose arguments are read by our parser."""

    ARGUMENTS_PARSER = Parser()

    def arguments(self, schema: type[ma.Schema], **options: Any) -> Decorator:
        """As flask-smorest's, with one schema for all requests.

        Where it is given the class, each request makes one: a sixth of what a read of a job takes.
        """
        decorator: Decorator = super().arguments(schema(), **options)
        return decorator

    if TYPE_CHECKING:  # what of flask-smorest we use, with its types

        def get(self, rule: str) -> Decorator: ...  # noqa: D102

        def post(self, rule: str) -> Decorator: ...  # noqa: D102

        def patch(self, rule: str) -> Decorator: ...  # noqa: D102

        def delete(self, rule: str) -> Decorator: ...  # noqa: D102

        def before_request(self, function: View) -> View: ...  # noqa: D102

        def response(self, status: int, schema: Any = None, **options: Any) -> Decorator: ...  # noqa: D102

        def alt_response(self, status: int, **options: Any) -> Decorator: ...  # noqa: D102

        def doc(self, **options: Any) -> Decorator: ...  # noqa: D102


def guarded(parts: Parts, name: str, prefix: str, description: str) -> Blueprint:
    """A blueprint below `prefix` that serves nobody without a key, or beyond a key's limit."""
    routes = Blueprint(name, __name__, url_prefix=prefix, description=description)

    @routes.before_request
    def authenticate() -> None:
        caller = g.caller = parts.authenticator.caller_of(request)
        if caller.limits is not None:
            parts.limiter.request(caller)
        if caller.session_until is not None:
            after_this_request(_unkept)

    return routes


def _unkept(response: Response) -> Response:
    """The answer to a browser, which must not find it again after the logout."""
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _leaves(faults: Any, path: str) -> Iterator[tuple[str, str]]:
    """The JSON path and the first message of every field in marshmallow's tree of them."""
    if not isinstance(faults, dict):
        yield path[:LONGEST_PATH], faults[0]
        return
    for key, inner in faults.items():
        if isinstance(key, int):
            yield from _leaves(inner, f"{path}[{key}]")
        elif key == "_schema":
            yield from _leaves(inner, path)
        else:
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))


def _told(path: str, message: str) -> str:
    if isinstance(message, Unknown):
        return unknown_field(path, message.known)
    return f"{path}: {message}" if path else message
