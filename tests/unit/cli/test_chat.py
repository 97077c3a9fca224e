"""`chat`: what is asked, and how the answer comes."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from cli.api import lines
from cli.exits import Exit
from tests.unit.cli.scene import Scene, job, refused

MODELS = {"object": "list", "data": [{"id": "acme/m"}], "has_more": False}


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def stream(*chunks: dict[str, Any], end: str = "data: [DONE]\n\n") -> httpx.Response:
    text = ": ping\n" + "".join(
        f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n" for chunk in chunks
    )
    return httpx.Response(200, content=(text + end).encode())


def ask(scene: Scene, *words: str, stdin: str = "") -> Any:
    return scene.run("chat", "-m", "acme/m", *words, stdin=stdin)


def test_the_answer_is_the_output_byte_for_byte(scene: Scene) -> None:
    said = ["He\u2028llo", "", " \x1b[1mworld", "\x85!"]
    scene.answering(stream(*(delta(content=text) for text in said)))
    ran = ask(scene, "What", "now?", "--system", "Be brief.", "--temperature", "0")
    assert (ran.exit, ran.out, ran.err) == (Exit.OK, "".join(said) + "\n", "")
    assert scene.sent() == {
        "model": "acme/m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What now?"},
        ],
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_what_a_provider_wrote_of_odd_types_breaks_no_answer(scene: Scene) -> None:
    odd: list[Any] = [
        {"choices": [{"delta": "x", "finish_reason": 4}], "usage": [1]},
        delta(content={"a": 1}, tool_calls={"b": 2}, reasoning=7),
        delta(content=[{"type": "text", "text": "to"}, 3], tool_calls=[None, "x"]),
        {"choices": None},
    ]
    scene.answering(stream(*odd, delta(content="gether")))
    ran = scene.run("chat", "-m", "acme/m", "--reasoning", "x")
    assert (ran.exit, ran.out, ran.err) == (Exit.OK, "together\n", "")


def test_a_stream_is_read_wherever_the_network_cuts_it() -> None:
    text = "id: 0\ndata: ü\u2028\r\x85\n\n: ping\ndata: [DONE]\n\n".encode()
    whole = [b"id: 0", "data: ü\u2028\r\x85".encode(), b"", b": ping", b"data: [DONE]", b""]
    for size in range(1, len(text) + 1):
        parts = [text[place : place + size] for place in range(0, len(text), size)]
        assert list(lines(parts)) == whole


def test_standard_input_is_the_question_or_its_second_half(scene: Scene) -> None:
    scene.answering(stream(delta(content="x")))
    ask(scene, stdin="From a file.\n")
    assert scene.sent()["messages"][-1]["content"] == "From a file."
    ask(scene, "Summarise:", stdin="From a file.\n")
    assert scene.sent()["messages"][-1]["content"] == "Summarise:\n\nFrom a file."


def test_without_any_question_and_terminal_it_is_a_usage_error(scene: Scene) -> None:
    assert ask(scene).exit is Exit.USAGE
    assert scene.requests == []


def test_reasoning_is_beside_the_answer_and_only_if_wanted(scene: Scene) -> None:
    thinking = [delta(reasoning_content="Hm, "), delta(reasoning="so."), delta(content="42")]
    scene.answering(stream(*thinking))
    plain = ask(scene, "x")
    assert (plain.out, plain.err) == ("42\n", "")
    shown = ask(scene, "x", "--reasoning")
    assert (shown.out, shown.err) == ("42\n", "Hm, so.\n")


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_an_answer_that_was_cut_off_says_so(scene: Scene, finish: str) -> None:
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    ran = scene.answering(stream(delta(content="x"), last)).run("chat", "-m", "acme/m", "q")
    assert "cut off" in ran.err


def test_a_stream_that_fails_or_breaks_keeps_what_was_said_and_is_no_success(
    scene: Scene,
) -> None:
    fail = 'data: {"error": {"message": "The server fell over.", "code": "c"}}\n\n'
    ran = scene.answering(stream(delta(content="Half"), end=fail)).run("chat", "-m", "acme/m", "q")
    assert (ran.exit, ran.out) == (Exit.FAILED, "Half\n")
    assert "The server fell over." in ran.err
    ran = scene.answering(stream(delta(content="Half"), end="")).run("chat", "-m", "acme/m", "q")
    assert (ran.exit, ran.out) == (Exit.UNREACHABLE, "Half\n")


def test_a_refusal_before_the_first_word_is_told(scene: Scene) -> None:
    ran = scene.answering(refused(404, "No model.", code="model_not_found")).run(
        "chat", "-m", "acme/m", "q"
    )
    assert (ran.exit, ran.out) == (Exit.NOT_FOUND, "")
    assert "No model." in ran.err


def test_json_is_the_whole_completion_and_background_the_id_alone(scene: Scene) -> None:
    scene.answering(httpx.Response(200, json=job()))
    assert json.loads(ask(scene, "q", "--json").out) == job()
    assert "stream" not in scene.sent()
    ran = ask(scene, "q", "--background")
    assert ran.out == "chatcmpl-1\n"
    assert scene.sent()["background"] is True


def test_the_model_may_be_left_out_where_there_is_no_choice(scene: Scene) -> None:
    scene.answering(httpx.Response(200, json=MODELS), stream(delta(content="x")))
    assert scene.run("chat", "q").exit is Exit.OK
    assert scene.sent()["model"] == "acme/m"
    two = {**MODELS, "data": [{"id": "acme/m"}, {"id": "acme/n"}]}
    ran = scene.answering(httpx.Response(200, json=two)).run("chat", "q")
    assert ran.exit is Exit.USAGE
    assert "2 models are listed, for example acme/m" in ran.err


def test_a_conversation_remembers_what_was_said_and_outlives_a_failure(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["One", "Two", "Three", "/new", "/system Be brief.", "Four"])

    def read(prompt: str = "") -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    scene.asking()
    answers = [stream(delta(content="1")), refused(503), stream(delta(content="3"))]
    ran = scene.answering(*answers).run("chat", "-m", "acme/m")
    assert ran.exit is Exit.OK
    assert [m["content"] for m in scene.sent(2)["messages"]] == ["One", "1", "Three"]
    assert [m["content"] for m in scene.sent(3)["messages"]] == ["Be brief.", "Four"]
