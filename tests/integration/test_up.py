"""`up` with the real embedded Valkey and the real beat; the services have tests of their own."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from deploy import up
from deploy.child import Program
from deploy.processes import PROCESSES
from deploy.refusal import Refusal
from deploy.runfile import Run, RunFile
from deploy.up import System
from shared.config import load
from shared.queues import KEY_PREFIX, QUEUE_DISCOVERY
from tests.integration.stage import Events, alive, dummy, soon
from tests.ports import free_port

WITHOUT_SERVICES = [p for p in PROCESSES if p.module in (None, "deploy.beat")]
Play = Callable[[Run, redis.Redis], Awaitable[None]]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no registry here to ask."""

    async def at_once(url: str) -> None:
        assert url.startswith("http://127.0.0.1:")

    monkeypatch.setattr(up, "until_healthy", at_once)


@pytest.fixture
def perform(healthy: None, port: int) -> Callable[[Path, Play], None]:
    """Run a system on a data directory, and the play on it once it is ready."""

    def run(data_dir: Path, play: Play) -> None:
        environ = {
            "PATH": os.environ["PATH"],
            "DRAGOMAN_DATA_DIR": str(data_dir),
            "DRAGOMAN_PORT": str(port),
            "DRAGOMAN_DISCOVERY_INTERVAL": "1",
        }
        played = []

        async def after() -> bool:
            now = RunFile(data_dir).read()
            assert now is not None
            folder = Path(now.socket_folder) if now.socket_folder else data_dir / "run"
            with redis.Redis(unix_socket_path=str(folder / "v.sock")) as client:
                await play(now, client)
            played.append(True)
            return False

        system = System(load(environ), environ, after=after, processes=WITHOUT_SERVICES)
        assert asyncio.run(system.run()) == 0
        assert played == [True]

    return run


def pid_of(data_dir: Path, name: str) -> int | None:
    run = RunFile(data_dir).read()
    return next(entry.pid for entry in run.processes if entry.name == name) if run else None


def test_it_ends_its_start_with_one_ready_line_and_stops_without_a_trace(
    tmp_path: Path,
    port: int,
    perform: Callable[[Path, Play], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    pids: list[int] = []

    async def play(run: Run, client: redis.Redis) -> None:
        assert (run.state, run.pid) == ("ready", os.getpid())
        assert [entry.name for entry in run.processes] == ["valkey", "beat"]
        pids.extend(entry.pid or 0 for entry in run.processes)
        assert len(list(alive(pids))) == 2

    perform(tmp_path, play)
    key = tmp_path / "admin.key"
    expected = f"Dragoman is ready: http://127.0.0.1:{port} (admin key: {key})\n"
    assert capfd.readouterr().out == expected
    assert key.exists()
    assert not list(alive(pids))
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (200, "admin key: {key}"),
        (503, "admin key: {key}"),
        (401, "the key in {key} was revoked, or has expired: move it away, and {another}"),
        (None, "no {key}; {another}"),
    ],
)
def test_the_ready_line_names_no_admin_key_that_opens_nothing(
    tmp_path: Path,
    perform: Callable[[Path, Play], None],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    status: int | None,
    told: str,
) -> None:
    key = tmp_path / "admin.key"
    asked: list[str] = []
    servers: list[HTTPServer] = []

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['Authorization']}")
            assert status is not None
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    async def listens(url: str) -> None:
        if status is None:
            key.rename(tmp_path / "kept")
            return
        place = urlsplit(url)
        assert place.port is not None
        server = HTTPServer((str(place.hostname), place.port), Registry)
        servers.append(server)
        threading.Thread(target=server.handle_request, daemon=True).start()

    async def play(run: Run, client: redis.Redis) -> None:
        pass

    monkeypatch.setattr(up, "until_healthy", listens)
    perform(tmp_path, play)
    for server in servers:
        server.server_close()
    another = "`./dragoman migrate --new-admin-key` makes one"
    assert f"({told.format(key=key, another=another)})\n" in capfd.readouterr().out
    if status is not None:
        assert asked == [f"/v1/me Bearer {key.read_text().strip()}"]


