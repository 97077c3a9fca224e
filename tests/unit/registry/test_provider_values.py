"""What the fields of a provider may hold, and the one spelling in which it is kept."""

from __future__ import annotations

import datetime
from typing import Any

import marshmallow as ma
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from services.registry.providers.schemas import (
    NewProvider,
    Options,
    ProviderPatch,
    ProviderQuery,
    options_by_default,
)
from services.registry.providers.values import Name

GIVEN = {"name": "n", "endpoint": "host:1"}


def faults(**fields: Any) -> Any:
    """Field → its fault, of a new provider with these fields."""
    with pytest.raises(ma.ValidationError) as raised:
        NewProvider().load({**GIVEN, **fields})
    return raised.value.normalized_messages()  # type: ignore[no-untyped-call]


def certificate() -> tuple[str, str]:
    """A certificate and its private key, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ca")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, *_DAYS).sign(
        key, hashes.SHA256()
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


_DAYS = (datetime.datetime(2026, 1, 1), datetime.datetime(2126, 1, 1))


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  vLLM Llama 3 ", "vLLM Llama 3"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("日本語 モデル", "日本語 モデル"),
        ("x\u0302\u0323", "x\u0323\u0302"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("שלום", "שלום"),
        ("x" * 100, "x" * 100),
        ("e\u0301" * 100, "\u00e9" * 100),
    ],
)
def test_a_name_is_kept_composed_and_without_outer_spaces(typed: str, kept: str) -> None:
    assert NewProvider().load({**GIVEN, "name": typed})["name"] == kept


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "got 0"),
        (" \u00a0 ", "got 0"),
        ("x" * 101, "got 101"),
        ("a\nb", "U+000A as number 2"),
        ("a\tb", "U+0009"),
        ("abc\u202edef", "U+202E as number 4"),
        ("a\u2066b", "U+2066"),
        ("a\u200eb", "U+200E"),
        ("a\u200bb", "U+200B"),
        ("a\ufeffb", "U+FEFF"),
        ("a\u00a0b", "U+00A0"),
        ("a\u00adb", "U+00AD"),
        ("a\u2028b", "U+2028"),
        ("a\u3164b", "U+3164"),
        ("\u2800", "U+2800"),
        ("a\x1b[31mb", "U+001B"),
        ("a\x9bb", "U+009B"),
        ("a\ue000b", "U+E000"),
        ("a\U000e0041b", "U+E0041"),
        ("a\x00b", "NUL"),
        ("\u0301a", "only combines"),
    ],
    ids=ascii,
)
def test_a_name_holds_only_what_people_can_see(name: str, said: str) -> None:
    (fault,) = faults(name=name)["name"]
    assert fault.startswith("Expected")
    assert said in fault


@given(st.text())
def test_no_name_at_all_breaks_the_check(name: str) -> None:
    try:
        kept = Name().deserialize(name)
    except ma.ValidationError:
        return
    assert kept.isprintable()
    assert Name().deserialize(kept) == kept


def test_tags_and_owners_are_kept_once_each_in_their_order() -> None:
    loaded = NewProvider().load(
        {
            **GIVEN,
            "tags": ["b", "a", "b", "e\u0301", "\u00e9"],
            "visibility": ["ben", "ann", "ben"],
            "options": {"models": ["m", "n", "m"], "allow_models": ["*", "*"]},
        }
    )
    assert loaded["tags"] == ["b", "a", "\u00e9"]
    assert loaded["visibility"] == ["ben", "ann"]
    assert (loaded["options"]["models"], loaded["options"]["allow_models"]) == (["m", "n"], ["*"])


@pytest.mark.parametrize("tag", ["", "a b", "a,b", "x" * 65, "a\u202eb", "a\u3164", "a\x7f", 5])
def test_a_tag_is_one_word_that_people_can_see(tag: Any) -> None:
    assert set(faults(tags=["ok", tag])["tags"]) == {1}
    assert faults(tags=[str(n) for n in range(33)])["tags"] == ["Expected at most 32 tags, got 33."]


@pytest.mark.parametrize(
    ("visibility", "where"),
    [
        ("nobody", None),
        (None, None),
        (5, None),
        ({"ann": True}, None),
        ([], None),
        (["ann"] * 101, None),
        (["ann", "Ben"], 1),
        (["ann", 5], 1),
        (["a" * 65], 0),
        (["ann\n"], 0),
        (["-ann"], 0),
    ],
    ids=str,
)
def test_visibility_is_a_word_or_a_list_of_owners(visibility: Any, where: int | None) -> None:
    found = faults(visibility=visibility)["visibility"]
    if where is not None:
        assert set(found) == {where}
    elif visibility is not None:
        assert '"everyone", "admins"' in found[0]


@pytest.mark.parametrize("control", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\x0b"])
def test_a_description_may_have_lines_and_tabs_but_nothing_a_terminal_obeys(control: str) -> None:
    text = "one\ntwo\r\n\tthree: שלום"
    assert NewProvider().load({**GIVEN, "description": text})["description"] == text
    assert faults(description=f"a{control}b")["description"][0].startswith("Expected")
    said = faults(description="x" * 2_001)["description"]
    assert said == ["Expected at most 2,000 characters, got 2,001."]


def test_a_certificate_is_taken_and_a_private_key_beside_it_is_not() -> None:
    public, private = certificate()
    loaded = Options().load({"ca_certificate": public})
    assert loaded["ca_certificate"] == public
    for unfit in (public + private, private, "no PEM", ""):
        said = str(faults(options={"ca_certificate": unfit})["options"]["ca_certificate"])
        assert "Expected certificates" in said
        assert private.splitlines()[1] not in said


@pytest.mark.parametrize(
    ("member", "values"),
    [
        ("max_concurrency", [0, 100_001, 1.5, True, "3"]),
        ("connect_timeout", [0, 61, -1, True, "5", None]),
        ("first_byte_timeout", [0.05, 3_601]),
        ("idle_timeout", [0.05, 3_601]),
        ("total_timeout", [0.05, 86_401]),
        ("verify_tls", [0, "no", None]),
        ("models", ["m", [""], ["a\nb"], ["x" * 257], [5], None]),
        ("allow_models", ["*", [""], ["a\x9bb"]]),
    ],
)
def test_an_option_out_of_range_is_refused_and_says_what_was_expected(
    member: str, values: list[Any]
) -> None:
    for value in values:
        assert "Expected" in str(faults(options={member: value})["options"][member])


def test_an_empty_patch_holds_nothing_and_null_stands_for_the_default() -> None:
    assert ProviderPatch().load({}) == {}
    nulls = ("description", "tags", "visibility", "enabled", "options", "api_key")
    assert ProviderPatch().load(dict.fromkeys(nulls)) == {
        "description": "",
        "tags": [],
        "visibility": "everyone",
        "enabled": True,
        "options": options_by_default(),
        "api_key": None,
    }
    members = options_by_default()
    assert ProviderPatch().load({"options": dict.fromkeys(members)}) == {"options": members}
    assert ProviderPatch().load({"options": {"idle_timeout": 7}}) == {
        "options": {"idle_timeout": 7}
    }


def test_a_patch_takes_every_field_of_a_new_provider_by_the_same_rules() -> None:
    patch, new = ProviderPatch(), NewProvider()
    assert set(patch.fields) == set(new.fields)
    for unfit in ({"name": "a\nb"}, {"tags": ["a b"]}, {"options": {"idle_timeout": 0}}):
        with pytest.raises(ma.ValidationError) as of_patch:
            patch.load(unfit)
        assert of_patch.value.messages == faults(**unfit)


@pytest.mark.parametrize("slug", ["Acme", "-a", "", "a_b", "a" * 64, "test", "checks", "a\n"])
def test_a_slug_is_a_short_plain_word_that_is_no_path_of_the_api(slug: str) -> None:
    assert faults(slug=slug)["slug"][0].startswith("Expected")


@pytest.mark.parametrize("slug", ["a", "0", "a-b-", "a" * 63, "events"])
def test_any_other_slug_is_taken(slug: str) -> None:
    assert NewProvider().load({**GIVEN, "slug": slug})["slug"] == slug


def test_a_tag_that_is_searched_for_is_read_as_one_that_is_given() -> None:
    assert ProviderQuery().load({"tag": ["e\u0301"]})["tag"] == ["\u00e9"]
