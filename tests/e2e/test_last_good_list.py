"""A list that fails removes no model; what a list proves of a key, and what only a chat proves."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from tests.api import Api
from tests.eventually import eventually
from tests.simulators import Mode, Running, running, tgi, vllm

MODELS = ["a/first", "b:second"]
SECONDS = 6.0
WRONG, RIGHT = "sk-wrong-0123456789", "sk-right-0123456789"
FAILURES = {
    Mode.SERVER_ERROR: ("server_error", "upstream_server_error"),
    Mode.HTML: ("invalid_response", "upstream_invalid_answer"),
    Mode.LOADING: ("loading", "upstream_loading"),
}


def listed(api: Api, slug: str) -> list[str]:
    data = api.http.get("/v1/models", params={"provider": slug}).json()["data"]
    return [entry["id"] for entry in data]


def discovery(api: Api, slug: str) -> dict[str, Any]:
    document: dict[str, Any] = api.http.get(f"/v1/providers/{slug}").json()["discovery"]
    return document


def asked_again(sim: Running, times: int) -> None:
    """Wait until the list was asked for so many more times; all but the last are taken in then."""
    before = sim.stats().model_lists
    sim.wait_until(lambda stats: stats.model_lists >= before + times, SECONDS)


def test_a_list_that_fails_keeps_its_models_and_shows_the_error_beside_them(
    restless: Api, name: str
) -> None:
    with ExitStack() as stack:
        sims = {mode: stack.enter_context(running(vllm(models=MODELS))) for mode in FAILURES}
        slugs = {
            mode: restless.add_provider(f"{name} {mode}", sim.url)["slug"]
            for mode, sim in sims.items()
        }
        for mode, sim in sims.items():
            restless.discovered(slugs[mode], "ok", SECONDS)
            sim.set_mode(mode, "models")
        for mode, (status, code) in FAILURES.items():
            found = restless.discovered(slugs[mode], status, SECONDS)["discovery"]
            assert found["error"]["code"] == code
            assert found["model_count"] == len(MODELS)
            assert found["ok_at"] is not None
            ids = [f"{slugs[mode]}/{model}" for model in MODELS]
            assert listed(restless, slugs[mode]) == ids
            assert restless.chat(ids[0]).status_code == 200
            sims[mode].set_mode(Mode.NORMAL)
        for slug in slugs.values():
            assert restless.discovered(slug, "ok", SECONDS)["discovery"]["error"] is None


def test_an_empty_list_removes_models_only_when_it_comes_twice(restless: Api, name: str) -> None:
    with running(vllm(models=MODELS)) as sim:
        slug = restless.add_provider(name, sim.url)["slug"]
        restless.discovered(slug, "ok", SECONDS)
        sim.simulator.empty_lists = 1
        asked_again(sim, 2)
        assert sim.simulator.empty_lists == 0
        assert len(listed(restless, slug)) == len(MODELS)
        sim.simulator.models.clear()
        eventually(lambda: listed(restless, slug) == [], SECONDS)
        assert discovery(restless, slug)["status"] == "ok"


def test_a_server_that_lists_to_everybody_leaves_the_key_unproven_until_a_chat_succeeds(
    restless: Api, name: str
) -> None:
    with running(tgi(key=RIGHT)) as sim:
        slugs = {
            key: restless.add_provider(f"{name} {number}", sim.url, api_key=key)["slug"]
            for number, key in enumerate((WRONG, RIGHT))
        }
        for key, status in ((WRONG, 502), (RIGHT, 200)):
            restless.discovered(slugs[key], "ok", SECONDS)
            assert discovery(restless, slugs[key])["key_verified_at"] is None
            answer = restless.chat(f"{slugs[key]}/{sim.simulator.models[0]}")
            assert answer.status_code == status, answer.text
        eventually(lambda: discovery(restless, slugs[RIGHT])["key_verified_at"], SECONDS)
        assert discovery(restless, slugs[WRONG])["key_verified_at"] is None
