"""Simulators stream as asked: word by word, at a pace, until a chosen end."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import httpx
import pytest

from shared.chunks import folded
from tests.simulators import CountingSimulator, Mode, Running, running
from tests.simulators.counting import text_of

CHAT = "/v1/chat/completions"
USAGE = {"include_usage": True}


@pytest.fixture
def counting() -> Iterator[Running]:
    with running(CountingSimulator()) as sim:
        yield sim


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [], "stream": True, **fields}


def events(at: Running, /, **fields: Any) -> Generator[str, None, None]:
    """The data of each event, as it comes."""
    with httpx.stream("POST", at.url + CHAT, json=body(**fields), timeout=5) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        for line in answer.iter_lines():
            if line:
                yield line.removeprefix("data: ")


def chunks(at: Running, /, **fields: Any) -> list[dict[str, Any]]:
    *found, done = events(at, **fields)
    assert done == "[DONE]"
    return [json.loads(one) for one in found]


def test_a_call_is_told_as_many_words_as_it_asks_for_each_in_a_chunk(counting: Running) -> None:
    found = chunks(counting, sim={"words": 50})
    assert len(found) == 1 + 50 + 1
    whole = httpx.post(counting.url + CHAT, json=body(sim={"words": 50}, stream=False)).json()
    content = folded(found)["choices"][0]["message"]["content"]
    assert content == whole["choices"][0]["message"]["content"] == text_of(50)
    assert counting.stats().answered == 2


def test_usage_comes_last_and_only_when_asked_for(counting: Running) -> None:
    assert "usage" not in folded(chunks(counting))
    found = chunks(counting, stream_options=USAGE)
    assert (found[-1]["choices"], found[-1]["usage"]["total_tokens"]) == ([], 10)
    assert [one["usage"] for one in found[:-1]] == [None] * (len(found) - 1)


def test_chunks_keep_their_pace_and_can_be_stamped(counting: Running) -> None:
    found = chunks(counting, sim={"words": 8, "every": 0.02, "stamped": True})
    stamps = [one["sim_sent_at"] for one in found]
    for place, stamp in enumerate(stamps):
        assert 0.02 * place <= stamp - stamps[0] + 0.002 < 0.02 * place + 1
    assert abs(time.monotonic() - stamps[-1]) < 1


def test_a_stream_pauses_where_it_is_asked_to(counting: Running) -> None:
    sim = {"words": 4, "pause": 0.2, "pause_before": 3, "stamped": True}
    stamps = [one["sim_sent_at"] for one in chunks(counting, sim=sim)]
    gaps = [after - before for before, after in itertools.pairwise(stamps)]
    assert [gap > 0.15 for gap in gaps] == [False, False, True, False, False]


def test_a_held_stream_goes_on_when_it_is_released(counting: Running) -> None:
    stream = events(counting, sim={"words": 3, "hold_before": 2})
    first = [next(stream), next(stream)]
    assert counting.stats().in_flight == 1
    late: list[str] = []
    rest = threading.Thread(target=lambda: late.extend(stream))
    rest.start()
    rest.join(timeout=0.1)
    assert (rest.is_alive(), late) == (True, [])
    counting.release()
    rest.join(timeout=5)
    assert len(first) + len(late) == 1 + 3 + 1 + 1
    assert counting.stats().in_flight == 0


@pytest.mark.parametrize("ending", ["cut", "reset"])
def test_a_stream_is_cut_after_as_many_chunks_as_asked(counting: Running, ending: str) -> None:
    # A RST discards what was not read yet: the chunks need time to be read.
    sim = {"words": 9, "ending": ending, "end_after": 3, "every": 0.02}
    found: list[str] = []
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        found.extend(events(counting, sim=sim))
    assert counting.stats().dropped == 1


@pytest.mark.parametrize(
    ("ending", "last"),
    [("end", "word1"), ("error", "this failure"), ("no-done", "stop")],
)
def test_a_stream_ends_in_the_way_that_was_asked_for(
    counting: Running, ending: str, last: str
) -> None:
    found = list(events(counting, sim={"words": 9, "ending": ending, "end_after": 3}))
    assert last in found[-1]
    assert len(found) == {"end": 3, "error": 4, "no-done": 11}[ending]
    assert counting.stats().answered == 1


def test_a_client_that_leaves_in_the_middle_is_seen(counting: Running) -> None:
    stream = events(counting, user="left", sim={"ending": "stall", "end_after": 1})
    next(stream)
    assert counting.calls_of("left").in_flight == 1
    stream.close()
    counting.wait_until(lambda stats: stats.closed_early == 1, timeout=5)
    assert counting.calls_of("left").in_flight == 0


def test_modes_of_streams_leave_other_answers_and_the_list_alone(counting: Running) -> None:
    for mode in (Mode.STREAM_CUT, Mode.STREAM_STALL, Mode.STREAM_ERROR, Mode.NO_STREAM_OPTIONS):
        counting.set_mode(mode)
        assert httpx.get(counting.url + "/v1/models").status_code == 200
        assert httpx.post(counting.url + CHAT, json=body(stream=False)).status_code == 200


def test_refused_stream_options_are_named(counting: Running) -> None:
    counting.set_mode(Mode.NO_STREAM_OPTIONS)
    refused = httpx.post(counting.url + CHAT, json=body(stream_options=USAGE))
    assert refused.status_code == 400
    assert "stream_options" in refused.json()["error"]["message"]
