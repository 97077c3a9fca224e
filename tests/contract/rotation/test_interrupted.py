"""A rotation that ends anywhere leaves everything readable, and the next one finishes it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from deploy import keyring_file
from deploy.resealing import Store
from shared.store import sealed
from tests.contract.rotation.conftest import Installation


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


class Killer:
    """Ends the process before the n-th of the steps that leave a trace."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        self.dead = False
        for owner, name in ((Store, "write"), (keyring_file, "_replace")):
            monkeypatch.setattr(owner, name, self._around(getattr(owner, name)))
        end = Store.end
        monkeypatch.setattr(Store, "end", lambda store: None if self.dead else end(store))

    def _around(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                self.dead = True
                raise Killed
            return step(*arguments)

        return stepped


def test_killed_at_any_step_nothing_is_unreadable_and_running_it_again_finishes(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = Killer(monkeypatch)
    every = 1 if installation.database.is_sqlite else 3  # the steps are the same on both
    for step in itertools.count(1, every):
        killer.left, killer.dead = step, False
        before = set(installation.keyring.keys)
        try:
            installation.rotate()
        except Killed:
            pass
        else:
            break
        installation.check_all_readable()
        killer.left, killer.dead = 0, False
        installation.forget_lease()
        installation.rotate()
        installation.check_all_readable()
        after = installation.keyring
        assert installation.keys_in_use() == set(after.keys) == {after.primary}
        if step == 1:
            assert before.isdisjoint(after.keys)
    assert step > 12


def test_killed_again_and_again_it_gets_on(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "ROWS", 6)
    killer = Killer(monkeypatch)
    old = installation.keyring.primary
    for _ in range(15):
        killer.left, killer.dead = 5, False
        installation.forget_lease()
        try:
            installation.rotate()
        except Killed:
            installation.check_all_readable()
        else:
            break
    assert old not in installation.keyring.keys
    assert installation.keys_in_use() == set(installation.keyring.keys)
