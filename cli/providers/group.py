"""The group that the commands join."""

from __future__ import annotations

import click


@click.group("providers")
def group() -> None:
    """Registered endpoints: list, show, add, edit, delete, refresh, test."""
