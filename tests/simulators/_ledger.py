"""What a simulator saw: its calls by job mark, how many are open, how many were at most."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec


class Stats(msgspec.Struct, frozen=True):
    """Numbers since the start or the last reset. A call is one request to the chat route."""

    in_flight: int = 0
    high_water: int = 0  # most calls in flight at once
    begun: int = 0
    answered: int = 0  # whatever the status
    closed_early: int = 0  # the client left before the answer
    dropped: int = 0  # we closed without an answer, because the call asked for it
    model_lists: int = 0  # requests to the models route
    others: int = 0  # requests to any other path


class Calls(msgspec.Struct):
    """The calls that carried one mark."""

    begun: int = 0
    answered: int = 0
    closed_early: int = 0
    dropped: int = 0

    @property
    def in_flight(self) -> int:
        """Calls of this mark that are open now."""
        return self.begun - self.answered - self.closed_early - self.dropped


class Ledger:
    """Written by the simulator's loop, read and awaited by any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiters = 0
        self._calls: dict[str, Calls] = {}
        self._total = Calls()
        self._high_water = 0
        self._model_lists = 0
        self._others = 0

    def begin(self, mark: str) -> Calls:
        """A call came; its later end is told on what this returns."""
        calls = self._calls.get(mark)
        if calls is None:
            calls = self._calls[mark] = Calls()
        calls.begun += 1
        self._total.begun += 1
        self._high_water = max(self._high_water, self._total.in_flight)
        self._notify()
        return calls

    def answer(self, calls: Calls) -> None:
        """The call got its answer."""
        calls.answered += 1
        self._total.answered += 1
        self._notify()

    def close_early(self, calls: Calls) -> None:
        """The client of the call left."""
        calls.closed_early += 1
        self._total.closed_early += 1
        self._notify()

    def drop(self, calls: Calls) -> None:
        """We ended the call without an answer."""
        calls.dropped += 1
        self._total.dropped += 1
        self._notify()

    def list_models(self) -> None:
        """The models route was asked."""
        self._model_lists += 1
        self._notify()

    def miss(self) -> None:
        """Another path was asked."""
        self._others += 1
        self._notify()

    def stats(self) -> Stats:
        """The numbers as they are now."""
        total = self._total
        return Stats(
            in_flight=total.in_flight,
            high_water=self._high_water,
            begun=total.begun,
            answered=total.answered,
            closed_early=total.closed_early,
            dropped=total.dropped,
            model_lists=self._model_lists,
            others=self._others,
        )

    def calls(self) -> dict[str, Calls]:
        """Mark → its calls; a copy."""
        return {mark: msgspec.structs.replace(calls) for mark, calls in list(self._calls.items())}

    def calls_of(self, mark: str) -> Calls:
        """The calls of one mark; a copy."""
        return msgspec.structs.replace(self._calls.get(mark, Calls()))

    def forget(self) -> None:
        """Begin anew; calls that are open now are no longer counted by mark."""
        in_flight = self._total.in_flight
        self._calls.clear()
        self._total = Calls(begun=in_flight)
        self._high_water = in_flight
        self._model_lists = 0
        self._others = 0
        self._notify()

    def wait_until(self, reached: Callable[[Stats], bool], timeout: float) -> Stats:
        """Block until `reached(stats)` holds; TimeoutError with the numbers after `timeout` s."""
        with self._changed:
            self._waiters += 1
            try:
                if not self._changed.wait_for(lambda: reached(self.stats()), timeout):
                    raise TimeoutError(f"not reached within {timeout:g} s: {self.stats()}")
                return self.stats()
            finally:
                self._waiters -= 1

    def _notify(self) -> None:
        if self._waiters:  # taking the lock for nobody costs a tenth of a call
            with self._changed:
                self._changed.notify_all()
