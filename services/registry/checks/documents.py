"""A check as admins see it, also while its steps are still being done."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.crypto import Sealer
from shared.store import checks
from shared.store.checks import Check


def document(check: Check, sealer: Sealer) -> dict[str, Any]:
    """The check of the contract; raises SealBroken."""
    result: dict[str, Any] = {"steps": [], "endpoint": None, "models": []}
    if check.result_sealed is not None:
        result |= msgspec.json.decode(
            sealer.open(
                check.result_sealed, table=checks.TABLE, row=check.id, column=checks.RESULT
            ),
            type=dict[str, Any],
        )
    return {
        "id": check.id,
        "object": "provider.check",
        "status": "done" if check.done else "running",
        **{name: result[name] for name in ("steps", "endpoint", "models")},
    }
