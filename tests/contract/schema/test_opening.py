"""A process starts only on a database and with a keyring that fit."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from shared import config
from shared.config import Settings
from shared.errors import ConfigurationError
from shared.keyring import Keyring
from shared.store import access
from shared.store.migrate import migrate
from shared.store.opening import SCHEMA_REVISION, open_store


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings for this database, nothing made yet."""
    return config.load({"DATABASE_URL": database_url, "DRAGOMAN_DATA_DIR": str(tmp_path / "data")})


def open_and_close(settings: Settings) -> None:
    database, _ = open_store(settings)
    database.dispose()


def fault_of(settings: Settings) -> str:
    with pytest.raises(ConfigurationError) as caught:
        open_and_close(settings)
    (fault,) = caught.value.faults
    return fault


def test_migrate_makes_what_is_missing_once(settings: Settings) -> None:
    first, second = migrate(settings), migrate(settings)
    assert first.keyring_created == settings.keyring_file
    assert first.admin_key_created == settings.admin_key_file
    assert (second.keyring_created, second.admin_key_created) == (None, None)
    for path in (settings.keyring_file, settings.admin_key_file):
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_first_admin_key_opens_the_door_and_only_its_digest_is_stored(
    settings: Settings,
) -> None:
    migrate(settings)
    key = settings.admin_key_file.read_text().strip()
    database, _ = open_store(settings)
    with database.read() as tx:
        caller = access.find_caller(tx, access.digest(key), now=time.time())
        stored = repr(tx.execute(sa.text("SELECT * FROM api_key")).all())
    database.dispose()
    assert caller is not None
    assert caller.is_admin
    assert key not in stored


def test_an_admin_key_file_of_the_operators_is_registered(settings: Settings) -> None:
    settings.admin_key_file.parent.mkdir(parents=True)
    settings.admin_key_file.write_text("k" * 40 + "\n")
    assert migrate(settings).admin_key_created is None
    database, _ = open_store(settings)
    with database.read() as tx:
        assert access.find_caller(tx, access.digest("k" * 40), now=time.time())
    database.dispose()


@pytest.mark.parametrize(
    "content",
    [b"k" * 31, b"k" * 40 + b"\n# a comment", b"\xef\xbb\xbf" + b"k" * 40, b"\xff" * 40, b""],
    ids=repr,
)
def test_an_admin_key_that_no_header_can_carry_is_refused_and_not_repeated(
    settings: Settings, content: bytes
) -> None:
    settings.admin_key_file.parent.mkdir(parents=True)
    settings.admin_key_file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="at least 32 printable ASCII") as refused:
        migrate(settings)
    assert "kkkk" not in str(refused.value)


def test_a_lost_admin_key_is_replaced_where_that_is_asked_for(settings: Settings) -> None:
    """As after a restore, whose backup has no key in the clear."""
    migrate(settings)
    lost = settings.admin_key_file.read_text()
    settings.admin_key_file.unlink()
    assert migrate(settings).admin_key_created is None  # it may be gone on purpose
    assert migrate(settings, new_admin_key=True).admin_key_created == settings.admin_key_file
    assert migrate(settings, new_admin_key=True).admin_key_created is None
    made = settings.admin_key_file.read_text()
    assert made != lost
    database, _ = open_store(settings)
    with database.read() as tx:
        for key in (made, lost):
            caller = access.find_caller(tx, access.digest(key.strip()), now=time.time())
            assert caller is not None
            assert caller.is_admin
    database.dispose()


def test_a_revoked_admin_key_is_not_taken_for_one(settings: Settings) -> None:
    """`migrate --new-admin-key` is for who has none; `up` runs with the file as it is."""
    migrate(settings)
    database, _ = open_store(settings)
    with database.write() as tx:
        for key in access.keys(tx):
            access.revoke(tx, key.id, now=time.time())
    with pytest.raises(ConfigurationError, match="Move the file away"):
        migrate(settings, new_admin_key=True)
    assert migrate(settings).admin_key_created is None
    settings.admin_key_file.unlink()
    assert migrate(settings, new_admin_key=True).admin_key_created == settings.admin_key_file
    database.dispose()


