"""What a request for a response may hold, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from shared.store import jobs
from shared.store.schema import chat_job
from tests.contract.registry.conftest import Registry, refused
from tests.contract.registry.test_responses import FUNCTION, RESPONSES, bare, body, submitted


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["reasoning.encrypted_content"]}, "include"),
        ({"tools": [FUNCTION, {"type": "web_search"}]}, "tools[1].type"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
            "input[0].content[0].type",
        ),
        ({"reasoning": {"summary": "auto"}}, "reasoning.summary"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
    ],
)
def test_what_a_chat_cannot_do_is_refused_with_the_field_and_the_remedy(
    registry: Registry, slug: str, fields: dict[str, Any], param: str
) -> None:
    answer = registry.post(RESPONSES, body(f"{slug}/m", **fields))
    detail = refused(answer, 400, "invalid_value", param)["detail"]
    assert detail.startswith(f"Expected what a chat completion can do, got {param}")
    assert detail.endswith(".")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{**FUNCTION, "type": {}}]}, "tools[0].type"),
        ({"input": [{"type": []}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": [1]}]}]}, "input[0].content[0].type"),
    ],
)
def test_a_type_that_is_no_word_is_refused_too(
    registry: Registry, slug: str, fields: dict[str, Any], param: str
) -> None:
    answer = registry.post(RESPONSES, body(f"{slug}/m", **fields))
    refused(answer, 400, "invalid_value", param)


def test_an_unknown_field_is_refused_and_the_sdks_nulls_are_not(
    registry: Registry, slug: str
) -> None:
    refused(registry.post(RESPONSES, body(f"{slug}/m", seed=1)), 400, "unknown_field", "seed")
    nulls: Any = dict.fromkeys(
        ("previous_response_id", "conversation", "prompt", "tools", "truncation")
    )
    submitted(registry, f"{slug}/m", **nulls, include=[])


def test_the_webhooks_secret_is_kept_in_its_own_place_only(registry: Registry, slug: str) -> None:
    secret = "whsec_" + "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0"
    hook = {"url": "http://10.0.0.9/hook", "secret": secret}
    made = submitted(registry, f"{slug}/m", background_options={"webhook": hook})
    assert made["webhook"] == {"status": "pending", "attempts": 0}
    sealed = registry.column(chat_job, bare(made), jobs.ORIGINAL)
    place = {"table": jobs.TABLE, "row": bare(made), "column": jobs.ORIGINAL}
    assert secret.encode() not in registry.parts.sealer.open(sealed, **place)
