"""What a request to test a provider may hold: all that a new one has, and how to test it."""

from __future__ import annotations

from typing import Final

from services.registry.providers.schemas import NewProvider, Options
from services.registry.schemas import Flag, Inner, Text, patch_of


class _Tested(NewProvider):
    """A new provider and its test."""

    chat = Flag(
        load_default=False,
        metadata={"description": "also send one short chat, which costs a few tokens"},
    )
    model = Text(
        load_default=None,
        pattern=r"[^\x00-\x1f\x7f]{1,256}",
        expected="1 to 256 printable characters",
        metadata={"description": "the server's own model id for that chat; else its first one"},
    )
    provider = Text(
        load_default=None,
        metadata={"description": "id or slug of a provider; what is not given is taken from it"},
    )


# Nothing is required of what a saved provider can give, so it reads as a merge patch does.
NewCheck: Final = patch_of(
    _Tested, "ProviderTest", options=Inner(patch_of(Options, "TestedOptions"))
)
