"""Slugs: derived from any name, never reserved, never taken, never too long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.providers import slugs


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("vLLM Llama 3", "vllm-llama-3"),
        ("  --Ünïcode & Straße--  ", "unicode-strasse"),
        ("gpt_4.1/mini", "gpt-4-1-mini"),
        ("日本語", "provider"),
        ("№ 5", "no-5"),
        ("x" * 100, "x" * 63),
        ("x" * 62 + " y", "x" * 62),
    ],
)
def test_a_slug_reads_like_its_name(name: str, slug: str) -> None:
    assert slugs.derive(name, set()) == slug


def test_a_taken_slug_gets_the_next_free_number() -> None:
    assert slugs.derive("acme", {"acme"}) == "acme-2"
    assert slugs.derive("acme", {"acme", "acme-2", "acme-3"}) == "acme-4"
    assert slugs.derive("x" * 63, {"x" * 63}) == "x" * 61 + "-2"


@pytest.mark.parametrize("name", sorted(slugs.RESERVED))
def test_paths_below_providers_are_no_slugs(name: str) -> None:
    assert slugs.derive(name.upper(), set()) == f"{name}-2"


@given(st.text(max_size=120), st.sets(st.text("ab-2", max_size=3)))
def test_every_derived_slug_is_one(name: str, taken: set[str]) -> None:
    slug = slugs.derive(name, taken)
    assert slugs.is_slug(slug)
    assert slug not in taken | slugs.RESERVED


@pytest.mark.parametrize("text", ["", "-a", "A", "a_b", "a\n", "a\x00", "é", "a" * 64])
def test_what_is_no_slug_is_told_apart(text: str) -> None:
    assert not slugs.is_slug(text)
    assert re.fullmatch(slugs.PATTERN, text) is None