def test_beat_rings_through_a_valkey_that_is_killed_wherever_its_socket_is(
    tmp_path: Path, perform: Callable[[Path, Play], None]
) -> None:
    data_dir = tmp_path / "a directory with spaces, and #"

    async def play(run: Run, client: redis.Redis) -> None:
        queue = f"{KEY_PREFIX}{QUEUE_DISCOVERY}"
        await soon(lambda: client.llen(queue))
        killed = pid_of(data_dir, "valkey")
        assert killed
        os.kill(killed, signal.SIGKILL)
        await soon(lambda: pid_of(data_dir, "valkey") not in (None, killed))
        await soon(lambda: RunFile(data_dir).read() and _answers(client))
        client.delete(queue)
        await soon(lambda: client.llen(queue), 20)

    perform(data_dir, play)


def test_a_full_disk_keeps_nothing_from_being_restarted_and_is_told(
    tmp_path: Path,
    perform: Callable[[Path, Play], None],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(up, "NOTE_AGAIN", 0.05)
    write, full = RunFile.write, [True]

    def written(file: RunFile, run: Run) -> None:
        if full[0] and run.state == "ready":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, run)

    async def play(run: Run, client: redis.Redis) -> None:
        monkeypatch.setattr(RunFile, "write", written)
        killed = pid_of(tmp_path, "valkey")
        assert killed
        os.kill(killed, signal.SIGKILL)
        await soon(lambda: _pid(client) not in (None, killed))
        assert pid_of(tmp_path, "valkey") == killed
        full[0] = False
        await soon(lambda: pid_of(tmp_path, "valkey") == _pid(client))

    perform(tmp_path, play)
    told = "run.json is out of date: [Errno 28] No space left on device"
    assert capfd.readouterr().err.count(told) == 1


def _pid(client: redis.Redis) -> int | None:
    try:
        return int(client.info("server")["process_id"])
    except redis.RedisError:
        return None


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def test_a_data_directory_with_a_long_path_gets_its_socket_elsewhere_and_that_is_removed(
    tmp_path: Path, perform: Callable[[Path, Play], None]
) -> None:
    folders: list[Path] = []

    async def play(run: Run, client: redis.Redis) -> None:
        assert run.socket_folder
        folders.append(Path(run.socket_folder))
        assert client.ping()

    perform(tmp_path / ("long" * 25), play)
    assert not folders[0].exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it_gently(
    tmp_path: Path, port: int, healthy: None, number: signal.Signals
) -> None:
    events = Events(tmp_path)
    status = _run_until_signalled(tmp_path, port, [dummy("a", events.file)], [number])
    assert status == 0
    assert events.words()[-1] == "a stopped"


def test_a_second_interrupt_does_not_wait_for_anyone(
    tmp_path: Path, port: int, healthy: None
) -> None:
    events = Events(tmp_path)
    stubborn = dummy("a", events.file, "stubborn", stop=60)
    begin = time.monotonic()
    status = _run_until_signalled(tmp_path, port, [stubborn], [signal.SIGINT, signal.SIGINT])
    assert status == 130
    assert time.monotonic() - begin < 20
    assert not list(alive(events.pids()))


def test_a_second_sigterm_does_not_cut_the_grace_short(
    tmp_path: Path, port: int, healthy: None
) -> None:
    events = Events(tmp_path)
    stubborn = dummy("a", events.file, "stubborn", stop=1)
    status = _run_until_signalled(tmp_path, port, [stubborn], [signal.SIGTERM, signal.SIGTERM])
    assert status == 0


def _run_until_signalled(
    data_dir: Path, port: int, programs: list[Program], signals: list[signal.Signals]
) -> int:
    async def after() -> bool:
        loop = asyncio.get_running_loop()
        for index, number in enumerate(signals):
            loop.call_later(0.3 * index, os.kill, os.getpid(), number)
        return True

    environ = {
        "DRAGOMAN_DATA_DIR": str(data_dir),
        "DRAGOMAN_PORT": str(port),
        "REDIS_URL": "redis://127.0.0.1:1",
    }
    # Where the suite runs in the background, a shell may have told it to ignore some of them.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in signals}
    try:
        return asyncio.run(System(load(environ), environ, programs, after, processes=[]).run())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_second_one_on_the_same_data_directory_says_that_one_is_running(
    tmp_path: Path, port: int, perform: Callable[[Path, Play], None]
) -> None:
    async def play(run: Run, client: redis.Redis) -> None:
        environ = {"DRAGOMAN_DATA_DIR": str(tmp_path)}
        url = f"http://127.0.0.1:{port}"
        with pytest.raises(Refusal, match=rf"already running .*\(pid {os.getpid()}, {url}\)"):
            await System(load(environ), environ).run()
        assert client.ping(), "the first one is not disturbed"

    perform(tmp_path, play)
