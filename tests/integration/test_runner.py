"""The local runner over small real processes."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.child import NotReady
from deploy.runner import Backoff
from tests.integration.stage import Events, Stage, alive, dummy, perform, soon


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events(tmp_path)


def test_each_starts_when_the_one_before_is_ready_and_they_stop_in_reverse(
    tmp_path: Path, events: Events
) -> None:
    async def play(stage: Stage) -> None:
        await stage.runner.start()

    perform(tmp_path, [dummy(name, events.file) for name in "abc"], play)
    started = [f"{name} {event}" for name in "abc" for event in ("started", "ready")]
    assert events.words() == [*started, "c stopped", "b stopped", "a stopped"]


def test_those_beside_each_other_start_together_and_the_next_waits_for_all(
    tmp_path: Path, events: Events
) -> None:
    async def play(stage: Stage) -> None:
        await stage.runner.start()

    programs = [dummy(name, events.file) for name in "abcd"]
    programs[2] = replace(programs[2], beside=True)
    perform(tmp_path, programs, play)
    words = events.words()
    assert words.index("c started") < words.index("d started")
    assert max(words.index("b ready"), words.index("c ready")) < words.index("d started")
    assert words.index("a ready") < min(words.index("b started"), words.index("c started"))
    assert words[-4:] == ["d stopped", "c stopped", "b stopped", "a stopped"]


def test_of_several_starts_that_fail_together_one_reason_is_told(
    tmp_path: Path, events: Events
) -> None:
    async def play(stage: Stage) -> None:
        with pytest.raises(NotReady, match="ended with exit status 3 before it was ready"):
            await stage.runner.start()

    programs = [dummy("a", events.file, "dies"), dummy("b", events.file, "dies")]
    perform(tmp_path, [programs[0], replace(programs[1], beside=True)], play)


def test_every_printed_line_comes_with_the_name_of_its_process(
    tmp_path: Path, events: Events
) -> None:
    async def play(stage: Stage) -> None:
        await stage.runner.start()

    stage = perform(tmp_path, [dummy(name, events.file) for name in "ab"], play)
    assert stage.lines == ["a: hello from a", "b: hello from b"]


def test_a_process_that_ends_before_it_is_ready_fails_the_start(
    tmp_path: Path, events: Events
) -> None:
    async def play(stage: Stage) -> None:
        with pytest.raises(NotReady, match="b ended with exit status 3 before it was ready"):
            await stage.runner.start()

    programs = [dummy("a", events.file), dummy("b", events.file, "dies"), dummy("c", events.file)]
    perform(tmp_path, programs, play)
    assert events.words() == ["a started", "a ready", "b started", "a stopped"]


def test_a_process_that_does_not_get_ready_in_time_fails_the_start(
    tmp_path: Path, events: Events
) -> None:
    async def play(stage: Stage) -> None:
        with pytest.raises(NotReady, match=r"a was not ready after 0\.2 s"):
            await stage.runner.start()

    perform(tmp_path, [dummy("a", events.file, "silent", start=0.2)], play)
    assert not list(alive(events.pids()))


def test_a_killed_process_is_started_again_and_its_restarts_are_counted(
    tmp_path: Path, events: Events
) -> None:
    async def play(stage: Stage) -> None:
        await stage.runner.start()
        entry = stage.runner.entries[0]
        for _ in range(2):
            killed = events.pids("a")[-1]
            os.kill(killed, signal.SIGKILL)
            await soon(lambda gone=killed: entry.pid not in (gone, None))  # type: ignore[misc]
            await soon(lambda: entry.state == "running")
        assert (entry.restarts, entry.pid) == (2, events.pids("a")[-1])
        assert stage.runner.entries[1].restarts == 0

    stage = perform(tmp_path, [dummy("a", events.file), dummy("b", events.file)], play)
    assert stage.warnings == [
        "dragoman: a was ended by SIGKILL; restart 1 in 0.05 s",
        "dragoman: a was ended by SIGKILL; restart 2 in 0.1 s",
    ]


def test_what_a_dead_process_started_ends_before_its_restart(
    tmp_path: Path, events: Events
) -> None:
    async def play(stage: Stage) -> None:
        await stage.runner.start()
        await soon(lambda: events.pids("a-child"))
        os.kill(events.pids("a")[0], signal.SIGKILL)
        await soon(lambda: events.words().count("a started") == 2)
        assert not list(alive(events.pids("a-child")[:1]))

    perform(tmp_path, [dummy("a", events.file, "parent")], play)
    assert not list(alive(events.pids()))


def test_waits_between_restarts_double_up_to_a_limit_and_are_forgotten_after_a_calm_spell() -> None:
    backoff = Backoff(first=0.5, factor=2, longest=3, calm=60)
    waits: list[float] = []
    for _ in range(5):
        waits.append(backoff.after(waits[-1] if waits else None, ran=1))
    assert waits == [0.5, 1, 2, 3, 3]
    assert backoff.after(3, ran=60) == 0.5


def test_one_that_ignores_sigterm_is_killed_after_its_own_stop_time(
    tmp_path: Path, events: Events
) -> None:
    async def play(stage: Stage) -> None:
        await stage.runner.start()
        begin = time.monotonic()
        await stage.runner.stop(stage.hurry)
        assert 0.3 <= time.monotonic() - begin < 3

    stage = perform(tmp_path, [dummy("a", events.file, "stubborn", stop=0.3)], play)
    assert "a: did not stop within 0.3 s: killed" in stage.lines
    assert not list(alive(events.pids()))


def test_a_second_interrupt_ends_all_at_once(tmp_path: Path, events: Events) -> None:
    async def play(stage: Stage) -> None:
        await stage.runner.start()
        stage.hurry.set()
        begin = time.monotonic()
        await stage.runner.stop(stage.hurry)
        assert time.monotonic() - begin < 3

    perform(tmp_path, [dummy(name, events.file, "stubborn", stop=60) for name in "ab"], play)
    assert not list(alive(events.pids()))


def test_a_stop_while_a_restart_waits_starts_nothing_more(tmp_path: Path, events: Events) -> None:
    async def play(stage: Stage) -> None:
        await stage.runner.start()
        os.kill(events.pids("a")[0], signal.SIGKILL)
        await soon(lambda: stage.runner.entries[0].state == "waiting")

    stage = perform(tmp_path, [dummy("a", events.file)], play, Backoff(first=60))
    assert events.words() == ["a started", "a ready"]
    assert stage.runner.entries[0].state == "ended"


def test_every_change_of_state_is_told(tmp_path: Path, events: Events) -> None:
    async def play(stage: Stage) -> None:
        await stage.runner.start()

    stage = perform(tmp_path, [dummy("a", events.file)], play)
    assert stage.changes == [["starting"], ["running"], ["ended"]]
