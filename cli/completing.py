"""What could be typed next, where the server knows it: it gets a second to say so.

A completion that cannot be had is none: no message could be shown in the middle of a line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from cli.failures import Failure
from cli.routes import CHAT, KEYS, MODELS, PROVIDERS
from cli.session import App

SECONDS: Final = 1
MOST: Final = 100
JOB: Final = "chatcmpl-"
ID_LENGTH: Final = 26  # characters of a ULID
_PART_OF_ID: Final = re.compile("[0-9A-Z]+")

Found = list[CompletionItem[str]]
Ask = Callable[[Callable[..., dict[str, Any]], str], Found]


def _completer(ask: Ask) -> Callable[[click.Context, click.Parameter, str], Found]:
    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> Found:
        app = context.find_object(App)
        if app is None:
            return []
        try:
            with app.session(context.params) as session:

                def get(path: str, **query: Any) -> dict[str, Any]:
                    return session.api.get(path, patience=SECONDS, **query)

                return [item for item in ask(get, incomplete) if item.value.startswith(incomplete)]
        except (Failure, click.ClickException, ValueError):
            return []

    return complete


def _providers(get: Callable[..., dict[str, Any]], incomplete: str) -> Found:
    listed = get(PROVIDERS, limit=MOST)["data"]
    return [CompletionItem(row["slug"], help=row["discovery"]["status"]) for row in listed]


def _models(get: Callable[..., dict[str, Any]], incomplete: str) -> Found:
    slug, slash, _ = incomplete.partition("/")
    listed = get(MODELS, provider=slug if slash else None)["data"]
    return [CompletionItem(row["id"], help=row["provider"]["status"]) for row in listed]


def _jobs(get: Callable[..., dict[str, Any]], incomplete: str) -> Found:
    # Ids are in the order of their times: what is typed of one says where its likes end.
    typed = incomplete.removeprefix(JOB)
    begun = incomplete.startswith(JOB) and _PART_OF_ID.fullmatch(typed)
    after = JOB + typed.ljust(ID_LENGTH, "Z") if begun and len(typed) < ID_LENGTH else None
    listed = get(CHAT, limit=MOST, order="desc", after=after)["data"]
    return [CompletionItem(row["id"], help=f"{row['status']} {row['model']}") for row in listed]


def _keys(get: Callable[..., dict[str, Any]], incomplete: str) -> Found:
    listed = get(KEYS, limit=MOST, order="desc")["data"]
    return [CompletionItem(k["id"], help=k["name"]) for k in listed if k["revoked_at"] is None]


provider_slugs = _completer(_providers)
model_ids = _completer(_models)
job_ids = _completer(_jobs)
key_ids = _completer(_keys)
