"""What can become of the event stream and of who writes it."""

from __future__ import annotations

import random
import time

import redis

from shared import live
from shared.store import events
from tests.campaigns.faults import Faults, Menu
from tests.campaigns.registries import Registries
from tests.campaigns.stage import Stage

FAR_AHEAD = 10**6


class StreamFaults:
    """Leaders killed, the stream trimmed, deleted, wiped, gone, or written to by others.

    `longest` is how long Valkey is away at most, in seconds.
    """

    def __init__(
        self, setting: Stage, registries: Registries, dice: random.Random, *, longest: float
    ) -> None:
        self._longest = longest
        self._setting = setting
        self._registries = registries
        self._dice = dice
        self._of_valkey = Faults(setting, dice)

    def menu(self) -> Menu:
        """Each of them, all as likely."""
        leader = self._registries
        makers = {
            "kill the leader": lambda: leader.kill_leader(whole=False),
            "kill the leading registry": lambda: leader.kill_leader(whole=True),
            "trim the stream": self._trim,
            "delete the stream": self._delete,
            "flush valkey": self._of_valkey.flush,
            "restart valkey": self._restart,
            "stop and wipe valkey": lambda: self._of_valkey.lose_valkey(self._longest),
            "freeze valkey": lambda: self._of_valkey.freeze_valkey(self._longest),
            "foreign entry far ahead": lambda: self._foreign(FAR_AHEAD),
            "foreign entry just ahead": lambda: self._foreign(self._dice.randint(1, 9)),
        }
        return {name: (1, make) for name, make in makers.items()}

    def _redis(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self._setting.valkey.socket))

    def _trim(self) -> str:
        left = self._dice.choice([0, 1, 5])
        with self._redis() as client:
            gone = client.xtrim(live.STREAM, maxlen=left, approximate=False)
        return f"to {left}, {gone} gone"

    def _delete(self) -> str:
        with self._redis() as client:
            return "" if client.delete(live.STREAM) else "(there was none)"

    def _restart(self) -> str:
        seconds = self._dice.uniform(0, self._longest)
        self._setting.valkey.stop()
        time.sleep(seconds)
        self._setting.valkey.start()
        return f"after {seconds:.1f} s"

    def _foreign(self, ahead: int) -> str:
        """An entry of somebody else at a number that the table has not reached."""
        with self._registries.database.read() as tx:
            seq = events.last_seq(tx) + ahead
        with self._redis() as client:
            try:
                client.xadd(live.STREAM, {"id": "not of this installation"}, id=f"{seq}-0")
            except redis.ResponseError:
                return f"at {seq} (overtaken)"
        return f"at {seq}"
