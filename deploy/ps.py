"""`ps`: what runs on a data directory, from the file that its runner keeps."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from deploy.runfile import Run, RunFile

NOT_RUNNING = 3  # what LSB's `status` says for a program that is not running


def show(data_dir: Path, *, as_json: bool) -> int:
    """Print it; 3 when nothing runs there."""
    file = RunFile(data_dir)
    run = file.read() if file.running() else None
    if run is None:
        print(f"not running (on {data_dir})", file=sys.stderr)
        return NOT_RUNNING
    print(json.dumps(document(run, time.time()), indent=1) if as_json else table(run, time.time()))
    return 0


def document(run: Run, now: float) -> dict[str, object]:
    """For programs: `run.json` with each process's `uptime` in seconds, null where it is down."""
    processes = [
        {**asdict(entry), "uptime": _uptime(entry.pid, entry.started_at, now)}
        for entry in run.processes
    ]
    return {**asdict(run), "processes": processes}


def table(run: Run, now: float) -> str:
    """For people: name, pid, uptime, restarts and state, one process a line."""
    rows = [("NAME", "PID", "UPTIME", "RESTARTS", "STATE")]
    for entry in run.processes:
        uptime = _uptime(entry.pid, entry.started_at, now)
        rows.append(
            (
                entry.name,
                str(entry.pid or "-"),
                "-" if uptime is None else spelled(uptime),
                str(entry.restarts),
                entry.state,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return f"{run.url} ({run.state}, pid {run.pid})\n" + "\n".join(lines)


def _uptime(pid: int | None, started_at: float | None, now: float) -> float | None:
    return None if pid is None or started_at is None else round(max(0.0, now - started_at), 1)


def spelled(seconds: float) -> str:
    """A duration in its two largest units: 12s, 3m07s, 2h05m, 4d01h."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d{hour:02}h"
    if hours:
        return f"{hours}h{minute:02}m"
    return f"{minutes}m{second:02}s" if minutes else f"{second}s"
