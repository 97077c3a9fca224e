"""What `./dragoman` hands on to the package `cli`: a client that talks to a running Dragoman.

Standard library only, so that `./dragoman --help` lists it before anything is installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

CLIENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "providers": "registered endpoints: list, show, add, edit, delete, refresh, test",
        "models": "list the models of all providers",
        "chat": "ask a model; the answer is printed as it comes",
        "jobs": "chats in the background: list, show, submit, watch, cancel, delete",
        "keys": "API keys: list, create, revoke; and rotate-master for this installation's",
        "usage": "show requests, failures, tokens and latencies",
        "events": "show what happened to providers and their models",
        "audit": "show who changed what",
        "completion": "print the completion script of a shell: bash, zsh or fish",
    }
)
OURS: Final = ("keys", "rotate-master")  # the one that needs the database, not the server
# What shells ask while somebody types: no moment to install anything.
TYPING: Final = ("completion", "complete")


def is_for_client(arguments: Sequence[str]) -> bool:
    """Whether these arguments of `./dragoman` are a command of the package `cli`."""
    return bool(arguments) and arguments[0] in CLIENT and tuple(arguments[:2]) != OURS


def is_typing(arguments: Sequence[str]) -> bool:
    """Whether a shell asks what could be typed next."""
    return tuple(arguments[:2]) == TYPING
