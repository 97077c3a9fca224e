"""`dragoman keys rotate-master` on both databases: what it does, stage by stage, and refuses."""

from __future__ import annotations

import dataclasses
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from deploy import keyring_file
from deploy.refusal import Refusal
from deploy.rotation import rotate
from shared.crypto import LOOK_SECONDS, Sealer, sealed_with
from shared.errors import ConfigurationError
from shared.keyring import Keyring, KeyringFile
from shared.store import leases
from shared.store.opening import open_store
from shared.store.schema import chat_job
from shared.store.sealed import COLUMNS
from tests import sealedrows
from tests.contract.rotation.conftest import ROWS, Installation


def test_afterwards_everything_opens_with_a_keyring_that_holds_one_new_key(
    installation: Installation,
) -> None:
    old = installation.keyring
    installation.rotate()
    new = installation.keyring
    assert new.pepper == old.pepper
    assert set(new.keys).isdisjoint(old.keys)
    assert set(new.keys) == {new.primary} == installation.keys_in_use()
    installation.check_all_readable()
    assert installation.file.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in installation.file.path.parent.glob("*keyring*")] == [
        "keyring.json"
    ]


def test_it_says_what_it_does_and_never_a_key(local: Installation) -> None:
    old = local.file.path.read_text()
    local.rotate()
    said = "\n".join(local.said)
    assert "Back that file up now" in said
    for column in COLUMNS:
        assert f"{column}: 12 re-sealed" in said
    for text in (old, local.file.path.read_text()):
        for secret in (text.split('"')[i] for i in range(1, text.count('"'), 2)):
            assert len(secret) < 40 or secret not in said


def test_the_old_keyring_starts_nothing_any_more(local: Installation) -> None:
    old = local.file.path.read_text()
    local.rotate()
    local.file.path.write_text(old)
    with pytest.raises(ConfigurationError, match="another one"):
        open_store(local.settings)


def test_each_stage_leaves_everything_readable_and_does_its_part(
    installation: Installation,
) -> None:
    old = installation.keyring
    installation.rotate(stage="add")
    added = installation.keyring
    assert (added.primary, added.old) == (old.primary, frozenset())
    assert added.coming is not None
    installation.check_all_readable()
    installation.rotate(stage="use")
    used = installation.keyring
    assert (used.primary, used.old) == (added.coming, frozenset({old.primary}))
    assert installation.keys_in_use() == {old.primary}
    installation.check_all_readable()
    installation.rotate(stage="reseal")
    assert installation.keyring == used
    assert installation.keys_in_use() == {used.primary}
    installation.check_all_readable()
    installation.rotate(stage="retire")
    assert set(installation.keyring.keys) == {used.primary}
    installation.check_all_readable()


def test_a_host_whose_copy_lacks_the_key_in_use_starts_nothing(local: Installation) -> None:
    before = local.keyring
    local.rotate(stage="add")
    local.rotate(stage="use")
    now = local.file.path.read_text()
    local.file.path.write_text(before.dump())
    with pytest.raises(ConfigurationError, match=r"without key .* Copy the present keyring"):
        open_store(local.settings)
    local.file.path.write_text(now)
    # Nor does one that was rid of the old key too early.
    half = local.keyring
    local.file.path.write_text(half.without(half.old).dump())
    with pytest.raises(ConfigurationError, match=f"without key {before.primary}"):
        open_store(local.settings)


def test_machines_with_copies_of_their_own_read_each_other_at_every_stage(
    local: Installation,
) -> None:
    ours, theirs = local.file.path, local.file.path.with_name("theirs.json")
    now = [0.0]

    def copy() -> None:
        shutil.copy(ours, beside := theirs.with_name("beside"))
        beside.replace(theirs)

    copy()
    here, there = (
        Sealer(local.keyring, file=KeyringFile(path), clock=lambda: now[0])
        for path in (ours, theirs)
    )
    place = COLUMNS[0].place("row-x")
    # Each stage as docs/keyring.md has it, before and after the copy that follows it.
    for stage, copied in (("add", True), ("use", True), ("reseal", False), ("retire", True)):
        local.rotate(stage=stage)
        for _ in range(2):
            now[0] += LOOK_SECONDS
            for writer, reader in ((here, there), (there, here)):
                assert reader.open(writer.seal(b"x", **place), **place) == b"x"
            if copied:
                copy()
        assert sealedrows.all_open(local.database, there) == len(ROWS) * len(COLUMNS)
    assert sealed_with(there.seal(b"x", **place)) == local.keyring.primary


def test_use_without_add_is_refused_and_add_twice_is_add(local: Installation) -> None:
    with pytest.raises(Refusal, match="--stage add"):
        local.rotate(stage="use")
    local.rotate(stage="add")
    once = local.keyring
    local.rotate(stage="add")
    assert local.keyring == once


