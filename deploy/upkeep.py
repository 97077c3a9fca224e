"""The commands that look after an installation, as they are typed: what they do is done elsewhere.

Nothing that must be installed is imported before one of them runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from shared.config import load, shown
from shared.keyring import KeyringFile

LOCAL_NETWORKS = "loopback,private"  # where `up` and `demo` let providers live


def migrate(parsed: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Bring the database to this version's schema; make what is missing."""
    from deploy.roles import grant
    from shared.store import migrate as store
    from shared.store.opening import SCHEMA_REVISION

    settings = load(environ)
    report = store.migrate(settings, new_admin_key=parsed.new_admin_key)
    if report.revision > SCHEMA_REVISION:
        print(f"The database has schema {report.revision}, of a newer release; this one fits it.")
    else:
        print(f"The database has schema {report.revision}.")
    # Of a newer release's tables this one knows nothing; what they were granted stays.
    if report.revision == SCHEMA_REVISION and (roles := grant(settings)):
        print(f"Granted what they write to {', '.join(roles)}.")
    if report.keyring_created:
        print(f"Made the keyring {report.keyring_created}: without it the database is unreadable.")
    if report.admin_key_created:
        print(f"Made the admin key {report.admin_key_created}.")
    elif parsed.new_admin_key:
        print(f"{report.admin_key_file} was there and is registered. Move it away to have another.")
    return 0


def config(parsed: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the settings in force."""
    settings = load(environ)
    notes = {}
    if "DRAGOMAN_OUTBOUND_ALLOW" not in environ:
        # The one setting that `up` and `demo` fill in where it is unset.
        notes["DRAGOMAN_OUTBOUND_ALLOW"] = f"up and demo: {LOCAL_NETWORKS}"
    if settings.keyring is None:
        if settings.keyring_file.exists():
            KeyringFile(settings.keyring_file).read()  # raises where it cannot be used
        else:
            notes["DRAGOMAN_KEYRING_FILE"] = "not there yet; migrate makes it"
    for variable, text in shown(settings).items():
        print(f"{variable}={text}" + (f"  # {notes[variable]}" if variable in notes else ""))
    return 0


def backup(parsed: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Copy the SQLite database."""
    from deploy import backup as copying

    settings = load(environ)
    size = copying.backup(settings, Path(parsed.file))
    print(f"Wrote {parsed.file} ({size:,} bytes). It opens with the keyring of now and no other.")
    return 0


def rotate_master(parsed: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Seal what is stored with a new master key, or one step of that."""
    from deploy.rotation import rotate

    rotate(
        load(environ),
        lambda line: print(line, flush=True),
        stage=parsed.stage,
        shared_file=parsed.shared_file,
        wait=parsed.wait,
    )
    return 0
