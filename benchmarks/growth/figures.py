"""All figures of growth, taken in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import httpx

from benchmarks.growth import moves, reads
from benchmarks.growth.places import Place
from benchmarks.growth.timing import Grown, Taken

READS_EACH: Final = 12  # in each pass
BATCHES: Final = 4
CONNECTIONS: Final = 20
SECONDS: Final = 2.0
JOBS: Final = 400
# What is told beside the others, and why it may grow.
BY_NATURE: Final[Mapping[str, str]] = {
    "count the queue": "once a second in each registry process",
    "facts of a scrape": "once in five seconds",
}

Turns = Sequence[tuple[Place, Taken]]


def of_tables(places: Sequence[Place], passes: int) -> list[Grown]:
    """Every figure at each number of finished jobs; the places take turns."""
    turns = [(place, Taken()) for place in places]
    browsers = {place.size: reads.signed_in(place) for place in places}
    for number in range(passes):
        order = turns if number % 2 == 0 else turns[::-1]
        _read(order, {**reads.LISTS, **reads.READS}, lambda place: place.system.api.http)
        _read(order, reads.LISTS, lambda place: place.member.http, ", an owner's")
        _read(order, reads.PAGES, lambda place: browsers[place.size])
        with moves.worker_stopped(*places):
            for place, taken in order * READS_EACH:
                moves.by_http(place, taken)
            for place, taken in order * BATCHES:
                moves.by_hand(place, taken)
            for place, taken in order:
                moves.purge(place, taken, number)
        for place, taken in order:
            moves.calls(place, taken, connections=CONNECTIONS, seconds=SECONDS)
        for place, taken in order:
            moves.drain(place, taken, JOBS)
    for browser in browsers.values():
        browser.close()
    return _grown(turns)


def of_queues(places: Sequence[Place], passes: int) -> list[Grown]:
    """Every figure at each number of queued jobs, whose chat worker is stopped."""
    turns = [(place, Taken()) for place in places]
    for number in range(passes):
        order = turns if number % 2 == 0 else turns[::-1]
        _read(order, reads.QUEUES, lambda place: place.system.api.http)
        _read(order, reads.QUEUES, lambda place: place.member.http, ", an owner's")
        for place, taken in order * READS_EACH:
            moves.by_http(place, taken)
        for place, taken in order * BATCHES:
            moves.by_hand(place, taken)
            moves.counts(place, taken)
    return _grown(turns)


def _grown(turns: Turns) -> list[Grown]:
    _, first = turns[0]
    return [
        Grown(
            name,
            {place.size: taken.median(name) for place, taken in turns},
            BY_NATURE.get(name, ""),
        )
        for name in first.tries
    ]


def _read(
    turns: Turns,
    asked: Mapping[str, reads.Path],
    client: Callable[[Place], httpx.Client],
    whose: str = "",
) -> None:
    for name, path in asked.items():
        for number in range(READS_EACH + 1):
            for place, taken in turns:
                http, where = client(place), path(place)
                if number == 0:  # the first is not counted: caches, connections
                    http.get(where)
                    continue
                with taken.timed(f"{name}{whose}"):
                    answer = http.get(where)
                assert answer.status_code == 200, f"{where}: {answer.status_code} {answer.text}"
