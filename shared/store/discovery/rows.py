"""The shapes in which claims and findings travel; times are Unix seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shared.domain import DiscoveryStatus

TABLE: Final = "discovery"  # an error is sealed at this table, the provider's id, and
ERROR: Final = "error_sealed"  # this column; its plain text is JSON `{"code", "message", …}`
CLAIM_SECONDS: Final = 30.0  # a check lasts 10 s at most; the rest is for a slow database
RECENT: Final = 10  # checks of a provider that are kept: [begun, ended, status], newest first
LISTED: Final = "listed"
MANUAL: Final = "manual"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider that may be checked now; `urgent` when asked for, new or changed."""

    provider_id: str
    host: str
    port: int
    urgent: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """One claimed check: what to call, and what was known before. The key stays sealed.

    `until` is both the end of the claim and the fence under which its finding is written.
    `refresh_asked` counts the refreshes that were asked for so far: this check answers them all.
    """

    until: float
    provider_id: str
    revision: int
    chat_url: str
    models_url: str
    host: str
    port: int
    api_key_sealed: str | None
    api_key_rotated_at: float | None
    options: Mapping[str, Any]
    updated_at: float
    refresh_asked: int
    checked_revision: int
    checked_at: float | None
    status: DiscoveryStatus
    failures: int
    empty_lists: int
    ok_at: float | None
    key_verified_at: float | None
    recent: Sequence[Sequence[Any]] | None = None  # as `RECENT` says; none before the first

    @property
    def is_changed(self) -> bool:
        """Whether the provider was never checked as it is now."""
        return self.checked_at is None or self.checked_revision != self.revision


@dataclass(frozen=True, slots=True)
class Entry:
    """One model as the server listed it; `context_length` in tokens, `created` in Unix seconds."""

    upstream_id: str
    created: int | None = None
    owned_by: str | None = None
    context_length: int | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    `failures` and `empty_lists` are counted in a row. `listed` is None where the last good list is
    kept, `manual` are the ids listed by hand, `allows` says which of both to show.
    `key_proven` is None where nothing was learnt about the key.
    """

    status: DiscoveryStatus
    error_sealed: str | None
    failures: int
    empty_lists: int
    next_check_at: float
    listed: Sequence[Entry] | None
    manual: Sequence[str]
    allows: Callable[[str], bool]
    key_proven: bool | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a provider stands: its last verdict, and when that was found."""

    status: DiscoveryStatus
    checked_at: float | None
