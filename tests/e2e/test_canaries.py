"""Keys and conversations are planted, the system is used in every way, and then we look."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.keyring import Keyring, encode
from tests.api import CHAT
from tests.canaries import EchoingSimulator
from tests.e2e.canary_scene import (
    ANSWER,
    ECHO_KEY,
    FAULT,
    GOOD_KEY,
    KEYS,
    NEW_KEY,
    PROMPT,
    REFUSED_KEY,
    TASKS,
    TESTED_KEY,
    TOKEN,
    Scene,
    TellingSimulator,
    log_in,
)
from tests.eventually import eventually
from tests.simulators import running
from tests.system import System
from tests.valkey import OwnValkey
from tests.webhook_receiver import SECRET, Receiver, unwrapped


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Everything runs, and logs all that it can."""
    folder = tmp_path_factory.mktemp("canaries")
    good = TellingSimulator(key=GOOD_KEY, models=["sim-model", ANSWER])
    with (
        tempfile.TemporaryDirectory(prefix="dragoman-") as short,  # a socket's path is short
        OwnValkey(Path(short)) as valkey,
        running(good) as upstream,
        running(EchoingSimulator()) as echo,
        running(Receiver()) as receiver,
        System(
            folder / "data", env={"REDIS_URL": valkey.url, "DRAGOMAN_LOG_LEVEL": "DEBUG"}
        ) as system,
    ):
        scene = Scene(system, valkey, upstream, echo, receiver)
        scene.listen()
        yield scene


