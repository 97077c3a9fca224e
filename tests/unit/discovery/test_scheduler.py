"""Whose turn it is: bounds, order, and what failures of others do not stop."""

from __future__ import annotations

import asyncio

import pytest

from services.discovery_worker import scheduler
from services.discovery_worker.ledger import Ledger
from services.discovery_worker.scheduler import RESERVED, REST_SECONDS, SLOTS
from shared.store import catalogue
from tests.unit.discovery.conftest import TIMEOUT, Play, Stage, working


def test_one_server_is_asked_by_one_check_at_a_time_and_others_meanwhile(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        stage.servers.held = {"slow"}
        slow = [stage.registry.add(f"s{n}", "http://slow.test:8000") for n in range(3)]
        quick = [stage.registry.add(f"q{n}", f"http://quick{n}.test:8000") for n in range(3)]
        async with working(stage):
            await stage.listed(*quick)
            assert stage.servers.calls.count("slow") == 1
            await stage.servers.release("slow")
            await stage.listed(*slow)
        assert stage.servers.most_open["slow"] == 1

    play(scene)


def test_no_more_than_64_at_once_and_the_last_8_are_kept_for_what_is_new(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        hosts = [f"h{n}" for n in range(SLOTS + 6)]
        ids = [stage.registry.add(h, f"http://{h}.test:8000") for h in hosts]
        async with working(stage):
            await stage.listed(*ids)
            stage.servers.held = set(hosts)
            stage.servers.calls.clear()
            stage.now += 1000
            stage.scheduler.look_soon()
            await stage.servers.called(lambda calls: len(calls) == SLOTS - RESERVED)
            new = stage.registry.add("new", "http://new.test:8000")
            stage.scheduler.look_soon()
            await stage.listed(new)
            assert len(stage.servers.calls) == SLOTS - RESERVED + 1
            stage.servers.calls.clear()
            for asked in ids:
                stage.scheduler.ask(asked)
            await stage.servers.called(lambda calls: len(calls) == RESERVED)
            await stage.servers.release(*hosts)
            await stage.until(lambda: all(stage.checked_at(id_) == stage.now for id_ in ids))
            assert sum(stage.servers.open.values()) == 0

    play(scene)


def test_a_provider_that_changes_during_its_check_is_checked_again_at_once(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "LOOK_SECONDS", 1000.0)  # no look by itself

    async def scene(stage: Stage) -> None:
        stage.servers.held = {"old"}
        acme = stage.registry.add("acme", "http://old.test:8000")
        async with working(stage):
            await stage.servers.called(lambda calls: "old" in calls)
            stage.registry.move(acme, "http://new.test:8000")
            await stage.servers.release("old")
            await stage.listed(acme)
            with stage.database.read() as tx:
                assert [m.upstream_id for m in catalogue.models(tx, [acme])] == ["of-new"]

    play(scene)


def test_a_defect_in_one_check_stops_no_other(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(stage: Stage) -> None:
        stage.servers.broken = {"odd"}
        stage.registry.add("odd", "http://odd.test:8000")
        async with working(stage):
            await stage.servers.called(lambda calls: "odd" in calls)
            await stage.listed(stage.registry.add("sane", "http://sane.test:8000"))
            assert stage.servers.calls.count("odd") == 1
            stage.servers.broken.clear()
            stage.now += 31  # its claim has run out
            stage.scheduler.look_soon()
            await stage.servers.called(lambda calls: calls.count("odd") == 2)

    play(scene)
    assert "by a defect of ours" in caplog.text


def test_work_goes_on_when_the_database_is_back(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def scene(stage: Stage) -> None:
        stage.ledger.away = True
        acme = stage.registry.add("acme")
        async with working(stage):
            async with asyncio.timeout(TIMEOUT):
                await stage.scheduler.looked.wait()
            stage.scheduler.ask(acme)
            assert stage.servers.calls == []
            stage.ledger.away = False
            stage.scheduler.look_soon()
            await stage.listed(acme)

    play(scene)
    assert caplog.text.count("the database does not answer") == 1
    assert "the database is back" in caplog.text


def test_a_finding_that_could_not_be_written_is_found_again_at_once(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        stage.servers.held = {"acme"}
        acme = stage.registry.add("acme")
        async with working(stage):
            await stage.servers.called(lambda calls: "acme" in calls)
            stage.ledger.away = True
            await stage.servers.release("acme")
            await stage.until(lambda: not stage.servers.open["acme"])
            stage.ledger.away = False
            stage.scheduler.look_soon()
            await stage.listed(acme)

    play(scene)


def test_stopping_gives_the_claims_back(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        stage.servers.held = {"acme"}
        acme = stage.registry.add("acme")
        async with working(stage):
            await stage.servers.called(lambda calls: "acme" in calls)
        successor = Ledger(stage.database)
        claims = await successor.claim([acme], now=stage.now, asked=[])
        successor.close()
        assert [claim.provider_id for claim in claims] == [acme]

    play(scene)


def test_the_log_has_one_line_for_each_change_of_a_status(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def scene(stage: Stage) -> None:
        acme = stage.registry.add("acme", "http://acme.test:8000/secret-path", key="sk-1")
        async with working(stage):
            await stage.listed(acme)
            stage.registry.refresh(acme)
            stage.scheduler.look_soon()
            await stage.until(lambda: stage.refresh_seen(acme) == 1)
            stage.registry.enable(acme, False)
            stage.scheduler.look_soon()
            await stage.until(lambda: caplog.text.count("status changed") == 2)

    play(scene)
    told = [record for record in caplog.records if "status changed" in record.message]
    assert [(r.__dict__["was"], r.__dict__["status"]) for r in told] == [
        ("pending", "ok"),
        ("ok", "disabled"),
    ]
    assert all(record.__dict__["provider"].startswith("prov_") for record in told)
    assert "secret-path" not in str([record.__dict__ for record in told])


def test_options_are_applied_while_the_server_is_silent(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        acme = stage.registry.add("acme")
        async with working(stage):
            await stage.listed(acme)
            stage.servers.held = {"acme"}
            stage.registry.change(acme, models=["by-hand"], allow_models=["by-*"])
            stage.scheduler.look_soon()
            # In either order: the call that finds it silent begins when the options are applied.
            await stage.until(lambda: stage.servers.open["acme"] == 1)
            await stage.until(lambda: stage.model_ids(acme) == ["by-hand"])
            assert stage.servers.open["acme"] == 1

    play(scene)


def test_two_workers_ask_one_server_one_at_a_time(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        stage.servers.held = {"shared"}
        ids = [stage.registry.add(f"p{n}", "http://shared.test:8000") for n in range(4)]
        second = stage.another_worker()
        async with working(stage), working(second):
            await stage.servers.called(lambda calls: "shared" in calls)
            for worker in (stage, second):
                worker.scheduler.look_soon()
            beside = stage.registry.add("beside")
            await stage.listed(beside)
            assert stage.servers.calls.count("shared") == 1
            await stage.servers.release("shared")
            await stage.listed(*ids)
        assert stage.servers.most_open["shared"] == 1

    play(scene)


def test_however_often_it_is_told_the_database_is_asked_ten_times_a_second_at_most(
    play: Play,
) -> None:
    async def scene(stage: Stage) -> None:
        clock = asyncio.get_running_loop().time
        async with working(stage):
            began = clock()
            while clock() - began < 0.4:
                stage.scheduler.look_soon()
                await asyncio.sleep(0.002)
            assert 2 <= stage.ledger.looks <= (clock() - began) / REST_SECONDS + 2

    play(scene)
