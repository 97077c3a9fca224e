"""A new provider is usable at once, and its models appear by themselves."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.api import CHAT, Api, chat_body
from tests.eventually import eventually
from tests.simulators import (
    CountingSimulator,
    Mode,
    Running,
    ollama,
    running,
    tgi,
    unaccepting,
    vllm,
)

MODELS_SECONDS = 2.0


def _listed(api: Api, slug: str, timeout: float) -> list[dict[str, Any]]:
    """The models of one provider, once there are any."""

    def models() -> list[dict[str, Any]]:
        data = api.http.get("/v1/models").json()["data"]
        return [entry for entry in data if entry["id"].startswith(f"{slug}/")]

    return eventually(models, timeout)


def test_a_provider_answers_a_chat_in_the_request_right_after_its_creation(
    api: Api, upstream: Running, name: str
) -> None:
    slug = api.add_provider(name, upstream.url)["slug"]
    answer = api.chat(f"{slug}/sim-model", "first")
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "answer to first"


@pytest.mark.parametrize("server", [vllm, ollama, tgi])
def test_models_are_listed_within_two_seconds(api: Api, server: Any, name: str) -> None:
    with running(server()) as sim:
        provider = api.add_provider(name, sim.url)
        entries = _listed(api, provider["slug"], MODELS_SECONDS)
        assert [e["id"] for e in entries] == [
            f"{provider['slug']}/{m}" for m in sim.simulator.models
        ]
        assert entries[0]["object"] == "model"
        assert entries[0]["provider"]["id"] == provider["id"]
        discovery = api.discovered(provider["id"], "ok", MODELS_SECONDS)["discovery"]
        assert discovery["model_count"] == len(entries)
        answer = api.chat(entries[0]["id"])
        assert answer.status_code == 200, answer.text


def test_vllms_context_length_is_shown(api: Api, name: str) -> None:
    with running(vllm()) as sim:
        entry = _listed(api, api.add_provider(name, sim.url)["slug"], MODELS_SECONDS)[0]
        assert entry["context_length"] == 131072


@pytest.mark.parametrize("hole", ["reads and never answers", "never accepts"])
def test_a_black_hole_beside_it_changes_nothing(api: Api, name: str, hole: str) -> None:
    silent = CountingSimulator()
    silent.modes = {"chat": Mode.SILENT, "models": Mode.SILENT}
    with running(silent) as sink, unaccepting() as wall, running(CountingSimulator()) as sim:
        api.add_provider(f"{name} hole", sink.url if hole.startswith("reads") else wall)
        slug = api.add_provider(name, sim.url)["slug"]
        began = time.monotonic()
        assert api.chat(f"{slug}/sim-model").status_code == 200
        assert _listed(api, slug, MODELS_SECONDS - (time.monotonic() - began))


def test_a_bare_model_id_resolves_once_one_provider_lists_it(api: Api, name: str) -> None:
    with running(CountingSimulator(models=["only-here-7b"])) as sim:
        provider = api.add_provider(name, sim.url)
        api.discovered(provider["id"], "ok", MODELS_SECONDS)
        answer = api.http.post(CHAT, json=chat_body("only-here-7b"))
        assert answer.status_code == 200, answer.text
        assert answer.json()["provider"]["slug"] == provider["slug"]


def test_a_deleted_provider_takes_no_more_chats_and_frees_its_name(
    api: Api, upstream: Running, name: str
) -> None:
    provider = api.add_provider(name, upstream.url)
    assert api.http.delete(f"/v1/providers/{provider['id']}").status_code == 204
    assert api.http.get(f"/v1/providers/{provider['id']}").status_code == 404
    assert api.chat(f"{provider['slug']}/sim-model").status_code == 404
    assert api.add_provider(name, upstream.url)["id"] != provider["id"]