def chat(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": PROMPT}], **fields}


def use_providers(scene: Scene) -> dict[str, str]:
    """Register, read, refresh, change, test; slug → id."""
    api = scene.api
    good = api.add_provider("good", scene.good.url, api_key=GOOD_KEY)
    echo = api.add_provider("echo", scene.echo.url, api_key=ECHO_KEY)
    ids = {"good": good["id"], "echo": echo["id"]}
    for id_ in ids.values():
        api.discovered(id_, "ok", 20)
    assert scene.call("GET", "/v1/models?provider=echo", 200)["data"]
    for path in ("", "/models", "/events", "/impact"):
        for id_ in ids.values():
            scene.call("GET", f"/v1/providers/{id_}{path}", 200)
    scene.good.simulator.key = NEW_KEY
    refreshed = "/v1/providers/good/refresh"
    scene.call("POST", refreshed, 200, headers={"Prefer": "wait=10"})
    api.discovered(ids["good"], "auth_failed", 10)
    scene.call("PATCH", "/v1/providers/good", 200, json={"api_key": NEW_KEY, "tags": ["x"]})
    api.discovered(ids["good"], "ok", 10)
    tested = {"endpoint": scene.echo.url, "api_key": TESTED_KEY, "chat": True}
    done = scene.call("POST", "/v1/providers/test", 200, json=tested)
    scene.call("GET", f"/v1/providers/checks/{done['id']}", 200)
    scene.call("POST", "/v1/providers/test", 200, json={"provider": "good"})
    return ids


def use_chats(scene: Scene) -> None:
    """Answers and failures of both upstreams, at once and as jobs."""
    jobs = []
    for model in ("good/sim-model", "echo/answer", "echo/error-in-200", "echo/redirect"):
        scene.api.http.post(CHAT, json=chat(model, user=ANSWER))
        jobs.append(scene.api.http.post(CHAT, json=chat(model, user=ANSWER, background=True)))
    for status in (400, 401, 404, 429, 500):
        model = f"echo/{status}"
        quick = {"on_unavailable": "fail"}
        jobs.append(
            scene.api.http.post(CHAT, json=chat(model, background=True, background_options=quick))
        )
    failed = scene.call("POST", CHAT, 400, json=chat("good/sim-model", stop="fail"))
    assert FAULT in failed["error"]["message"]
    ended = scene.api.ended([job.json()["id"] for job in jobs], 20).values()
    assert {job["status"] for job in ended} == {"completed", "failed"}
    for job in ended:
        scene.api.http.get(f"{CHAT}/{job['id']}/attempts")
    scene.call("GET", "/v1/providers", 200)


def use_webhooks(scene: Scene) -> None:
    """One that is taken, one that is not, one that cannot be sent, and refused ones."""
    receiver = scene.receiver.simulator
    assert isinstance(receiver, Receiver)

    def hooked(url: str, **more: str) -> dict[str, Any]:
        options = {"webhook": {"url": url, "secret": SECRET, **more}}
        return chat("good/sim-model", background=True, background_options=options)

    origin = scene.receiver.url
    for url in (f"{origin}/{TOKEN}", f"{origin}/503?{TOKEN}", f"http://127.0.0.1:1/{TOKEN}"):
        job = scene.call("POST", CHAT, 202, json=hooked(url))
        assert job["webhook"] == {"status": "pending", "attempts": 0}
    assert unwrapped(receiver.wait_for(f"/{TOKEN}", 1)[0])["object"] == "event"
    receiver.wait_for("/503", 1)
    eventually(lambda: "tried again" in scene.system.output(), 10)
    scene.call("POST", CHAT, 400, json=hooked(f"ftp://x/{TOKEN}"))
    scene.call("POST", CHAT, 400, json=hooked(origin, secret=SECRET[:-1]))
    scene.call("POST", CHAT, 400, json=hooked(origin, secrets=SECRET))
    scene.call("GET", CHAT, 200)


def misuse(scene: Scene) -> None:
    """Requests that are refused must not repeat what they held."""
    url, refused = scene.good.url, json.dumps(REFUSED_KEY)
    for body in (
        f'{{"name": "x", "endpoint": "{url}", "api_key": {refused}',
        f'{{"name": "x", "endpoint": "{url}", "api_key": [{refused}]}}',
        f'{{"name": "x", "endpoint": "{url}", "api_key": {{"key": {refused}}}}}',
        f'{{"name": "x", "endpoint": "{url}", "api_key": {refused}, "api_keys": {refused}}}',
        f'{{"name": "x", "endpoint": "{url}", "api_key": "{REFUSED_KEY * 20}"}}',
        f'{{"name": "x", "endpoint": "{url}", "api_key": "{REFUSED_KEY}\\r\\nX: y"}}',
        f'{{"name": "x", "endpoint": "{url}", "api_key": "{REFUSED_KEY}\\u20ac"}}',
        f'{{"name": "x", "endpoint": "{url}", "slug": "-", "api_key": {refused}}}',
        f'[{{"api_key": {refused}}}]',
        refused,
    ):
        for path in ("/v1/providers", "/v1/providers/test"):
            scene.call(
                "POST", path, 400, content=body, headers={"Content-Type": "application/json"}
            )
        scene.call(
            "PATCH",
            "/v1/providers/good",
            400,
            content=body.replace('"x"', '"\\u0000"'),
            headers={"Content-Type": "application/merge-patch+json"},
        )
    scene.call("POST", "/v1/providers", 415, content=f"api_key={REFUSED_KEY}")
    scene.call(
        "POST",
        "/v1/providers",
        409,
        json={
            "name": "good",
            "endpoint": url,
            "api_key": REFUSED_KEY,
        },
    )
    scene.call("GET", f"/v1/providers?api_key={REFUSED_KEY}", 400)
    scene.call("GET", "/v1/models", 401, headers={"Authorization": f"Bearer {REFUSED_KEY}"})


def provoke_a_defect(scene: Scene, provider_id: str) -> None:
    """An internal error with a key in a local variable of many frames."""

    def spoil(tags: str) -> None:
        with sqlite3.connect(scene.system.data_dir / "dragoman.db", timeout=10) as database:
            database.execute("UPDATE provider SET tags = ? WHERE id = ?", (tags, provider_id))
        database.close()

    spoil("no JSON")
    try:
        scene.call("PATCH", f"/v1/providers/{provider_id}", 500, json={"api_key": REFUSED_KEY})
    finally:
        spoil("[]")
    assert "a request ended in a defect" in scene.system.output()


@contextmanager
def no_workers(scene: Scene) -> Iterator[None]:
    """Kill the workers, and keep the runner from starting others while the block runs.

    Valkey hands the next task to whoever waits for one: a frozen worker, or one that was killed
    some 20 ms ago and whose connection is still to be closed.
    """
    os.kill(scene.system.runner_pid, signal.SIGSTOP)
    try:
        for name in ("chat-worker", "discovery-worker"):
            scene.system.signal(name, signal.SIGKILL)
        eventually(lambda: not scene.valkey.reads(), 10)
        yield
    finally:
        os.kill(scene.system.runner_pid, signal.SIGCONT)


def look_at_full_queues(scene: Scene) -> None:
    """What waits for workers that do not come."""
    with no_workers(scene):
        scene.call("POST", "/v1/providers/good/refresh", 202)
        tested = {"endpoint": scene.echo.url, "api_key": TESTED_KEY}
        later = {"Prefer": "respond-async"}
        scene.call("POST", "/v1/providers/test", 202, json=tested, headers=later)
        scene.call("POST", CHAT, 202, json=chat("good/sim-model", background=True))
        scene.call("PATCH", "/v1/providers/echo", 200, json={"api_key": NEW_KEY})

        def queued() -> bool:
            scene.hay.add_redis(scene.valkey.url, "queues")
            return all(task in scene.hay.places["queues"] for task in TASKS)

        eventually(queued, 10)


def read_everything_else(scene: Scene) -> None:
    for path in (
        "/v1/events",
        "/v1/audit?limit=100",
        "/openapi.json",
        "/docs",
        "/health/ready",
        "/v1/models",
    ):
        scene.call("GET", path, 200)
    with scene.api.http.stream(
        "GET", "/v1/events?after=0", headers={"Accept": "text/event-stream"}
    ) as stream:
        for line in stream.iter_lines():
            scene.hay.add("answers", line.encode())
            if "key_rotated" in line:
                break


def test_planted_secrets_are_nowhere_but_in_the_header_sent_to_their_provider(
    scene: Scene,
) -> None:
    ids = use_providers(scene)
    use_chats(scene)
    use_webhooks(scene)
    misuse(scene)
    token, csrf = log_in(scene)
    provoke_a_defect(scene, ids["good"])
    look_at_full_queues(scene)
    read_everything_else(scene)
    scene.call("DELETE", "/v1/providers/echo", 204)

    hay = scene.hay
    hay.add_files(scene.system.data_dir)
    hay.add_files(scene.valkey.folder)
    hay.add_redis(scene.valkey.url, "redis")
    hay.add("log", scene.system.log.read_bytes())

    # What is no secret shows that the search works, also inside queued tasks (base64).
    assert {"answers", "log", "queues", "redis", "dragoman.db-wal"} <= hay.holders(ids["good"])

    for key in (*KEYS, SECRET.removeprefix("whsec_")[:-4], TOKEN):
        assert hay.holders(key) == set(), key
    for told in (token, csrf):  # to the browser, and to nobody else
        assert hay.holders(told) == {"answers"}
    for words in (PROMPT, FAULT):
        assert hay.holders(words) <= {"answers"}
    assert hay.holders("answer to " + ANSWER) == {"answers"}
    # Each upstream was sent its own keys and no other's.
    sent = {
        name: {request.bearer for request in upstream.simulator.requests} - {None}
        for name, upstream in (("good", scene.good), ("echo", scene.echo))
    }
    assert sent == {"good": {GOOD_KEY, NEW_KEY}, "echo": {ECHO_KEY, TESTED_KEY}}

    keyring = Keyring.parse((scene.system.data_dir / "keyring.json").read_text(), origin="")
    for secret in (*map(encode, keyring.keys.values()), encode(keyring.pepper)):
        assert hay.holders(secret) == {"keyring.json"}
    assert hay.holders(scene.system.admin_key) == {"admin.key"}
