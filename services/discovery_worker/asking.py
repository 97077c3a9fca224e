"""The later steps of a test: the list of models, what the key is worth, and one chat."""

from __future__ import annotations

import re
from typing import Final, Protocol

import msgspec

from services.discovery_worker import advice
from services.discovery_worker.trial import Place, Skipped, Trial
from shared.domain import DiscoveryStatus
from shared.errors import UpstreamFailure, UpstreamRefused, UpstreamRouteMissing
from shared.upstream import (
    Bounds,
    ChatAnswer,
    ConnectionLost,
    DiscoveryFailure,
    ModelList,
    Obstacle,
    Target,
)

LIST_SECONDS: Final = 10.0  # for each list of models, as in discovery
_QUESTION: Final = [{"role": "user", "content": "Answer with one word: ready?"}]
_MOST_TOKENS: Final = 16
_PLAIN_ID = re.compile(r"[\w.:/@+-]{1,100}")  # ids that can be told in a sentence
_SAVE: Final = " It is not where it was typed: save the endpoint given here."
# Where a route for models may be elsewhere: none here, or a web page that answers on every path.
_ELSEWHERE: Final = frozenset({DiscoveryStatus.NO_MODELS_ROUTE, DiscoveryStatus.INVALID_RESPONSE})
# What only a route that exists answers.
_FOUND: Final = frozenset(
    {DiscoveryStatus.AUTH_FAILED, DiscoveryStatus.RATE_LIMITED, DiscoveryStatus.LOADING}
)


class Caller(Protocol):
    """What these steps need of `UpstreamClient`."""

    async def list_models(self, target: Target, bounds: Bounds) -> ModelList:
        """What the models route lists; raises DiscoveryFailure."""

    async def chat(self, target: Target, body: bytes, bounds: Bounds) -> ChatAnswer:
        """A completion; raises UpstreamFailure or ConnectionLost."""


async def list_models(trial: Trial, caller: Caller) -> str:
    """The models, there or with `/v1` put in."""
    typed, came = trial.place, await _models(trial, caller, trial.place)
    if isinstance(came, DiscoveryFailure) and came.status in _ELSEWHERE:
        for place in typed.others:
            there = await _models(trial, caller, place)
            if isinstance(there, ModelList) or there.status in _FOUND:
                trial.place, came = place, there
                break
    moved = "" if trial.place is typed else _SAVE
    if isinstance(came, ModelList):
        trial.report.listed = came
        trial.report.endpoint = trial.place.text
        return _counted(came) + moved
    if came.status is DiscoveryStatus.AUTH_FAILED:
        trial.refused = came
        trial.report.endpoint = trial.place.text
        return Skipped("The route is there, but it wants a key that it accepts." + moved)
    if came.status is DiscoveryStatus.NO_MODELS_ROUTE:
        return Skipped(f"{came.message} {advice.BY_HAND}")
    raise advice.obstacle(came)


async def authenticate(trial: Trial, caller: Caller) -> str:
    """Whether the key is needed and right, as far as the list tells."""
    has_key = trial.wanted.api_key is not None
    if trial.refused is not None:
        raise Obstacle(trial.refused.message, advice.WRONG_KEY if has_key else advice.NO_KEY)
    if not has_key:
        return Skipped("No key was given, and none was needed so far.")
    if trial.report.listed is None:
        return Skipped(f"Without a models route only a chat can tell. {advice.PROVE_BY_CHAT}")
    without = await _models(trial, caller, trial.place, with_key=False)
    if isinstance(without, ModelList):
        return Skipped(
            f"The server lists its models without checking the key. {advice.PROVE_BY_CHAT}"
        )
    if without.status is DiscoveryStatus.AUTH_FAILED:
        return "The list is refused without the key, so the key is the right one."
    return Skipped(f"It cannot be told: without the key came another failure. {without.message}")


async def chat(trial: Trial, caller: Caller) -> str:
    """One short chat, if it was asked for; an answer proves the key."""
    if not trial.wanted.chat:
        return Skipped("Not asked for: a chat costs tokens.")
    model = _model(trial)
    typed, missing = trial.place, []
    for place in (typed, *(typed.others if trial.report.listed is None else ())):
        try:
            await _answer(trial, caller, place, model)
        except UpstreamRouteMissing as failure:
            missing.append(failure)
            continue
        except (UpstreamFailure, ConnectionLost) as failure:
            raise advice.obstacle(failure) from None
        trial.report.endpoint = place.text
        if trial.wanted.api_key is not None:
            proven = "The chat was answered, which proves the key."
            trial.report.add("authenticate", "ok", proven)
        return _named(model) + " answered." + ("" if place is typed else _SAVE)
    raise advice.obstacle(missing[0])


def _named(model: str) -> str:
    return model if _PLAIN_ID.fullmatch(model) else "The model"


def _model(trial: Trial) -> str:
    listed = trial.report.listed.models[:1] if trial.report.listed is not None else ()
    by_hand = trial.wanted.options.get("models") or ()
    for named in (trial.wanted.model, *(one.id for one in listed), *by_hand):
        if named:
            return str(named)
    raise Obstacle(
        "Expected a model to chat with, but none was named and none is listed.",
        advice.NAME_A_MODEL,
    )


async def _answer(trial: Trial, caller: Caller, place: Place, model: str) -> None:
    """One completion. Some models take the bound on its length only under its newer name."""
    target = trial.target(place)
    question = {"model": model, "messages": _QUESTION}
    try:
        body = msgspec.json.encode({**question, "max_tokens": _MOST_TOKENS})
        await caller.chat(target, body, trial.bounds(trial.rest))
    except UpstreamRefused as refused:
        if refused.upstream_status != 400:
            raise
        body = msgspec.json.encode({**question, "max_completion_tokens": _MOST_TOKENS})
        try:
            await caller.chat(target, body, trial.bounds(trial.rest))
        except (UpstreamFailure, ConnectionLost):
            raise refused from None


async def _models(
    trial: Trial, caller: Caller, place: Place, *, with_key: bool = True
) -> ModelList | DiscoveryFailure:
    bounds = trial.bounds(min(LIST_SECONDS, trial.rest))
    try:
        return await caller.list_models(trial.target(place, with_key=with_key), bounds)
    except DiscoveryFailure as failure:
        return failure


def _counted(came: ModelList) -> str:
    count = len(came.models)
    if count == 0:
        said = "The list is empty: the server has no model, or none is loaded."
    else:
        said = "One model is listed." if count == 1 else f"{count:,} models are listed."
    return said + (f" Entries that are not usable: {came.dropped:,}." if came.dropped else "")
