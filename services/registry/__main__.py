"""`python -m services.registry`."""

# The order of these lines matters. Locks that native threads share with the loop must be real
# ones: gevent's lose wake-ups between threads, and then the writer would hang for ever. So what
# holds such locks is imported before the patch, and logging is left out of it.
import logging  # noqa: F401 - its lock stays real
import os
import sys

from gevent import monkey

import shared.ids  # noqa: F401 - so does the lock of ULIDs

monkey.patch_all(thread=False)
monkey.patch_thread(logging=False)

from services.registry import main  # noqa: E402 - after the patch

if __name__ == "__main__":
    sys.exit(main.main(os.environ))
