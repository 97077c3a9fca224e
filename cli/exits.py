"""Exit statuses: stable, so that scripts can tell ends apart."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    UNREACHABLE = 5
    JOB_FAILED = 6
    INTERRUPTED = 130
    CLOSED_PIPE = 141


MEANING: Final[Mapping[Exit, str]] = MappingProxyType(
    {
        Exit.OK: "done",
        Exit.FAILED: "the server refused or failed, or a file could not be read or written, or a "
        "question was answered with no",
        Exit.USAGE: "the command was not understood, or something it needs was not given",
        Exit.NOT_FOUND: "there is no such provider, model, job or key (404)",
        Exit.NOT_ALLOWED: "no key, a key that is not valid, or one that may not do this (401, 403)",
        Exit.UNREACHABLE: "the server could not be reached, or did not answer as Dragoman does",
        Exit.JOB_FAILED: "the job failed or was cancelled; of `jobs submit`: at least one; of "
        "`providers test`: a step; of `providers refresh`: the check",
        Exit.INTERRUPTED: "stopped by Ctrl-C or SIGTERM",
        Exit.CLOSED_PIPE: "whoever read the output has left",
    }
)
