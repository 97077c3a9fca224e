"""`/v1/providers/{id}/refresh`: ask for a check now, and wait for it if wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from flask import Response, request

from services.registry import answers, paging, preferences, trail
from services.registry.authentication import current_caller
from services.registry.blueprints import Blueprint
from services.registry.parts import Parts
from services.registry.providers.catalogue import listing
from services.registry.providers.documents import document
from services.registry.providers.lookup import find_visible, unknown
from services.registry.shapes import ref
from shared.errors import ProviderDisabled
from shared.store import audit, catalogue, refreshes
from shared.store.access import Caller
from shared.store.audit import Action
from shared.store.catalogue import Verdict
from shared.store.providers import Provider
from shared.store.refreshes import Refresh

TOLD: Final = 60.0  # seconds for which one entry of the trail tells of all refreshes of one key


@dataclass(frozen=True, slots=True)
class _Found:
    provider: Provider
    verdict: Verdict | None
    done: bool
    models: list[dict[str, Any]]


def add(routes: Blueprint, parts: Parts) -> None:
    """Add the route to those of providers."""

    @routes.post("/<reference>/refresh")
    @routes.response(200, ref("RefreshedList"), description="The list that the check found.")
    @routes.alt_response(
        202, schema=ref("Provider"), description="The provider; its check will begin, or has begun."
    )
    def refresh(reference: str) -> Response:
        """Check a provider now, whenever its time would be.

        With `Prefer: wait=N` (60 s at most) the answer is the list that the check found. When it
        failed, that is the last good list, and `provider.discovery.error` says why.
        """
        caller, wanted = current_caller(), preferences.of(request)
        asked = _ask(parts, reference, caller)
        if wanted.wait is not None:
            parts.refreshes.wait(asked.provider.id, asked.is_over, wanted.wait)
        found = _read(parts, asked, caller)
        shown = document(found.provider, found.verdict, parts.sealer)
        if not found.done:
            return answers.json_answer(shown, 202, wanted.applied("wait", "respond-async"))
        body = {**paging.envelope(found.models, has_more=False), "provider": shown}
        return answers.json_answer(body, 200, wanted.applied("wait"))


@dataclass(frozen=True, slots=True)
class _Asked:
    provider: Provider
    number: int

    def is_over(self, state: Refresh | None) -> bool:
        """Whether there is nothing more to wait for."""
        return state is None or not state.enabled or state.seen >= self.number


def _ask(parts: Parts, reference: str, caller: Caller) -> _Asked:
    actor, now = trail.actor(), parts.now()

    def ask(tx: sa.Connection) -> _Asked:
        provider = find_visible(tx, reference, caller)
        if not provider.enabled:
            raise _disabled(provider)
        number = refreshes.ask(tx, provider.id)
        if number is None:
            raise unknown(reference)
        done, since = Action.PROVIDER_REFRESH, now - TOLD
        if not audit.is_repeated(tx, actor, done, subject=provider.id, since=since):
            audit.append(tx, actor, done, subject=provider.id, at=now)
        return _Asked(provider, number)

    asked = parts.transactions.write(ask)
    parts.bell.refresh(asked.provider.id)
    return asked


def _read(parts: Parts, asked: _Asked, caller: Caller) -> _Found:
    def find(tx: sa.Connection) -> _Found:
        provider = find_visible(tx, asked.provider.id, caller)
        if not provider.enabled:
            raise _disabled(provider)
        # First the number: the list that is read next is then that check's, or a later one's.
        state = refreshes.states(tx, [provider.id]).get(provider.id)
        done = state is not None and state.seen >= asked.number
        models = listing(provider, catalogue.models(tx, [provider.id])) if done else []
        verdict = catalogue.verdicts(tx, [provider.id]).get(provider.id)
        return _Found(provider, verdict, done, models)

    return parts.transactions.read(find)


def _disabled(provider: Provider) -> ProviderDisabled:
    return ProviderDisabled(
        f"Expected a provider that is enabled, got {provider.slug!r}, which is disabled and so is "
        "not checked. Enable it: that refreshes it, too."
    )