def test_all_goes_on_with_what_a_stage_began(local: Installation) -> None:
    local.rotate(stage="add")
    coming = local.keyring.coming
    local.rotate()
    assert local.keyring.primary == coming
    local.rotate(stage="add")
    local.rotate(stage="use")
    primary = local.keyring.primary
    local.rotate()
    assert set(local.keyring.keys) == {primary}


def test_a_key_that_still_seals_something_is_not_retired(local: Installation) -> None:
    old = local.keyring.primary
    local.rotate(stage="add")
    local.rotate(stage="use")
    with pytest.raises(Refusal, match=f"{len(ROWS) * len(COLUMNS)} with key {old}"):
        local.rotate(stage="retire")
    assert local.keyring.old == {old}
    local.check_all_readable()


def test_a_value_that_opens_with_no_key_is_named_and_keeps_its_key(
    installation: Installation,
) -> None:
    old = installation.keyring.primary
    with installation.database.write() as tx:
        moved = sa.select(chat_job.c.result_sealed).where(chat_job.c.id == ROWS[1])
        tx.execute(
            sa.update(chat_job)
            .where(chat_job.c.id == ROWS[0])
            .values(result_sealed=moved.scalar_subquery())
        )
    with pytest.raises(Refusal, match=f"1 with key {old}"):
        installation.rotate()
    assert any(f"chat_job {ROWS[0]} result_sealed" in line for line in installation.said)
    assert installation.keys_in_use() == {old, installation.keyring.primary}
    with installation.database.write() as tx:
        tx.execute(sa.delete(chat_job).where(chat_job.c.id == ROWS[0]))
    installation.rotate()
    assert installation.keys_in_use() == set(installation.keyring.keys)


def test_processes_on_other_hosts_must_be_answered_for(local: Installation) -> None:
    before = local.keyring
    with local.database.write() as tx:
        leases.register(tx, "wrk_1", host="elsewhere", pid=1, seconds=60)
    with pytest.raises(Refusal, match=r"elsewhere.*--shared-file.*docs/keyring\.md"):
        local.rotate()
    assert local.keyring == before
    local.rotate(shared_file=True)
    assert local.keyring.primary != before.primary


def test_a_keyring_in_the_environment_is_refused_but_re_seals(local: Installation) -> None:
    with_coming = local.keyring.with_coming_key()
    environment = dataclasses.replace(local.settings, keyring=with_coming)
    for stage in (None, "add", "use", "retire"):
        with pytest.raises(ConfigurationError, match=r"DRAGOMAN_KEYRING.*docs/keyring\.md"):
            rotate(environment, local.said.append, stage=stage)
    local.rotate(stage="add")
    local.rotate(stage="use")
    environment = dataclasses.replace(local.settings, keyring=local.keyring)
    rotate(environment, local.said.append, stage="reseal")
    assert local.keys_in_use() == {local.keyring.primary}


def test_only_one_runs_at_a_time(local: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.resealing.LEASE_SECONDS", 0.2)
    with local.database.write() as tx:
        assert leases.lead(tx, "rotate-master", holder="other:1", seconds=60)
    before = local.keyring
    with pytest.raises(Refusal, match="Another rotation is running"):
        local.rotate()
    assert local.keyring == before


def test_one_that_died_is_followed_when_its_lease_is_over(local: Installation) -> None:
    with local.database.write() as tx:
        assert leases.lead(tx, "rotate-master", holder="other:1", seconds=0.6)
    local.rotate()
    assert any("waiting" in line for line in local.said)
    local.check_all_readable()


def test_one_that_died_on_this_host_is_followed_at_once(local: Installation) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with local.database.write() as tx:
        holder = f"{socket.gethostname()}:{dead.pid}"
        assert leases.lead(tx, "rotate-master", holder=holder, seconds=3600)
    local.rotate()
    assert not any("waiting" in line for line in local.said)
    local.check_all_readable()


def test_a_file_that_cannot_be_replaced_is_told_and_nothing_has_changed(
    local: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = local.file.path.read_text()

    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", read_only)
    with pytest.raises(ConfigurationError, match="Read-only file system"):
        local.rotate()
    assert local.file.path.read_text() == before
    local.check_all_readable()


def test_a_link_to_the_file_stays_a_link(local: Installation) -> None:
    link = local.file.path.with_name("link.json")
    link.symlink_to(local.file.path)
    changed = keyring_file.change(KeyringFile(link), Keyring.with_coming_key)
    assert link.is_symlink()
    assert local.keyring == changed


def test_values_that_are_written_while_it_runs_are_kept(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that did not notice the new key yet writes with the old one during the passes."""
    late = Sealer(installation.keyring)
    rows = iter([["late-1"], ["late-2"]])

    def pause(_seconds: float) -> None:
        for row in next(rows, []):
            sealedrows.fill(installation.database, late, [row])

    monkeypatch.setattr("deploy.rotation.time.sleep", pause)
    installation.rotate()
    assert installation.keys_in_use() == {installation.keyring.primary}
    number = sealedrows.all_open(installation.database, Sealer(installation.keyring))
    assert number == (len(ROWS) + 2) * len(COLUMNS)
