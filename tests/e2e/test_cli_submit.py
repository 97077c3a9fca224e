"""`jobs submit` with a thousand lines, interrupted twice: a thousand results, each once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.api import Api, chat_body
from tests.eventually import eventually
from tests.simulators import Remote
from tests.system import ROOT, System

LINES = 1_000
RUN_SECONDS = 60.0
STOP_SECONDS = 10.0


class Runs:
    """The same command again and again, on one file and one file of results."""

    def __init__(self, system: System, folder: Path, bodies: list[dict[str, object]]) -> None:
        self.results = folder / "chats.results.jsonl"
        self._file = folder / "chats.jsonl"
        self._file.write_text("".join(f"{json.dumps(body)}\n" for body in bodies), "utf-8")
        self._environ = {
            "PYTHONPATH": str(ROOT),
            "PATH": os.environ["PATH"],
            "DRAGOMAN_URL": system.url,
            "DRAGOMAN_API_KEY": system.admin_key,
        }

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "cli", "jobs", "submit", str(self._file)],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lines(self) -> list[bytes]:
        """The whole lines that are there now."""
        return self.results.read_bytes().splitlines() if self.results.exists() else []

    def interrupted(self, at_least: int) -> str:
        """Start, press Ctrl-C once so many results are there; what it said."""
        process = self.start()
        eventually(lambda: len(self.lines()) >= at_least, RUN_SECONDS)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=STOP_SECONDS)
        assert (process.returncode, out) == (130, "")
        assert at_least <= len(self.lines()) < LINES
        return err


def test_a_thousand_lines_interrupted_twice_are_a_thousand_results_and_calls(
    system: System, api: Api, name: str, far_upstream: Remote, tmp_path: Path
) -> None:
    model = f"{api.add_provider(name, far_upstream.url)['slug']}/sim-model"
    runs = Runs(system, tmp_path, [chat_body(model, f"line-{n}") for n in range(1, LINES + 1)])
    said = runs.interrupted(at_least=200)
    assert f"of 1,000 results are in {runs.results}" in said
    assert f"./dragoman jobs submit {tmp_path / 'chats.jsonl'}" in said
    runs.interrupted(at_least=500)
    # As a kill leaves it: the last line cut short. Its job is there, and is not called again.
    whole = runs.results.read_bytes()
    runs.results.write_bytes(whole[: whole.rindex(b'"status"')])

    process = runs.start()
    out, err = process.communicate(timeout=RUN_SECONDS)
    assert (process.returncode, out) == (0, ""), err
    rows = [json.loads(line) for line in runs.lines()]
    assert Counter(row["line"] for row in rows) == Counter(range(1, LINES + 1))
    assert {row["status"] for row in rows} == {"completed"}
    for row in rows:
        said_upstream = row["completion"]["choices"][0]["message"]["content"]
        assert said_upstream == f"answer to line-{row['line']}"
    assert len({row["job_id"] for row in rows}) == LINES
    calls = far_upstream.calls()
    assert {mark: seen.begun for mark, seen in calls.items()} == {
        f"line-{n}": 1 for n in range(1, LINES + 1)
    }
    written = runs.results.read_bytes()

    again = runs.start()
    again.communicate(timeout=RUN_SECONDS)
    assert again.returncode == 0
    assert runs.results.read_bytes() == written
    assert far_upstream.stats().begun == LINES
