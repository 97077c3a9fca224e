"""The judge of the events campaign finds each way in which events and database may differ."""

from __future__ import annotations

from typing import Any

import pytest

from tests.campaigns.changes import Change
from tests.campaigns.checker import Finding
from tests.campaigns.events_judge import Truth, of_stream, of_table, shown

Row = dict[str, Any]


def row(seq: int, type_: str, subject: str, revision: int) -> Row:
    return {
        "id": f"evt_{seq}",
        "seq": seq,
        "type": type_,
        "subject": subject,
        "revision": revision,
        "at": 1.5,
    }


def truth(*events: Row, **more: Any) -> Truth:
    given: dict[str, Any] = {"living": {"a": 2}, "enabled": {"a"}, "deleted": {"b"}}
    return Truth(events=list(events), **{**given, **more})


CREATED, CHANGED = row(1, "provider.created", "a", 1), row(3, "provider.changed", "a", 2)
OTHER, GONE = row(2, "provider.created", "b", 1), row(4, "provider.deleted", "b", 2)
WHOLE = truth(CREATED, OTHER, CHANGED, GONE)
DONE = [Change("a", 1), Change("b", 1), Change("a", 2), Change("b", None)]


def entry(of: Row, entry_id: str = "", **wrong: str) -> tuple[str, dict[str, str]]:
    fields = shown(of)
    assert fields is not None
    return entry_id or f"{of['seq']}-0", {**fields, **wrong}


STREAM = [entry(CREATED), entry(OTHER), entry(CHANGED), entry(GONE)]


def broken(findings: list[Finding]) -> list[str]:
    return [finding.what for finding in findings if not finding.holds]


def test_what_agrees_breaks_nothing() -> None:
    assert broken(of_table(WHOLE, DONE)) == []
    assert broken(of_stream(WHOLE, STREAM)) == []
    assert broken(of_stream(WHOLE, STREAM[2:])) == []  # trimmed


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (truth(CREATED, CHANGED, GONE), "numbers missing in the event table"),
        (
            truth(CREATED | {"revision": 3}, OTHER, CHANGED, GONE),
            "events of a provider whose revision goes back",
        ),
        (
            truth(CREATED, OTHER, CHANGED, GONE, row(5, "provider.changed", "b", 3)),
            "events of a provider whose revision goes back",
        ),
        (
            truth(CREATED, OTHER, CHANGED, GONE, living={"a": 3}),
            "changes without their event, events without their change",
        ),
        (
            truth(CREATED, OTHER, CHANGED, GONE, living={"a": 2, "b": 2}),
            "changes without their event, events without their change",
        ),
        (
            truth(CREATED, OTHER, CHANGED, GONE, deleted={"b", "c"}),
            "changes without their event, events without their change",
        ),
    ],
    ids=["gap", "order", "after the end", "untold change", "lives on", "untold end"],
)
def test_a_table_that_does_not_tell_what_happened_is_found(wrong: Truth, what: str) -> None:
    assert what in broken(of_table(wrong, DONE))


def test_an_answered_change_without_its_event_is_found() -> None:
    for change in (Change("a", 9), Change("a", None)):
        assert len(broken(of_table(WHOLE, [*DONE, change]))) == 1


@pytest.mark.parametrize(
    ("entries", "what"),
    [
        ([], "gaps in the stream, or an end that is not the table's"),
        (STREAM[:3], "gaps in the stream, or an end that is not the table's"),
        ([STREAM[0], *STREAM[2:]], "gaps in the stream, or an end that is not the table's"),
        (
            [*STREAM, entry(GONE, "4-1")],
            "gaps in the stream, or an end that is not the table's",
        ),
        (
            [*STREAM[:3], entry(GONE, id="evt_foreign")],
            "entries of the stream that differ from their row",
        ),
    ],
    ids=["empty", "short", "gap", "twice", "forged"],
)
def test_a_stream_that_is_not_the_end_of_the_table_is_found(entries: Any, what: str) -> None:
    assert broken(of_stream(WHOLE, entries)) == [what]


def test_what_discovery_owes_is_named() -> None:
    good = {"a": ("ok", 2)}
    assert truth(verdicts=good, listed={"a"}).unsettled() == []
    for verdicts in ({}, {"a": ("ok", 1)}, {"a": ("unreachable", 2)}, good | {"b": ("ok", 1)}):
        assert len(truth(verdicts=verdicts).unsettled()) == 1
    assert len(truth(verdicts=good, listed={"b"}).unsettled()) == 1
    assert len(truth(verdicts=good, enabled=set()).unsettled()) == 1
