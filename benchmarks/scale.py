"""How much of everything a run does. Times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Scale:
    """The sizes of all scenarios; the defaults are what the targets speak of."""

    passes: int = 3
    warm: float = 1.0  # load before a measurement: connections, caches, the worker's pool
    settle: float = 0.5  # after one: what a side does after its last answer is its work too
    idle: float = 5.0  # from ready to the measurement of an idle system
    connections: int = 50
    saturation: float = 5.0
    rates: tuple[int, ...] = (20, 100)  # calls a second
    open_loop: float = 6.0
    open_latency: float = 0.2
    burst: int = 1_000
    burst_latency: float = 2.0
    streams: int = 100
    words: int = 50
    every: float = 0.01
    alone: int = 5  # streams, one after the other
    accept: float = 4.0
    accepts: int = 100  # submissions, one after the other
    jobs: int = 10_000
    job_latency: float = 1.0
    celery_jobs: int = 8  # for each core: so many times the latency
    quick_jobs: int = 2_000  # of an upstream that answers at once
    in_flight: int = 5_000
    installations: bool = True  # start and install some apart, where that says more


FULL: Final = Scale()
SHORT: Final = Scale(
    passes=1,
    warm=0.1,
    settle=0.1,
    idle=0.1,
    connections=8,
    saturation=0.5,
    rates=(20,),
    open_loop=0.5,
    open_latency=0.05,
    burst=40,
    streams=5,
    words=10,
    alone=1,
    accept=0.3,
    accepts=5,
    jobs=60,
    job_latency=0.2,
    celery_jobs=2,
    quick_jobs=30,
    in_flight=100,
    installations=False,
)
