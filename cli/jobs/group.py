"""The group that the commands join."""

from __future__ import annotations

import click


@click.group("jobs")
def group() -> None:
    """Chats in the background: list, show, submit, watch, cancel, delete."""
