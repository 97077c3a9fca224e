"""The garbage collector of a process that serves requests or calls."""

from __future__ import annotations

import gc
from typing import Final

# Python's 700, 10, 10 have a crowd of a thousand calls walked through again and again: each lives
# for seconds, in some hundred objects, and none of them is garbage.
THRESHOLDS: Final = (20_000, 20, 20)


def spare_what_lives() -> None:
    """Collect more seldom, and what lives already not at all; once, when the process is ready.

    No call of ours leaves a cycle behind, so that hardly anything waits for it longer.
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
