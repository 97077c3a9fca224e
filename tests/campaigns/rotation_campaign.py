"""The master key rotated again and again under load, and killed in the middle: promise 19."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx

from shared import config
from shared.crypto import SealBroken, sealed_with
from shared.keyring import Keyring, KeyringFile
from shared.store.opening import open_store
from shared.store.sealed import COLUMNS
from tests import sealedrows
from tests.api import Api
from tests.campaigns.checker import Evidence, Finding, check, ends
from tests.campaigns.faults import Say
from tests.campaigns.load import Load, Shape
from tests.campaigns.stage import Stage, stage
from tests.system import ROOT, System

SHAPE = Shape(kinds={"b": 3, "p": 1}, latency=(0.1, 0.8), rate=30)
WAIT_SECONDS = 1.5  # processes look at the keyring's file once a second
KILLED_WITHIN = 3.0  # seconds from its start; on an idle machine it takes about four
ONE_IN = 3  # rotations that are not killed, in the long form


class Callers:
    """People who read, create, change and delete providers, on a thread until `stop`."""

    def __init__(self, api: Api, endpoint: str) -> None:
        self.calls: Counter[str] = Counter()
        self.failed: list[str] = []
        self._http = api.http
        self._endpoint = endpoint
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="callers")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stopping.wait(0.02):
            number += 1
            body = {"name": f"caller {number}", "endpoint": self._endpoint, "api_key": "k" * 20}
            if not self._call("POST", "/v1/providers", json=body):
                continue
            path = f"/v1/providers/caller-{number}"
            self._call("GET", path)
            self._call("PATCH", path, json={"api_key": "l" * 20})
            self._call("GET", "/v1/providers")
            self._call("GET", "/v1/models")
            if number % 3:
                self._call("DELETE", path)

    def _call(self, method: str, path: str, **options: object) -> bool:
        self.calls[method] += 1
        try:
            answer = self._http.request(method, path, **options)  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            self.failed.append(f"{method} {path}: {error!r}")
            return False
        if not answer.is_success:
            self.failed.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer.is_success


class Operator:
    """Runs the command, and kills it or not."""

    def __init__(self, system: System, say: Say) -> None:
        self.ended: Counter[str] = Counter()
        self.failed: list[str] = []
        self.seen: set[str] = set()  # ids of every key that was ever in the file
        self._system = system
        self._say = say
        self._file = KeyringFile(system.data_dir / "keyring.json")

    def keyring(self) -> Keyring:
        """As the file is now: whole, at every moment."""
        keyring, _ = self._file.read()
        self.seen |= set(keyring.keys)
        return keyring

    def rotate(self, *, killed_after: float | None = None) -> None:
        """Run it to its end, or to a `kill -9` after so many seconds."""
        before = self.keyring().primary
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy", "keys", "rotate-master", "--wait", str(WAIT_SECONDS)],
            cwd=ROOT,
            env=environ(self._system),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        began = time.monotonic()
        try:
            said, _ = process.communicate(timeout=killed_after or 120)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
        how = {0: "finished", -9: "killed"}.get(process.returncode, "failed")
        self.ended[how] += 1
        if how == "failed":
            self.failed.append(f"exit status {process.returncode}: {said}")
        last = (said.splitlines() or ["nothing"])[-1]
        after = self.keyring().primary
        self._say(
            f"rotation {how} after {time.monotonic() - began:.1f} s, key {before} → {after}; "
            f"it said last: {last}"
        )


def run(folder: Path, *, seconds: float, seed: int, say: Say) -> list[Finding]:
    """Rotate for `seconds`, and at least twice: once killed, once to the end."""
    dice = random.Random(seed)
    with stage(folder, second_worker=False) as setting:
        system = setting.system
        keyed = system.api.add_provider("keyed", setting.upstream.url, api_key="m" * 20)
        model = f"{keyed['slug']}/sim-model"
        load = Load(system.url, system.admin_key, model, run=f"s{seed}", shape=SHAPE, seed=seed)
        with Api(system.url, system.admin_key) as api:
            callers, operator = Callers(api, setting.upstream.url), Operator(system, say)
            load.start()
            callers.start()
            try:
                deadline = time.monotonic() + seconds
                setting.upstream.wait_until(lambda stats: stats.answered >= 10, timeout=20)
                operator.rotate(killed_after=dice.uniform(1, KILLED_WITHIN))
                while time.monotonic() < deadline:
                    whole = dice.randrange(ONE_IN) == 0
                    operator.rotate(killed_after=None if whole else dice.uniform(0, KILLED_WITHIN))
                operator.rotate()
            finally:
                load.stop()
                callers.stop()
        system.api.ended([entry.job_id for entry in load.accepted], 60)
        return [
            *_check(setting, load, say),
            *_rotations(operator),
            _calls(callers),
            *_stored(system, operator, say),
        ]


def environ(system: System) -> dict[str, str]:
    """What the command is given: the system's own settings."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DRAGOMAN_")}
    own = {"DRAGOMAN_DATA_DIR": str(system.data_dir), "PYTHONPATH": str(ROOT)}
    return {**inherited, **system.env, **own}


def _check(setting: Stage, load: Load, say: Say) -> list[Finding]:
    accepted = [*load.accepted, *load.plain]
    calls = setting.upstream.calls()
    evidence = Evidence(accepted, load.collect(), load.first_seen, calls, tolerated=())
    took = sorted(entry.took for entry in load.accepted)
    p50, p99 = took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000
    say(f"jobs: {dict(ends(evidence))}; submit p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    refused = Finding("19", "chats that were refused during rotations")
    refused.broken.extend(f"{one.mark}: {one.why}" for one in load.refused)
    return [refused, *check(evidence)]


def _rotations(operator: Operator) -> list[Finding]:
    failed = Finding("19", f"rotations that failed, of {operator.ended.total()}", operator.failed)
    few = Finding("-", f"rotations that prove nothing: {dict(operator.ended)}")
    if not (operator.ended["finished"] and operator.ended["killed"]):
        few.broken.append("none was killed, or none finished")
    return [failed, few]


def _calls(callers: Callers) -> Finding:
    what = f"calls about providers that failed, of {callers.calls.total()}"
    return Finding("19", what, callers.failed)


def _stored(system: System, operator: Operator, say: Say) -> list[Finding]:
    """Everything opens, with the one key that is left."""
    unreadable = Finding("19", "stored values that do not open")
    old = Finding("19", "old keys that are left in the file or in use")
    told = Finding("19", "values that did not open for a running process")
    keyring = operator.keyring()
    settings = config.load(
        {k: v for k, v in environ(system).items() if k.startswith(("DRAGOMAN_", "DATABASE_"))}
    )
    database, sealer = open_store(settings)
    keys: Counter[str] = Counter()
    try:
        for column in COLUMNS:
            for row, value in sealedrows.values(database, column).items():
                keys[sealed_with(value)] += 1
                try:
                    sealer.open(value, **column.place(row))
                except SealBroken as fault:
                    unreadable.broken.append(str(fault))
    finally:
        database.dispose()
    say(f"{keys.total()} stored values; {len(operator.seen)} keys were used")
    old.broken.extend(sorted({*keyring.keys, *keys} - {keyring.primary}))
    lines = system.output().splitlines()
    told.broken.extend(line for line in lines if "not open" in line or "keyring stays" in line)
    return [unreadable, old, told]
