"""A list that fails removes no model; what a list proves of a key, and what only a chat proves."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from tests.api import Api
from tests.eventually import eventually
from tests.simulators import Mode, running, tgi, vllm

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


def refreshed(api: Api, slug: str) -> dict[str, Any]:
    """The discovery of a check that began after this question."""
    url, headers = f"/v1/providers/{slug}/refresh", {"Prefer": "wait=10"}
    answer = api.http.post(url, headers=headers)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()["provider"]["discovery"]
    return document


def test_a_list_that_fails_keeps_its_models_and_shows_the_error_beside_them(
    api: Api, name: str
) -> None:
    with ExitStack() as stack:
        sims = {mode: stack.enter_context(running(vllm(models=MODELS))) for mode in FAILURES}
        slugs = {
            mode: api.add_provider(f"{name} {mode}", sim.url)["slug"] for mode, sim in sims.items()
        }
        for mode, sim in sims.items():
            api.discovered(slugs[mode], "ok", SECONDS)
            sim.set_mode(mode, "models")
        for mode, (status, code) in FAILURES.items():
            found = refreshed(api, slugs[mode])
            assert (found["status"], found["error"]["code"]) == (status, code)
            assert found["model_count"] == len(MODELS)
            assert found["ok_at"] is not None
            ids = [f"{slugs[mode]}/{model}" for model in MODELS]
            assert listed(api, slugs[mode]) == ids
            assert api.chat(ids[0]).status_code == 200
            sims[mode].set_mode(Mode.NORMAL)
        for slug in slugs.values():
            found = refreshed(api, slug)
            assert (found["status"], found["error"]) == ("ok", None)


def test_an_empty_list_removes_models_only_when_it_comes_twice(api: Api, name: str) -> None:
    with running(vllm(models=MODELS)) as sim:
        slug = api.add_provider(name, sim.url)["slug"]
        api.discovered(slug, "ok", SECONDS)
        counts = []
        for models in ([], MODELS, [], []):
            sim.simulator.models = list(models)
            found = refreshed(api, slug)
            assert found["status"] == "ok"
            assert found["model_count"] == len(listed(api, slug))
            counts.append(found["model_count"])
        assert counts == [2, 2, 2, 0]


def test_a_server_that_lists_to_everybody_leaves_the_key_unproven_until_a_chat_succeeds(
    api: Api, name: str
) -> None:
    with running(tgi(key=RIGHT)) as sim:
        slugs = {
            key: api.add_provider(f"{name} {number}", sim.url, api_key=key)["slug"]
            for number, key in enumerate((WRONG, RIGHT))
        }
        for key, status in ((WRONG, 502), (RIGHT, 200)):
            api.discovered(slugs[key], "ok", SECONDS)
            assert discovery(api, slugs[key])["key_verified_at"] is None
            answer = api.chat(f"{slugs[key]}/{sim.simulator.models[0]}")
            assert answer.status_code == status, answer.text
        eventually(lambda: discovery(api, slugs[RIGHT])["key_verified_at"], SECONDS)
        assert discovery(api, slugs[WRONG])["key_verified_at"] is None
