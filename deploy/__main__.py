"""`python -m deploy COMMAND`: what `./dragoman COMMAND` becomes."""

from __future__ import annotations

import os
import sys

from deploy.commands import main

CLOSED_PIPE = 141  # as a shell tells of SIGPIPE: whoever read the output has left

if __name__ == "__main__":
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would try to flush once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = CLOSED_PIPE
    sys.exit(status)
