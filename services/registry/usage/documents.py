"""Usage as its readers see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from shared.store import usage
from shared.store.usage import COUNTS, LATENCIES

PERCENTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
Names = Mapping[str, Mapping[str, Mapping[str, str]]]


def document(
    rows: Sequence[Mapping[str, Any]],
    group_by: Sequence[str],
    columns: Mapping[str, str],
    names: Names,
) -> list[dict[str, Any]]:
    """One entry a group; `names` holds what is known of providers and keys by id."""
    return [
        {**{name: _shown(name, row[columns[name]], names) for name in group_by}, **sums(row)}
        for row in rows
    ]


def sums(*rows: Mapping[str, Any]) -> dict[str, Any]:
    """Counts, tokens and latencies in seconds of these; null latencies without any request."""
    counts = {name: sum(int(row[name]) for row in rows) for name in COUNTS}
    histogram = [sum(int(row[name]) for row in rows) for name in LATENCIES]
    latency = {
        name: None if (found := usage.percentile(histogram, share)) is None else round(found, 3)
        for name, share in PERCENTILES.items()
    }
    tokens = counts["prompt_tokens"] + counts["completion_tokens"]
    return {**counts, "total_tokens": tokens, "latency_seconds": latency}


def _shown(name: str, value: Any, names: Names) -> Any:
    if name == "day":
        return datetime.fromtimestamp(value, UTC).date().isoformat()
    if name in ("provider", "key"):
        return {"id": value, **names[name].get(value, {})}
    return value
