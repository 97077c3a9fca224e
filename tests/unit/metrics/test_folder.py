"""What the processes of one machine leave for a scrape, and what becomes of it when they die."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.parser import text_string_to_metric_families

from shared.metrics import Fact, Folder, Publisher, page, taken
from shared.metrics.folder import FRESH_SECONDS

ROOT = Path(__file__).parents[3]
NOW = 1_000_000.0


class Process:
    """A process that counts, as far as the folder can see."""

    def __init__(self, path: Path, kind: str = "registry") -> None:
        self.registry = CollectorRegistry()
        self.calls = Counter("calls_total", "Calls.", ("to",), registry=self.registry)
        slot = Folder(path).claim(kind)
        assert slot is not None
        self.slot = slot

    @property
    def name(self) -> str:
        return self.slot.name

    def count(self, to: str, times: int = 1) -> None:
        self.calls.labels(to).inc(times)

    def leave(self, *, now: float = NOW) -> None:
        self.slot.write(taken(self.registry, self.name, now=now))


def shown(path: Path, *, now: float = NOW) -> dict[tuple[str, str], float]:
    """(process, to) → calls, as a scrape of everything in the folder has it."""
    text = page(Folder(path).snapshots(now=now)).decode()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return {(s.labels["process"], s.labels["to"]): s.value for s in samples}


def test_processes_are_named_by_their_kind_and_the_lowest_free_number(tmp_path: Path) -> None:
    first, second, other = Process(tmp_path), Process(tmp_path), Process(tmp_path, "chat-worker")
    assert (first.name, second.name, other.name) == ("registry-1", "registry-2", "chat-worker-1")
    first.slot.leave()
    assert Process(tmp_path).name == "registry-1"


def test_a_place_falls_free_with_its_process_however_that_ends(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from shared.metrics import Folder;"
        "assert Folder(pathlib.Path(sys.argv[1])).claim('registry').name == 'registry-1';"
        "os._exit(9)"  # as `kill -9` does: nothing is cleaned up
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 9
    assert Process(tmp_path).name == "registry-1"


def test_every_process_has_its_series_in_one_family(tmp_path: Path) -> None:
    first, second = Process(tmp_path), Process(tmp_path)
    first.count("acme", 2)
    second.count("acme", 3)
    first.leave()
    second.leave()
    assert shown(tmp_path) == {("registry-1", "acme"): 2, ("registry-2", "acme"): 3}
    text = page(Folder(tmp_path).snapshots(now=NOW)).decode()
    assert text.count("# TYPE calls_total counter") == 1
    assert "_created" not in text


@pytest.mark.parametrize("passed", [FRESH_SECONDS + 1, -FRESH_SECONDS - 1])
def test_what_a_dead_process_left_is_not_shown_for_long(tmp_path: Path, passed: float) -> None:
    """Nor what a clock that was set back makes appear to come from the future."""
    process = Process(tmp_path)
    process.count("acme")
    process.leave()
    assert shown(tmp_path, now=NOW + FRESH_SECONDS / 2)
    assert shown(tmp_path, now=NOW + passed) == {}


def test_a_snapshot_that_cannot_be_read_spoils_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(tmp_path)
    process.count("acme")
    process.leave()
    (tmp_path / "registry-9.snapshot").write_bytes(b"\xc1 no MessagePack")
    assert shown(tmp_path) == {("registry-1", "acme"): 1}
    assert "a snapshot cannot be read" in caplog.text


def test_a_folder_that_cannot_be_made_costs_the_others_figures_only(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = Folder(tmp_path / "file" / "metrics")
    assert folder.claim("registry") is None
    publisher = Publisher(CollectorRegistry(), folder, "registry", now=lambda: NOW)
    publisher.start()
    assert publisher.snapshot().process == "registry"
    assert list(folder.snapshots(now=NOW)) == []
    publisher.stop()


def test_a_full_disk_is_told_once_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher(CollectorRegistry(), Folder(tmp_path), "registry", now=lambda: NOW)
    publisher.start()

    def full(_path: Path, _content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    for _ in range(3):
        assert publisher.snapshot().process == "registry-1"
    publisher.stop()
    assert caplog.text.count("metrics cannot be left for the scrape") == 1


def test_what_was_scraped_is_what_others_scrape_next(tmp_path: Path) -> None:
    """Or a counter would fall when the next scrape meets another process, as after a restart."""
    registry = CollectorRegistry()
    calls = Counter("calls_total", "Calls.", ("to",), registry=registry)
    publisher = Publisher(registry, Folder(tmp_path), "registry", now=lambda: NOW)
    publisher.start()
    calls.labels("acme").inc(5)
    publisher.snapshot()
    assert shown(tmp_path) == {("registry-1", "acme"): 5}
    publisher.stop()
    assert shown(tmp_path) == {}


def test_facts_have_no_process_and_odd_values_pass(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    Gauge("odd", "Odd.", registry=registry).set(float("inf"))
    slot = Folder(tmp_path).claim("registry")
    assert slot is not None
    slot.write(taken(registry, slot.name, now=NOW))
    facts = [Fact("events_total", "Events.", "counter", ("a",), {('q"\\\n',): 7.0})]
    text = page(Folder(tmp_path).snapshots(now=NOW), facts).decode()
    families = {f.name: f for f in text_string_to_metric_families(text)}
    assert families["odd"].samples[0].value == float("inf")
    (sample,) = families["events"].samples
    assert (sample.name, sample.labels, sample.value) == ("events_total", {"a": 'q"\\\n'}, 7.0)
