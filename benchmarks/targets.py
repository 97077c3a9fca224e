"""What the figures must show, each computed from the medians of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.results import Results
from benchmarks.sides import CELERY, DIRECT, LITELLM, LITELLM_2, POSTGRES, SQLITE


@dataclass(frozen=True, slots=True)
class Target:
    """One sentence, how it is measured, and the bound: at least or at most."""

    text: str
    measure: Callable[[Results], float | None]
    bound: float
    at_least: bool = False
    unit: str = "x"

    def judged(self, results: Results) -> Judged:
        """What this run says of it."""
        value = self.measure(results)
        if value is None:
            return Judged(self, None, None)
        return Judged(self, value, value >= self.bound if self.at_least else value <= self.bound)


@dataclass(frozen=True, slots=True)
class Judged:
    """A target and its figure; None where the run did not measure it."""

    target: Target
    measured: float | None
    holds: bool | None

    def line(self) -> str:
        """`target … measured … holds|misses`."""
        target = self.target
        wanted = f"{'≥' if target.at_least else '≤'} {target.bound:g} {target.unit}".rstrip()
        if self.measured is None:
            return f"target {target.text}: {wanted}, not measured"
        verdict = "holds" if self.holds else "misses"
        return f"target {target.text}: {wanted}, measured {self.measured:.3g}, {verdict}"


def ratio(scenario: str, name: str, side: str, to: str) -> Callable[[Results], float | None]:
    """One side's figure by another's."""
    return quotient((scenario, side, name), (scenario, to, name))


def quotient(
    one: tuple[str, str, str], by: tuple[str, str, str]
) -> Callable[[Results], float | None]:
    """A figure by another."""

    def measure(results: Results) -> float | None:
        above, below = results.median(*one), results.median(*by)
        return above / below if above is not None and below else None

    return measure


def beyond(
    scenario: str, name: str, side: str, to: str, base: str
) -> Callable[[Results], float | None]:
    """`ratio` of what both have beyond the figure of `base`."""

    def measure(results: Results) -> float | None:
        ours, theirs, least = (results.median(scenario, one, name) for one in (side, to, base))
        if ours is None or theirs is None or least is None or theirs <= least:
            return None
        return (ours - least) / (theirs - least)

    return measure


def figure(scenario: str, name: str, side: str) -> Callable[[Results], float | None]:
    """The figure itself."""
    return lambda results: results.median(scenario, side, name)


def fastest(results: Results) -> float | None:
    """The upstream's requests a second, asked directly, by those of the fastest side."""
    sides = (SQLITE, POSTGRES, LITELLM, LITELLM_2)
    rates = [results.median("saturation", side, "requests") for side in sides]
    known = [rate for rate in rates if rate is not None]
    alone = results.median("saturation", DIRECT, "requests")
    return alone / max(known) if alone is not None and known else None


_REQUESTS: Final = ("saturation", LITELLM, "requests")

TARGETS: Final = (
    Target(
        "foreground requests/s beside LiteLLM",
        ratio("saturation", "requests", SQLITE, LITELLM),
        6,
        at_least=True,
    ),
    Target(
        "foreground CPU per request beside LiteLLM",
        ratio("saturation", "CPU per request", SQLITE, LITELLM),
        0.15,
    ),
    Target(
        "foreground requests/s beside LiteLLM with 2 workers",
        ratio("saturation", "requests", SQLITE, LITELLM_2),
        3,
        at_least=True,
    ),
    Target(
        "PostgreSQL: foreground requests/s beside LiteLLM",
        ratio("saturation", "requests", POSTGRES, LITELLM),
        3,
        at_least=True,
    ),
    Target(
        "background submissions/s beside LiteLLM's requests/s",
        quotient(("accept", SQLITE, "accepted"), _REQUESTS),
        10,
        at_least=True,
    ),
    Target(
        "added latency at 20/s, p50, beside LiteLLM's",
        beyond("open-loop", "added at 20/s, p50", SQLITE, LITELLM, DIRECT),
        0.75,
    ),
    Target(
        "1,000 at once: time beyond the upstream's beside LiteLLM's",
        ratio("at-once", "beyond the upstream's time", SQLITE, LITELLM),
        0.12,
    ),
    Target("1,000 at once: errors", figure("at-once", "errors", SQLITE), 0, unit=""),
    Target(
        "streams: text per second beside direct",
        ratio("streams", "text", SQLITE, DIRECT),
        0.85,
        at_least=True,
    ),
    Target(
        "streams: CPU per chunk beside LiteLLM",
        ratio("streams", "CPU per chunk", SQLITE, LITELLM),
        1 / 8,
    ),
    Target("jobs/s beside plain Celery", ratio("drain", "jobs", SQLITE, CELERY), 10, at_least=True),
    Target(
        "calls in flight beside plain Celery",
        ratio("in-flight", "in flight at once", SQLITE, CELERY),
        50,
        at_least=True,
    ),
    Target("idle memory", figure("footprint", "memory idle", SQLITE), 400, unit="MB"),
    Target("ready after the start", figure("footprint", "ready, first start", SQLITE), 6, unit="s"),
    Target("installed size", figure("footprint", "installed", SQLITE), 150, unit="MB"),
    Target(
        "the figure that grew most from 1,000 finished jobs to 1,000,000",
        figure("growth", "the figure that grew most", SQLITE),
        1.5,
    ),
    Target("the mock's requests/s beside the fastest side's", fastest, 3, at_least=True),
)


def judged(results: Results) -> Iterator[Judged]:
    """All targets."""
    return (target.judged(results) for target in TARGETS)
