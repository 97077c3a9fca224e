"""Which checks this worker runs, what is stored of them meanwhile, and what failures leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from services.discovery_worker import advice
from services.discovery_worker import checks as runner
from services.discovery_worker.checks import SLOTS
from services.discovery_worker.report import STEPS, Report
from shared.store import checks as store
from shared.store.checks import CLAIM_SECONDS, KEPT_SECONDS, RESULT, TABLE
from shared.store.database import Database
from shared.store.migrate import upgrade
from tests.registered import NOW
from tests.unit.discovery.checkroom import Stage

Play = Callable[[Callable[[Stage], Awaitable[None]]], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Run a scene on a new stage."""

    def run(scene: Callable[[Stage], Awaitable[None]]) -> None:
        database = Database(f"sqlite:///{tmp_path / 'store.db'}")
        with database.write() as tx:
            upgrade(tx)

        async def main() -> None:
            await scene(Stage(database))

        try:
            asyncio.run(main())
        finally:
            database.dispose()

    return run


def test_a_check_is_found_run_and_its_steps_are_seen_as_they_are_done(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        check_id = stage.begin()
        async with stage.working():
            await stage.until(lambda: [s["name"] for s in stage.steps(check_id)] == ["resolve"])
            found = stage.check(check_id)
            assert found is not None
            assert not found.done
            stage.runs.go.set()
            steps = await stage.done(check_id)
        assert list(steps) == list(STEPS)
        assert steps["connect"]["verdict"] == "ok"
        assert [one.endpoint for one in stage.runs.wanted] == ["http://h:1"]

    play(scene)


def test_a_message_only_shortens_the_wait(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stage: Stage) -> None:
        stage.runs.go.set()
        async with stage.working():
            await stage.done(stage.begin())
            monkeypatch.setattr(runner, "LOOK_SECONDS", 1000.0)
            await stage.done(stage.begin())  # it rests by the second that it knew before
            await stage.done(stage.begin())  # only the message wakes it now

    play(scene)


def test_no_more_than_eight_run_at_once_and_the_others_follow(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        begun = [stage.begin() for _ in range(SLOTS + 3)]
        async with stage.working():
            await stage.until(lambda: len(stage.runs.wanted) == SLOTS)
            stage.checks.look_soon()
            await asyncio.sleep(0.05)
            assert len(stage.runs.wanted) == SLOTS
            stage.runs.go.set()
            for check_id in begun:
                await stage.done(check_id)

    play(scene)


@pytest.mark.parametrize("plain", [b"no JSON", b"{}", b'{"endpoint": 7}'])
def test_a_request_that_cannot_be_read_ends_with_a_failed_step(play: Play, plain: bytes) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.working():
            steps = await stage.done(stage.begin(plain))
        assert steps["resolve"]["verdict"] == "failed"
        assert steps["resolve"]["remedy"] == advice.TEST_ANEW
        assert list(steps) == list(STEPS)

    play(scene)


def test_a_request_that_was_moved_from_another_row_does_not_open(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.working():
            steps = await stage.done(stage.begin(at="chk_another"))
        assert steps["resolve"]["verdict"] == "failed"
        assert stage.runs.wanted == []

    play(scene)


def test_a_defect_of_ours_ends_the_check_and_not_the_worker(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(stage: Stage) -> None:
        stage.runs.defect = True
        async with stage.working():
            steps = await stage.done(stage.begin())
            assert steps["resolve"]["verdict"] == "ok"
            assert steps["connect"]["verdict"] == "failed"
            assert steps["connect"]["remedy"] == advice.OUR_DEFECT
            stage.runs.defect = False
            stage.runs.go.set()
            await stage.done(stage.begin())

    play(scene)
    assert "by a defect of ours" in caplog.text


def test_a_check_that_lost_two_workers_keeps_its_steps_and_ends_without_another_run(
    play: Play,
) -> None:
    async def scene(stage: Stage) -> None:
        check_id = stage.begin()
        for _ in range(2):
            with stage.database.write() as tx:
                (claim,) = store.claim(tx, now=stage.now, limit=1)
                report = Report()
                report.add("resolve", "ok", "h is an address.", ms=1)
                sealed = stage.sealer.seal(
                    report.document(), table=TABLE, row=check_id, column=RESULT
                )
                store.fill(tx, claim, result_sealed=sealed, done=False)
            stage.now += CLAIM_SECONDS + 1
        async with stage.working():
            steps = await stage.done(check_id)
        assert stage.runs.wanted == []
        assert [step["verdict"] for step in steps.values()] == ["ok", "failed"] + 4 * ["skipped"]

    play(scene)


def test_a_check_that_was_taken_over_is_left_to_the_other(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def scene(stage: Stage) -> None:
        check_id = stage.begin()
        async with stage.working():
            await stage.until(lambda: stage.steps(check_id))
            stage.now += CLAIM_SECONDS + 1
            with stage.database.write() as tx:
                (other,) = store.claim(tx, now=stage.now, limit=1)
            stage.runs.go.set()
            await stage.until(lambda: not stage.checks._running)
            found = stage.check(check_id)
            assert found is not None
            assert not found.done
            with stage.database.write() as tx:
                assert store.fill(tx, other, result_sealed="the other's", done=True)

    play(scene)
    assert "another worker took a check over" in caplog.text


def test_a_database_that_is_away_meanwhile_costs_no_second_run(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "WRITE_AGAIN_SECONDS", 0.01)

    async def scene(stage: Stage) -> None:
        check_id = stage.begin()
        async with stage.working():
            await stage.until(lambda: stage.steps(check_id))
            stage.ledger.away = True
            stage.runs.go.set()
            await asyncio.sleep(0.05)
            stage.ledger.away = False
            steps = await stage.done(check_id)
        assert steps["connect"]["verdict"] == "ok"
        assert len(stage.runs.wanted) == 1

    play(scene)


def test_stopping_gives_a_check_back_as_if_it_had_not_begun(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        check_id = stage.begin()
        async with stage.working():
            await stage.until(lambda: stage.steps(check_id))
        with stage.database.write() as tx:
            (claim,) = store.claim(tx, now=stage.now, limit=1)
        assert (claim.id, claim.tries) == (check_id, 1)

    play(scene)


def test_old_checks_are_purged(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        stage.runs.go.set()
        async with stage.working():
            old = stage.begin()
            await stage.done(old)
            stage.now += KEPT_SECONDS + 1
            await stage.done(stage.begin())

        def is_gone() -> bool:
            with stage.database.read() as tx:
                return store.get(tx, old, now=NOW) is None

        await stage.until(is_gone)

    play(scene)
