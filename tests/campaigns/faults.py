"""Faults, drawn from a seed: kills, freezes and losses of every process and of Valkey."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.campaigns.stage import LEASE_SECONDS, Stage

Say = Callable[[str], None]
Menu = Mapping[str, tuple[float, Callable[[], str]]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that was made. `at` and `until` are `time.time()`."""

    what: str
    at: float
    until: float


class Injector:
    """Makes one fault after another, on its own thread from `start` to `stop`.

    `menu` holds each fault by its name: how likely it is, and what makes it. `in_turn` makes all of
    them before any comes again, likely or not. `pause` is the mean between two faults, in seconds.
    """

    def __init__(
        self,
        menu: Menu,
        *,
        dice: random.Random,
        pause: float,
        say: Say,
        in_turn: bool = False,
    ) -> None:
        self.faults: list[Fault] = []
        self.error: Exception | None = None  # ends the faults
        self._menu = menu
        self._dice = dice
        self._pause = pause
        self._say = say
        self._in_turn = in_turn
        self._left: list[str] = []  # of this turn
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="faults")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the fault that is under way; `error` is what went wrong in making one."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._dice.expovariate(1 / self._pause)):
                self.inject()
        except Exception as error:
            self.error = error

    def inject(self) -> Fault:
        """Make the next fault of the seed and wait until what was stopped runs again."""
        name = self._drawn()
        at = time.time()
        detail = self._menu[name][1]()
        fault = Fault(f"{name} {detail}".strip(), at, time.time())
        self.faults.append(fault)
        self._say(f"fault {len(self.faults)}: {fault.what}")
        return fault

    def _drawn(self) -> str:
        names = list(self._menu)
        if not self._in_turn:
            return self._dice.choices(names, [self._menu[name][0] for name in names])[0]
        if not self._left:
            self._left = self._dice.sample(names, len(names))
        return self._left.pop()


class Faults:
    """Kills, freezes and losses of every process of a stage and of its Valkey."""

    def __init__(self, stage: Stage, dice: random.Random) -> None:
        self._stage = stage
        self._dice = dice

    def menu(self) -> Menu:
        """All that the stage allows."""
        menu: dict[str, tuple[float, Callable[[], str]]] = {
            "kill chat-worker": (4, lambda: self._kill("chat-worker")),
            "kill registry": (2, lambda: self._kill("registry")),
            "kill discovery-worker": (1, lambda: self._kill("discovery-worker")),
            "kill beat": (1, lambda: self._kill("beat")),
            "freeze chat-worker": (2, lambda: self._freeze("chat-worker", 2.5 * LEASE_SECONDS)),
            "freeze registry": (1, lambda: self._freeze("registry", 3)),
            "kill second chat-worker": (3, self._kill_extra),
            "flush valkey": (2, self.flush),
            "stop and wipe valkey": (2, self.lose_valkey),
            "freeze valkey": (1, self.freeze_valkey),
            "kill the runner": (1, self._kill_runner),
        }
        if self._stage.extra is None:
            del menu["kill second chat-worker"]
        return menu

    def _kill(self, name: str) -> str:
        pid = self._stage.system.signal(name, signal.SIGKILL)
        return f"({pid})"

    def _freeze(self, name: str, longest: float) -> str:
        seconds = self._dice.uniform(0.5, longest)
        with self._stage.system.suspended(name):
            time.sleep(seconds)
        return f"for {seconds:.1f} s"

    def _kill_extra(self) -> str:
        assert self._stage.extra is not None
        self._stage.extra.replace(signal.SIGKILL)
        return ""

    def flush(self) -> str:
        self._stage.valkey.flush()
        return ""

    def lose_valkey(self, longest: float = 5) -> str:
        seconds = self._dice.uniform(0.2, longest)
        self._stage.valkey.stop()
        self._stage.valkey.wipe()
        time.sleep(seconds)
        self._stage.valkey.start()
        return f"for {seconds:.1f} s"

    def freeze_valkey(self, longest: float = 4) -> str:
        seconds = self._dice.uniform(0.5, longest)
        self._stage.valkey.freeze()
        time.sleep(seconds)
        self._stage.valkey.thaw()
        return f"for {seconds:.1f} s"

    def _kill_runner(self) -> str:
        """Everything that the runner started must end with it, then all starts again."""
        system = self._stage.system
        pids = system.pids()
        system.kill()
        deadline = time.monotonic() + 5
        while alive := [name for name, pid in pids.items() if _alive(pid)]:
            if time.monotonic() > deadline:
                raise AssertionError(f"5 s after the runner was killed, these live: {alive}")
            time.sleep(0.05)
        system.start()
        return ""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
