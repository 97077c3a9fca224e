"""The judge of the soak: flat is flat, growth is found, and no verdict comes of too little."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.campaigns.checker import Finding
from tests.campaigns.soak_judge import MIB, Memory, Sample, courses, judge

SECONDS = 3600.0
EVERY = 5.0
WARM = SECONDS / 4
PID = 100

Course = Callable[[float], float]  # seconds since the beginning → MiB


def flat(at: float) -> float:
    """Sixty MiB, give or take one."""
    return 60 + (at / EVERY) % 3 - 1


def risen(share: float) -> Course:
    """By this share, evenly from the end of the window after the warm-up to the last window."""
    began, ended = 0.35 * SECONDS, 0.9 * SECONDS
    return lambda at: 60 * (1 + share * min(max(at - began, 0) / (ended - began), 1))


def stepped_at(moment: float) -> Course:
    return lambda at: 30 if at < moment else 60


def sampled(
    course: Course, *, role: str = "chat-worker", seconds: float = SECONDS, every: float = EVERY
) -> list[Sample]:
    moments = [number * every for number in range(int(seconds / every))]
    sizes = [round(course(at) * MIB) for at in moments]
    return [
        Sample(at, {role: Memory(PID, size, size // 2)})
        for at, size in zip(moments, sizes, strict=True)
    ]


def broken(findings: list[Finding]) -> list[str]:
    return [example for finding in findings for example in finding.broken]


@pytest.mark.parametrize("course", [flat, risen(0.04), risen(-0.2), stepped_at(WARM - EVERY)])
def test_what_stays_within_five_percent_after_the_warm_up_holds(course: Course) -> None:
    findings = judge(sampled(course), seconds=SECONDS)
    assert broken(findings) == []
    assert "chat-worker RSS" in findings[-1].what


@pytest.mark.parametrize(
    ("course", "found"), [(risen(0.06), "+6.0%"), (stepped_at(SECONDS / 2), "+100.0%")]
)
def test_what_grows_more_is_found(course: Course, found: str) -> None:
    assert broken(judge(sampled(course), seconds=SECONDS)) == [found]


def test_a_short_peak_in_the_last_window_is_no_growth() -> None:
    peak = sampled(lambda at: 600 if SECONDS - at < 60 else 60)
    assert broken(judge(peak, seconds=SECONDS)) == []


def test_each_role_is_judged_by_itself() -> None:
    both = [
        Sample(one.at, {**one.processes, **other.processes})
        for one, other in zip(
            sampled(risen(0.06), role="registry worker 1"), sampled(flat, role="beat"), strict=True
        )
    ]
    assert [one.holds for one in judge(both, seconds=SECONDS)[-2:]] == [True, False]


def test_valkey_is_told_and_not_judged() -> None:
    samples = sampled(risen(0.5), role="valkey")
    assert broken(judge(samples, seconds=SECONDS)) == []
    assert [str(one) for one in courses(samples, seconds=SECONDS)] == [
        "valkey RSS 60.0 → 90.0 MiB (+50.0%), PSS 30.0 → 45.0"
    ]


def test_a_process_that_was_replaced_is_found_however_small_it_is() -> None:
    samples = [
        Sample(one.at, {"beat": Memory(PID + (one.at > SECONDS / 2), 60 * MIB)})
        for one in sampled(flat)
    ]
    assert broken(judge(samples, seconds=SECONDS)) == [f"beat was {PID}, then {PID + 1}"]


def test_a_process_that_is_gone_is_found() -> None:
    samples = sampled(flat)
    samples[-1] = Sample(samples[-1].at, {})
    assert broken(judge(samples, seconds=SECONDS)) == ["chat-worker is in 719 of 720 samples"]


def test_too_few_samples_are_no_proof() -> None:
    few = sampled(flat, every=SECONDS / 10)
    assert broken(judge(few, seconds=SECONDS)) == [
        "after the warm-up: 1 of 10 samples",
        "the last: 1 of 10 samples",
    ]


def test_no_sample_at_all_is_no_proof() -> None:
    assert broken(judge([], seconds=SECONDS)) == [
        "after the warm-up: 0 of 0 samples",
        "the last: 0 of 0 samples",
    ]


def test_a_run_that_ended_early_is_no_proof() -> None:
    half = sampled(flat, seconds=SECONDS / 2)
    assert broken(judge(half, seconds=SECONDS)) == ["the last: 0 of 360 samples"]
