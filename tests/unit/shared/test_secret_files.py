"""DATABASE_URL and REDIS_URL may come from files, as container platforms pass secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared import config
from shared.errors import ConfigurationError
from shared.secret_files import FILES

ROOT = Path(__file__).parents[3]
URL = "postgresql://dragoman_registry:s3cret@postgres/dragoman"


def faults(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        config.load(environ)
    return caught.value.faults


def test_a_url_is_read_from_its_file_without_the_newline_that_editors_add(tmp_path: Path) -> None:
    database, redis = tmp_path / "database", tmp_path / "redis"
    database.write_text(f"{URL}\n")
    redis.write_text("redis://dragoman:s3cret@valkey:6379/0\n")
    settings = config.load({"DATABASE_URL_FILE": str(database), "REDIS_URL_FILE": str(redis)})
    assert settings.database_url == URL
    assert settings.redis_url == "redis://dragoman:s3cret@valkey:6379/0"
    assert "s3cret" not in repr(config.shown(settings))


def test_both_forms_at_once_are_refused_as_nobody_can_tell_which_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "database"
    file.write_text(URL)
    assert faults({"DATABASE_URL_FILE": str(file), "DATABASE_URL": URL}) == [
        "DATABASE_URL_FILE: expected DATABASE_URL to be unset beside it, got both"
    ]


def test_an_empty_variable_is_as_good_as_none(tmp_path: Path) -> None:
    file = tmp_path / "database"
    file.write_text(URL)
    assert config.load({"DATABASE_URL_FILE": str(file), "DATABASE_URL": ""}).database_url == URL
    assert config.load({"DATABASE_URL_FILE": "", "DATABASE_URL": URL}).database_url == URL


def test_a_file_that_cannot_be_used_is_a_fault_and_never_the_default(tmp_path: Path) -> None:
    gone, empty, binary = (tmp_path / name for name in ("gone", "empty", "binary"))
    empty.touch()
    binary.write_bytes(b"\xff\xfe")
    found = faults({"DATABASE_URL_FILE": str(gone), "REDIS_URL_FILE": str(empty)})
    assert found == [
        f"DATABASE_URL_FILE ({gone}): expected a readable file, got: No such file or directory",
        f"REDIS_URL_FILE ({empty}): expected REDIS_URL in the file, got nothing",
    ]
    (fault,) = faults({"DATABASE_URL_FILE": str(binary)})
    assert "not UTF-8" in fault


def test_a_wrong_url_in_a_file_is_told_without_its_password(tmp_path: Path) -> None:
    file = tmp_path / "database"
    file.write_text("postgres//me:s3cret@db/dragoman")
    (fault,) = faults({"DATABASE_URL_FILE": str(file)})
    assert fault.startswith("DATABASE_URL: expected ")
    assert "s3cret" not in fault


@pytest.mark.parametrize(("variable", "setting"), FILES.items())
def test_each_has_its_row_in_the_readme(variable: str, setting: str) -> None:
    row = f"| `{variable}` | *empty* | a file that holds `{setting}`, in its place |"
    assert row in (ROOT / "README.md").read_text("utf-8").splitlines()
