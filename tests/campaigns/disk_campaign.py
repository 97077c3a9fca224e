"""The disk of SQLite's file, Valkey's and the log is full, under load: promises 1 to 4 and 7."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.campaigns.checker import Finding
from tests.campaigns.faults import Say
from tests.campaigns.outages import Outage, Outages
from tests.campaigns.stage import Stage, stage
from tests.smalldisk import SmallDisk, small_disk

LONGEST: Final = 30.0  # seconds
PAUSE: Final = 10.0
MEBIBYTES: Final = 96
SAID: Final = "database or disk is full"  # SQLite's words for it
LOST: Final = "lines were lost: the log's disk was full"  # the runner's


def run(folder: Path, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """Fill it and free it again for `seconds`, once at least; raises NoSmallDisk."""
    with small_disk(MEBIBYTES) as disk:
        return play(disk, seconds=seconds, longest=LONGEST, pause=PAUSE, seed=seed, say=say)


def play(
    disk: SmallDisk, *, seconds: float, longest: float, pause: float, seed: int, say: Say
) -> list[Finding]:
    """As `run`, on this disk; it is full for `longest` seconds at most, half of that at least."""
    # No second worker: its log would be on the disk, too, and tells nothing more.
    with stage(disk.folder, valkey_folder=disk.folder / "v", second_worker=False) as setting:
        outages = Outages(setting, seed, say)
        findings = outages.play(menu(disk), seconds=seconds, longest=longest, pause=pause)
        return [*findings, _whole(setting), _told(setting)]


def menu(disk: SmallDisk) -> Sequence[Outage]:
    """What can become of a disk."""
    return (Outage("disk full", "disk", disk.fill, disk.free),)


def _whole(setting: Stage) -> Finding:
    """SQLite's own check of every page and index."""
    finding = Finding("1", "what SQLite finds broken in its file")
    path = setting.database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        said = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    finding.broken += [line for line in said if line != "ok"]
    return finding


def _told(setting: Stage) -> Finding:
    """Who could not write says so, or the runner how much of the log did not fit."""
    finding = Finding("7", "logs of a full disk that do not say so")
    log = setting.system.log.read_text(encoding="utf-8", errors="replace")
    if SAID not in log and LOST not in log:
        finding.broken.append(str(setting.system.log))
    return finding
