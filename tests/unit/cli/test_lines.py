"""The input of `jobs submit`: what a line may be, and when two lines are the same job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.jobs.lines import Input, Unusable

CHAT = {"model": "acme/m", "messages": [{"role": "user", "content": "Hi"}]}


def written(folder: Path, *lines: object) -> Path:
    path = folder / "chats.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", "utf-8")
    return path


def test_a_line_is_a_chat_body_or_a_line_of_openai_s_batches(tmp_path: Path) -> None:
    batch = {"custom_id": "b", "method": "POST", "url": "/v1/chat/completions", "body": CHAT}
    chats = Input(written(tmp_path, CHAT, "", batch, {"custom_id": "c", "body": CHAT}))
    assert chats.check() == 3
    lines = list(chats.lines())
    assert [(line.number, line.custom_id) for line in lines] == [(1, None), (3, "b"), (4, "c")]
    assert all(line.body == {**CHAT, "background": True} for line in lines)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"model": ', "expected a JSON object"),
        ("[]", "expected a JSON object, got '[]'"),
        ('{"model": "m"}', "messages"),
        ({"messages": []}, "--model"),
        ({**CHAT, "stream": True}, "stream"),
        ({**CHAT, "temperature": float("nan")}, "NaN"),
        ({"custom_id": 1, "body": CHAT}, "custom_id"),
        ({"custom_id": "x", "url": "/v1/embeddings", "body": CHAT}, "/v1/chat/completions"),
        ({"custom_id": "first", "body": CHAT}, "custom_id of its own, got that of line 1"),
    ],
)
def test_every_line_is_judged_before_any_is_sent(tmp_path: Path, line: object, fault: str) -> None:
    chats = Input(written(tmp_path, {"custom_id": "first", "body": CHAT}, line, "nonsense"))
    with pytest.raises(Unusable) as told:
        chats.check()
    assert "nothing was submitted" in str(told.value)
    assert "line 2" in str(told.value)
    assert fault in str(told.value)
    assert "line 3" in str(told.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"Tell me a story", "got 'Tell me a story' (Expecting value: character 1)"),
        (b'{"messages": [}', "got '{\"messages\": [}' (Expecting value: character 15)"),
        (
            b"\tone\x1b[2J" + b"x" * 1_000,
            f"got 'one\\x1b[2J{'x' * 53}…' (Expecting value: character 2)",
        ),
        (b'{"a": "\xff"}', 'got \'{"a": "\N{REPLACEMENT CHARACTER}"}\' (byte 8 is no UTF-8)'),
        (b'{"a": NaN}', "got '{\"a\": NaN}' (NaN is no JSON)"),
    ],
)
def test_a_line_that_is_no_json_is_told_by_its_begin_and_why(
    tmp_path: Path, line: bytes, told: str
) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(Unusable) as fault:
        Input(path).check()
    assert str(fault.value).splitlines()[1:] == [f"  line 1: expected a JSON object, {told}"]


def test_model_and_metadata_fill_in_and_a_line_s_own_model_stays(tmp_path: Path) -> None:
    bare = {"messages": CHAT["messages"], "metadata": {"a": "1", "b": "1"}}
    chats = Input(written(tmp_path, CHAT, bare), "acme/other", {"b": "2"})
    first, second = (line.body for line in chats.lines())
    assert (first["model"], second["model"]) == ("acme/m", "acme/other")
    assert (first["metadata"], second["metadata"]) == ({"b": "2"}, {"a": "1", "b": "2"})


def test_the_key_is_the_same_for_the_same_file_run_line_and_body_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, CHAT, CHAT)

    def keys(chats: Input) -> list[str]:
        return [chats.key(line) for line in chats.lines()]

    first, second = keys(Input(path))
    assert first != second
    monkeypatch.chdir(tmp_path)
    assert keys(Input(Path("chats.jsonl"))) == [first, second]
    assert set(keys(Input(path, run="again"))).isdisjoint([first, second])
    written(tmp_path, CHAT, {**CHAT, "seed": 1}, CHAT)
    changed = keys(Input(path))
    assert changed[0] == first
    assert changed[1] != second
    assert all(len(key) <= 255 and key.isascii() for key in changed)
