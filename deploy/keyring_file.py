"""Replacing the keyring's file. At every moment it is whole and holds every key that is in use.

Written beside, flushed, renamed over the old one: whoever dies in the middle leaves the old file
and at most a `.new` one beside it, with a key that nothing was sealed with.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import ConfigurationError
from shared.keyring import Keyring, KeyringFile


def change(file: KeyringFile, how: Callable[[Keyring], Keyring]) -> Keyring:
    """Replace the keyring by what `how` makes of it, alone; the keyring that is now in force.

    Raises ConfigurationError when the file cannot be read or replaced. It stays 0600 and its
    owner's; a symbolic link goes on pointing to it.
    """
    path = file.path.resolve()
    try:
        with _alone(path.parent):
            before, _ = file.read()
            after = how(before)
            if after != before:
                _replace(path, after.dump())
    except OSError as fault:
        raise ConfigurationError(
            [
                f"{file.origin}: expected a file that its owner can replace, in a folder that is "
                f"not read-only, got: {fault.strerror}. Nothing was changed. Run this as the user "
                "that the services run as; where a container mounts the file, mount its folder."
            ]
        ) from None
    return after


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two that read and then replace would lose a key. The lock ends with its process."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    owner = path.stat()
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        if (os.geteuid(), os.getegid()) != (owner.st_uid, owner.st_gid):
            # Under sudo the services could not read a file of root's.
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        out.write(text)
        out.flush()
        os.fsync(descriptor)
    beside.replace(path)
