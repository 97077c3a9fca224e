"""What the end of a hostile chat or check must look like, seen from outside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.contract.upstream.hostile_ends import ENDS, Answers, Ends

CANARY: Final = "sk-canary-"  # begins every hostile provider's key
_TAG: Final = re.compile(r"<[A-Za-z/!?]")
_LEAST_WORDS: Final = 5


def job_faults(name: str, document: Mapping[str, Any], allowed: Sequence[str]) -> list[str]:
    """What is wrong with a chat's end; `allowed` are codes that are right besides the table's.

    A plain call answers a failure as a problem document, all others with the job.
    """
    expected, error = ENDS[name], document.get("error")
    if error is None:
        right = isinstance(expected, Answers) and expected.chat in str(document)
        return [] if right else [f"answered {str(document)[:200]}"]
    code, message = error["code"], error["message"]
    if isinstance(expected, Answers):
        return [f"failed with {code}: {message}"]
    faults = message_faults(message)
    right_codes = {expected.chat, *allowed}
    if name == "reset-on-connect":  # a RST may overtake the request or not
        right_codes |= {"interrupted", "upstream_unreachable"}
    if code not in right_codes:
        faults.append(f"ended with {code}, not {expected.chat}: {message}")
    if code == expected.chat and expected.says not in message:
        faults.append(f"does not say {expected.says!r}: {message}")
    return faults


def listing_faults(name: str, provider: Mapping[str, Any], ids: Sequence[str]) -> list[str]:
    """What is wrong with what discovery says of a provider."""
    expected, discovery = ENDS[name], provider["discovery"]
    status, error = discovery["status"], discovery["error"]
    faults = []
    if status != expected.verdict:
        faults.append(f"is {status}, not {expected.verdict}: {error}")
    if status == "ok":
        if isinstance(expected, Answers) and sorted(ids) != sorted(expected.ids):
            faults.append(f"lists {len(ids)}: {ids[:9]}")
    else:
        faults += message_faults(error["message"])
        # A check has one bound for everything, and which one ends it depends on that.
        says = "_timeout)" if waits_for_answer(expected) else expected.says
        if says not in error["message"]:
            faults.append(f"does not say {says!r}: {error['message']}")
    return faults


def waits_for_answer(expected: Ends | Answers) -> bool:
    """Whether a bound ends the call after the connection stands."""
    return isinstance(expected, Ends) and expected.phase not in (None, "connect")


def message_faults(message: str) -> list[str]:
    """What is wrong with a message, whatever it is about."""
    faults = []
    if _TAG.search(message) or not message.isprintable():
        faults.append(f"holds tags or control characters: {message}")
    if len(message.split()) < _LEAST_WORDS or "Traceback" in message:
        faults.append(f"does not say why: {message}")
    return faults


def text_faults(text: str) -> list[str]:
    """What is wrong with a whole answer: our key, plainly or with its letters escaped."""
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in CANARY)
    return ["holds the key"] if CANARY in text or escaped in text else []
