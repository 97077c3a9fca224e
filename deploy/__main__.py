"""`python -m deploy COMMAND`: what `./dragoman COMMAND` becomes."""

from __future__ import annotations

import sys

from deploy.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
