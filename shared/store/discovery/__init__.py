"""Verdicts on providers and their models. Only the discovery worker writes here.

rows      the shapes in which claims and findings travel
claim     who is due, and whose check is whose
record    how a check ends, fenced by its claim and by the provider's revision
listing   how a list of models becomes rows
settle    what needs no check: disabled and deleted providers, and what a chat proved
"""

from shared.store.discovery.claim import candidates, claim, release
from shared.store.discovery.record import choose, record
from shared.store.discovery.rows import (
    CLAIM_SECONDS,
    ERROR,
    TABLE,
    Candidate,
    Claim,
    Entry,
    Finding,
    Standing,
)
from shared.store.discovery.settle import note_chat, settle, unsettled

__all__ = [
    "CLAIM_SECONDS",
    "ERROR",
    "TABLE",
    "Candidate",
    "Claim",
    "Entry",
    "Finding",
    "Standing",
    "candidates",
    "choose",
    "claim",
    "note_chat",
    "record",
    "release",
    "settle",
    "unsettled",
]
