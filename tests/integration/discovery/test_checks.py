"""What discovery says of real servers on real ports. Redis is away throughout."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from services.discovery_worker.discovery import Discovery
from services.discovery_worker.ledger import Ledger
from shared.domain import DiscoveryStatus
from shared.store.catalogue import Verdict
from tests.eventually import eventually
from tests.integration.discovery.conftest import Stage
from tests.simulators import Mode, ollama, refusing, running, tgi, unaccepting, vllm

SOON = 2.0  # seconds from a registration to its models
LLAMA = "meta-llama/Llama-3.3-70B-Instruct"


@pytest.fixture(scope="module")
def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Discovery]]:
    """One installation at work for all tests of this module."""
    stage = Stage(tmp_path_factory.mktemp("discovery"))
    with stage.discovering() as work:
        yield stage, work
    stage.database.dispose()


@pytest.fixture
def stage(shared_stage: tuple[Stage, Discovery]) -> Stage:
    """The installation."""
    stage, _ = shared_stage
    stage.registry.now = time.time()
    return stage


@pytest.fixture
def work(shared_stage: tuple[Stage, Discovery]) -> Discovery:
    """Discovery at work."""
    return shared_stage[1]


def is_ok(verdict: Verdict) -> bool:
    return verdict.status is DiscoveryStatus.OK


def test_vllm_is_listed_with_its_context_length_and_its_key_is_proven(stage: Stage) -> None:
    with running(vllm(key="sk-1", models=[LLAMA, "second"])) as sim:
        acme = stage.registry.add("vllm", sim.url, key="sk-1")
        llama, _ = stage.listed(acme, LLAMA, "second", timeout=SOON)
        assert llama.upstream_id == LLAMA
        assert (llama.context_length, llama.owned_by) == (131072, "vllm")
        verdict = stage.found(acme, is_ok)
        assert verdict.key_verified_at is not None
        assert [request.bearer for request in sim.simulator.requests] == ["sk-1", None]


def test_ollama_is_listed_without_a_key(stage: Stage) -> None:
    with running(ollama(models=["llama3:latest", "qwen2.5-coder:7b"])) as sim:
        local = stage.registry.add("ollama", sim.url)
        models = stage.listed(local, "llama3:latest", "qwen2.5-coder:7b", timeout=SOON)
        assert {m.context_length for m in models} == {None}
        assert stage.found(local, is_ok).key_verified_at is None
        assert [request.bearer for request in sim.simulator.requests] == [None]


def test_tgi_lists_whatever_the_key_is_so_that_its_key_is_not_proven(stage: Stage) -> None:
    with running(tgi(key="sk-right")) as sim:
        hugging = stage.registry.add("tgi", sim.url, key="sk-wrong")
        stage.listed(hugging, "mistralai/Mistral-7B-Instruct-v0.3", timeout=SOON)
        assert stage.found(hugging, is_ok).key_verified_at is None


def test_a_black_hole_delays_nobody(stage: Stage) -> None:
    with ExitStack() as stack:
        hole = vllm()
        hole.modes["models"] = Mode.SILENT
        holes = [
            stage.registry.add("hole", stack.enter_context(running(hole)).url),
            stage.registry.add("unaccepting", stack.enter_context(unaccepting())),
        ]
        sims = [stack.enter_context(running(vllm(models=[f"m{n}"]))) for n in range(5)]
        for number, sim in enumerate(sims):
            began = time.monotonic()
            beside = stage.registry.add(f"beside-{number}", sim.url)
            stage.listed(beside, f"m{number}", timeout=SOON)
            assert time.monotonic() - began < SOON
        for id_ in holes:
            verdict = stage.verdict(id_)
            assert verdict is None or verdict.checked_at is None
            stage.registry.delete(id_)


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [
        (Mode.WRONG_KEY, "auth_failed", "upstream_authentication_failed"),
        (Mode.HTML, "invalid_response", "upstream_invalid_answer"),
        (Mode.ROUTE_MISSING, "no_models_route", "upstream_route_missing"),
        (Mode.LOADING, "loading", "upstream_loading"),
        (Mode.RATE_LIMITED, "rate_limited", "upstream_rate_limited"),
        (Mode.SERVER_ERROR, "server_error", "upstream_server_error"),
    ],
)
def test_what_is_wrong_is_named_and_the_last_good_list_stays(
    stage: Stage, mode: Mode, status: str, code: str
) -> None:
    with running(vllm()) as sim:
        acme = stage.registry.add(f"wrong-{status}", sim.url, key="sk-canary-0123456789")
        stage.listed(acme, LLAMA)
        good = stage.found(acme, is_ok)
        sim.set_mode(mode, "models")
        stage.registry.refresh(acme)
        verdict = stage.found(acme, lambda v: v.status == status)
        assert verdict.ok_at == good.ok_at
        assert verdict.model_count == 1
        error = stage.error(acme)
        assert error["code"] == code
        assert len(error["message"].split()) >= 5
        assert "<" not in error["message"]
        assert "sk-canary" not in error["message"]
        sim.set_mode(Mode.NORMAL)
        stage.registry.refresh(acme)
        assert stage.found(acme, is_ok).error_sealed is None


def test_a_rate_limit_is_waited_out(stage: Stage) -> None:
    with running(vllm()) as sim:
        sim.simulator.retry_after = "600"
        sim.set_mode(Mode.RATE_LIMITED, "models")
        acme = stage.registry.add("limited", sim.url)
        verdict = stage.found(acme, lambda v: v.status == "rate_limited")
        assert verdict.checked_at is not None
        assert 600 <= verdict.next_check_at - verdict.checked_at <= 660


def test_a_host_that_refuses_is_unreachable_and_a_forbidden_one_says_so(stage: Stage) -> None:
    with refusing() as url:
        refused = stage.registry.add("refusing", url)
        stage.found(refused, lambda v: v.status == "unreachable")
        assert stage.error(refused)["code"] == "upstream_unreachable"
    forbidden = stage.registry.add("forbidden", "http://169.254.169.254/v1")
    stage.found(forbidden, lambda v: v.status == "unreachable")
    assert stage.error(forbidden)["code"] == "outbound_forbidden"


def test_models_listed_by_hand_are_there_where_no_route_lists_any(stage: Stage) -> None:
    with running(vllm()) as sim:
        sim.set_mode(Mode.ROUTE_MISSING, "models")
        plain = stage.registry.add("by-hand", sim.url, models=["sonar", "sonar-pro"])
        models = stage.listed(plain, "sonar", "sonar-pro")
        assert {m.source for m in models} == {"manual"}
        assert stage.found(plain, lambda v: True).status is DiscoveryStatus.NO_MODELS_ROUTE


def test_an_empty_list_counts_when_it_comes_twice(stage: Stage) -> None:
    with running(vllm(models=["a", "b"])) as sim:
        acme = stage.registry.add("emptied", sim.url)
        stage.listed(acme, "a", "b")
        first = stage.found(acme, is_ok)
        sim.simulator.models = []
        stage.registry.refresh(acme)
        second = stage.found(acme, lambda v: v.checked_at != first.checked_at)
        assert (second.status, second.model_count) == (DiscoveryStatus.OK, 2)
        assert second.ok_at == first.ok_at
        stage.registry.refresh(acme)
        third = stage.found(acme, lambda v: v.checked_at != second.checked_at)
        assert (third.status, third.model_count) == (DiscoveryStatus.OK, 0)


def test_a_server_that_moves_is_listed_where_it_is_now(stage: Stage) -> None:
    with running(vllm(models=["old"])) as old, running(ollama(models=["new"])) as new:
        acme = stage.registry.add("moving", old.url)
        stage.listed(acme, "old")
        stage.registry.move(acme, new.url)
        stage.listed(acme, "new", timeout=SOON)


def test_a_disabled_provider_is_left_alone_until_it_is_enabled(stage: Stage) -> None:
    with running(vllm()) as sim:
        acme = stage.registry.add("switched", sim.url)
        stage.listed(acme, LLAMA)
        stage.registry.enable(acme, False)
        stage.found(acme, lambda v: v.status is DiscoveryStatus.DISABLED)
        asked = len(sim.simulator.requests)
        assert stage.verdict(acme) is not None
        stage.registry.enable(acme, True)
        stage.found(acme, is_ok)
        assert len(sim.simulator.requests) == asked + 1


def test_an_observation_proves_the_key_or_causes_a_check(stage: Stage, work: Discovery) -> None:
    with running(tgi()) as sim:
        hugging = stage.registry.add("observed", sim.url, key="sk-1")
        before = stage.found(hugging, is_ok)
        assert before.key_verified_at is None
        work.observe(hugging, "ok", 1)
        proven = stage.found(hugging, lambda v: v.key_verified_at)
        assert proven.checked_at == before.checked_at
        work.observe(hugging, "auth_failed", 1)
        stage.found(hugging, lambda v: v.key_verified_at is None)
        work.observe(hugging, "a word of a later release", 1)
        sim.set_mode(Mode.SERVER_ERROR, "models")
        stage.registry.refresh(hugging)
        stage.found(hugging, lambda v: v.status == "server_error")
        sim.set_mode(Mode.NORMAL)
        work.observe(hugging, "ok", None)
        stage.found(hugging, is_ok)


def test_a_loop_that_ends_by_a_defect_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stage, look = Stage(tmp_path), Ledger.look

    async def defective(ledger: Ledger, *given: Any, **named: Any) -> Any:
        if ledger._database is not stage.database:  # that of the other tests, at work beside it
            return await look(ledger, *given, **named)
        raise ZeroDivisionError

    with stage.discovering():
        monkeypatch.setattr(Ledger, "look", defective)
        eventually(lambda: stage.crashes, 5)
        assert "ZeroDivisionError" in caplog.text
        stage.crashes.clear()
    stage.database.dispose()
