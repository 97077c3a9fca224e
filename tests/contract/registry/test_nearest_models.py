"""A refusal of an unknown model names the nearest that its caller may use, and no other."""

from __future__ import annotations

import time

from services.registry.models import nearest
from tests.contract.registry.conftest import CHAT, Registry, chat_body, refused


def told(registry: Registry, model: str, who: str = "ann", path: str = CHAT) -> list[str]:
    """The ids that the refusal of a chat with this model names."""
    body = chat_body(model) if path == CHAT else {"model": model, "input": "x"}
    answer = registry.post(path, body, who=who)
    message = str(refused(answer, 404, "model_not_found", "model")["detail"])
    return message.partition(" Nearest: ")[2].rstrip(".").split(", ")


def test_the_likest_ids_are_named_on_every_route(registry: Registry) -> None:
    slug = registry.name()
    made = registry.add(slug=slug)
    registry.discovered(made["id"], "zebra3:8b", "zebra3:70b", "org/Zebra-Vision", "other")
    listed = [f"{slug}/zebra3:8b", f"{slug}/zebra3:70b", f"{slug}/org/Zebra-Vision"]
    assert told(registry, "zebra3") == listed[:2]
    assert told(registry, "Zebra3:70") == [listed[1], listed[0]]
    assert told(registry, "zebra-vision")[0] == listed[2]
    assert told(registry, "nobodys/zebra3:8b", path="/v1/responses")[0] == listed[0]
    shown = refused(registry.get(f"/v1/models/{slug}/zebra3"), 404, "model_not_found", "model")
    assert shown["detail"].endswith(f"Nearest: {listed[0]}, {listed[1]}.")


def test_a_slug_that_was_mistyped_is_named_as_it_is(registry: Registry) -> None:
    registry.add(slug="quagga-server")
    assert told(registry, "quaga-server/anything") == ["quagga-server/anything"]


def test_the_id_that_was_refused_is_not_named(registry: Registry) -> None:
    registry.add(slug="tapir-server")
    registry.add(slug="tapir-servers")
    detail = registry.get("/v1/models/tapir-server/zzz").get_json()["detail"]
    assert detail.endswith(" Nearest: tapir-servers/zzz.")
    registry.add(slug="wombat")
    assert "Nearest" not in registry.get("/v1/models/wombat/zzz").get_json()["detail"]


def test_what_the_caller_may_not_use_is_never_named(registry: Registry) -> None:
    hidden = registry.add(slug="okapi-hidden", visibility=["ben"])
    off = registry.add(slug="okapi-off", enabled=False)
    narrow = registry.add(slug="okapi-narrow", options={"allow_models": ["okapi-small*"]})
    for one in (hidden, off, narrow):
        registry.discovered(one["id"], "okapi-small:1b", "okapi-large:1b")
    assert told(registry, "okapi-small") == ["okapi-narrow/okapi-small:1b"]
    assert told(registry, "okapi-hiden/okapi-small:1b") == ["okapi-narrow/okapi-small:1b"]
    assert told(registry, "okapi-hiden/x") == [""]
    assert told(registry, "okapi-hiden/x", who="ben") == ["okapi-hidden/x"]
    assert told(registry, "okapi-narrow/okapi-large:1b") == ["okapi-narrow/okapi-small:1b"]


def test_nothing_is_named_where_nothing_is_near(registry: Registry) -> None:
    for model in ("qq", "%_%", "no-such-word-anywhere", "/", "a/", "\u00e9\u00e9\u00e9\u00e9"):
        assert told(registry, model) == [""], model


def test_hundreds_of_like_models_cost_no_more_than_a_few(registry: Registry) -> None:
    made = registry.add()
    registry.discovered(made["id"], *(f"gnu-{number}" for number in range(600)))
    began = time.process_time()
    assert len(told(registry, "gnu")) == nearest.MOST
    assert time.process_time() - began < 0.5
