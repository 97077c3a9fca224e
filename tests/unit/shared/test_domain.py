"""The state machine is data; everything else follows it."""

from __future__ import annotations

from pathlib import Path

from shared.domain import MOVES, TERMINAL, JobState, Writer, diagram

ROOT = Path(__file__).parents[3]


def test_no_move_leaves_a_terminal_state() -> None:
    assert not [move for move in MOVES if move.source in TERMINAL]


def test_every_state_but_the_first_is_reached_and_every_live_one_is_left() -> None:
    assert {move.target for move in MOVES} == set(JobState)
    assert {move.source for move in MOVES} == set(JobState) - TERMINAL


def test_only_the_registry_cancels_and_only_the_worker_claims() -> None:
    cancels = {move.writer for move in MOVES if move.target is JobState.CANCELLED}
    claims = {move.writer for move in MOVES if move.target is JobState.IN_PROGRESS}
    assert (cancels, claims) == ({Writer.REGISTRY}, {Writer.CHAT_WORKER})


def test_the_picture_in_the_docs_is_drawn_from_the_data() -> None:
    assert diagram() in (ROOT / "docs/state-machine.md").read_text("utf-8")
