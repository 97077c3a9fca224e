"""`python -m cli COMMAND`: what `./dragoman providers …` and the like become."""

from __future__ import annotations

import io
import os
import sys

from cli.app import main
from cli.exits import Exit

if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # not every locale can show everything
    try:
        status = main(sys.argv[1:], os.environ)
        sys.stdout.flush()
    except BrokenPipeError:
        status = Exit.CLOSED_PIPE
    if status == Exit.CLOSED_PIPE:
        # Python would try to flush once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)
