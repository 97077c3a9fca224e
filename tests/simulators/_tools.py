"""Tool calls: a simulated model calls every tool that it is offered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def calls(request: Mapping[str, Any], id_prefix: str) -> list[dict[str, Any]]:
    """A call of each tool of the request; none when it offers none."""
    names = [tool["function"]["name"] for tool in request.get("tools") or ()]
    return [
        {
            "id": f"{id_prefix}{number}",
            "type": "function",
            "function": {"name": name, "arguments": '{"place": "Gare de l\'Est", "days": 3}'},
        }
        for number, name in enumerate(names)
    ]
