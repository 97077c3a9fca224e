"""Which calls were overtaken: they failed although a call that began later was answered.

Of such a failure the provider's gate is told nothing: the answer is the newer news. What this
worker saw is enough; what others saw is kept with a gate that was closed (`store.jobs.gates`).
"""

from __future__ import annotations

from dataclasses import replace

from shared.store.jobs import Outcome


class Answered:
    """The begin of the latest answered call of each provider, as this process saw them."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[int, float]] = {}  # revision, Unix seconds

    def judged(self, outcome: Outcome) -> Outcome:
        """The outcome, its gate's effect marked where it was overtaken. In the order of ends."""
        gate = outcome.gate
        if gate is None:
            return outcome
        latest, this = self._latest.get(gate.provider_id), (gate.revision, gate.call_started_at)
        if gate.cause is None:
            self._latest[gate.provider_id] = max(latest or this, this)
        elif latest is not None and latest[0] == gate.revision and this < latest:
            return replace(outcome, gate=replace(gate, overtaken=True))
        return outcome
