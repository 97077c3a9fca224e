"""What a check found, told from what came back, and when to look again. No clock, no dice here."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from shared.domain import DiscoveryStatus
from shared.store.discovery import Claim, Entry, Finding
from shared.upstream import DiscoveryFailure, ModelList

LONGEST_WAIT: Final = 3600.0  # seconds between two checks of a provider that fails
FIRST_RETRY: Final = 10.0  # doubled from failure to failure; a loading server is found soon
JITTER: Final = 0.1
RAW_BYTES: Final = 16 * 1024  # of a model's own entry, as JSON; the largest seen have 4 KiB
HEALTHY: Final = frozenset({DiscoveryStatus.OK, DiscoveryStatus.NO_MODELS_ROUTE})

Came: TypeAlias = ModelList | DiscoveryFailure


@dataclass(frozen=True, slots=True)
class Moment:
    """When a finding is made: Unix seconds, the interval in force, and a dice in [0, 1)."""

    now: float
    interval: float
    dice: float


def judge(
    claim: Claim,
    came: Came,
    moment: Moment,
    *,
    key_proven: bool,
    seal: Callable[[bytes], str],
) -> Finding:
    """The finding of this check. `seal` seals the error's JSON document for its row.

    Any failure keeps the last good list, and so does the first of several empty lists: servers
    that restart answer one before their models are back.
    """
    manual, allows = chosen(claim.options)
    if isinstance(came, DiscoveryFailure):
        healthy = came.status in HEALTHY
        failures = 0 if healthy else claim.failures + 1
        refused = came.status is DiscoveryStatus.AUTH_FAILED
        return Finding(
            status=came.status,
            error_sealed=seal(msgspec.json.encode(error_document(came))),
            failures=failures,
            empty_lists=claim.empty_lists,
            next_check_at=next_check_at(moment, failures, came.retry_after),
            listed=None,
            manual=manual,
            allows=allows,
            key_proven=False if refused else None,
        )
    empty = not came.models
    withheld = empty and claim.empty_lists == 0 and claim.ok_at is not None
    return Finding(
        status=DiscoveryStatus.OK,
        error_sealed=None,
        failures=0,
        empty_lists=claim.empty_lists + 1 if empty else 0,
        next_check_at=next_check_at(moment, 0, None),
        listed=None if withheld else entries(came),
        manual=manual,
        allows=allows,
        key_proven=True if key_proven else None,
    )


def entries(came: ModelList) -> Sequence[Entry]:
    """The list in the store's shape; a raw entry that is too large is not kept."""
    return [
        Entry(one.id, one.created, one.owned_by, one.context_length, _bounded(one.raw))
        for one in came.models
    ]


def _bounded(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return raw if len(msgspec.json.encode(raw)) <= RAW_BYTES else {}


def error_document(failure: DiscoveryFailure) -> dict[str, Any]:
    """What `discovery.error` shows: message, code of the error tree, the upstream's status."""
    document: dict[str, Any] = {"message": failure.message, "code": failure.code}
    if failure.upstream_status is not None:
        document["upstream_status"] = failure.upstream_status
    return document


def next_check_at(moment: Moment, failures: int, retry_after: float | None) -> float:
    """When to look again: the interval ±10 %; after failures 10 s, doubled up to an hour.

    A provider that named a time (`retry_after`, in seconds) is not asked before it, if that is
    within the hour.
    """
    wait = moment.interval
    if failures:
        # Beyond 2^20 the power would only grow without a meaning.
        wait = min(moment.interval, FIRST_RETRY) * 2 ** min(failures - 1, 20)
        wait = min(wait, LONGEST_WAIT)
    wait *= 1 - JITTER + 2 * JITTER * moment.dice
    if retry_after is not None:
        named = min(retry_after, LONGEST_WAIT)
        wait = max(wait, named * (1 + JITTER * moment.dice))
    return moment.now + wait


def chosen(options: Any) -> tuple[Sequence[str], Callable[[str], bool]]:
    """The ids listed by hand, and the judgement of `allow_models` (None: all) on every id."""
    manual = tuple(options.get("models") or ())
    patterns = options.get("allow_models")
    if patterns is None:
        return manual, lambda _id: True
    matchers = [re.compile(fnmatch.translate(pattern)) for pattern in patterns]
    return manual, lambda id_: any(matcher.match(id_) for matcher in matchers)