def test_a_database_without_tables_is_refused_with_the_command_to_run(settings: Settings) -> None:
    settings.data_dir.mkdir(exist_ok=True)
    settings.keyring_file.write_text(Keyring.generate().dump())
    settings.keyring_file.chmod(0o600)
    assert "dragoman migrate" in fault_of(settings)


@pytest.mark.parametrize(
    ("change", "remedy"),
    [("revision = 0", "Run `dragoman migrate`"), ("compatible_from = 99", "Start a newer release")],
)
def test_a_schema_too_old_or_too_new_is_refused(
    settings: Settings, change: str, remedy: str
) -> None:
    migrate(settings)
    database, _ = open_store(settings)
    with database.write() as tx:
        tx.execute(sa.text(f"UPDATE installation SET {change}"))
    database.dispose()
    assert remedy in fault_of(settings)


def test_the_previous_release_still_starts_on_an_expanded_schema(settings: Settings) -> None:
    migrate(settings)
    database, _ = open_store(settings)
    with database.write() as tx:
        tx.execute(sa.text("UPDATE installation SET revision = 99"))
    database.dispose()
    open_and_close(settings)


def of_a_newer_release(settings: Settings, compatible_from: int) -> None:
    """The schema of a release behind this one."""
    migrate(settings)
    database, _ = open_store(settings)
    with database.write() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '0099'"))
        change = f"UPDATE installation SET revision = 99, compatible_from = {compatible_from}"
        tx.execute(sa.text(change))
    database.dispose()


def test_the_previous_release_migrates_beside_an_expanded_schema_and_leaves_it(
    settings: Settings,
) -> None:
    """On the way back `up` migrates first; and a lost admin key is made by either release."""
    of_a_newer_release(settings, compatible_from=SCHEMA_REVISION)
    settings.admin_key_file.unlink()
    report = migrate(settings, new_admin_key=True)
    assert (report.revision, report.admin_key_created) == (99, settings.admin_key_file)
    open_and_close(settings)


def test_a_schema_too_new_to_migrate_is_refused_and_left(settings: Settings) -> None:
    of_a_newer_release(settings, compatible_from=SCHEMA_REVISION + 1)
    with pytest.raises(ConfigurationError, match=r"got revision 99, made for .* a newer release"):
        migrate(settings)
    assert "Start a newer release" in fault_of(settings)


def test_whoever_only_looks_makes_no_database(tmp_path: Path) -> None:
    settings = config.load({"DRAGOMAN_DATA_DIR": str(tmp_path)})
    with pytest.raises(ConfigurationError, match="no such file"):
        open_and_close(settings)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_told_in_a_sentence(tmp_path: Path) -> None:
    settings = config.load({"DRAGOMAN_DATA_DIR": str(tmp_path)})
    (tmp_path / "dragoman.db").write_bytes(b"not a database, " * 512)
    with pytest.raises(ConfigurationError, match=r"a database of SQLite, got: .*not a database"):
        migrate(settings)
    with pytest.raises(ConfigurationError, match="not a database"):
        open_and_close(settings)


def test_a_data_dir_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = config.load({"DRAGOMAN_DATA_DIR": str(tmp_path / "file" / "data")})
    with pytest.raises(ConfigurationError, match=r"DRAGOMAN_DATA_DIR .* got: Not a directory"):
        migrate(settings)


def test_another_keyring_is_refused(settings: Settings) -> None:
    migrate(settings)
    settings.keyring_file.write_text(Keyring.generate().dump())
    assert "keyring" in fault_of(settings)


def test_a_lost_keyring_is_not_quietly_replaced(settings: Settings) -> None:
    migrate(settings)
    settings.keyring_file.unlink()
    with pytest.raises(ConfigurationError, match="KEYRING"):
        migrate(settings)
    assert not settings.keyring_file.exists()


def test_a_keyring_that_others_can_read_is_refused(settings: Settings) -> None:
    migrate(settings)
    settings.keyring_file.chmod(0o644)
    assert "0600" in fault_of(settings)


def test_a_database_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    settings = config.load(
        {
            "DATABASE_URL": "postgresql://u:s3cret@127.0.0.1:1/none",
            "DRAGOMAN_DATA_DIR": str(tmp_path),
        }
    )
    with pytest.raises(ConfigurationError) as caught:
        migrate(settings)
    assert "127.0.0.1" in str(caught.value)
    assert "s3cret" not in str(caught.value)
