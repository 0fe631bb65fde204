"""A wrong environment stops the start with the variable's name, its value and what was expected."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.env import ConfigurationError, Environment, without_password
from config.secret_key import kept_secret_key
from tests.platform.processes import PROJECT, clean_environment


@pytest.fixture(autouse=True)
def no_inkling_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("INKLING_"):
            monkeypatch.delenv(name)


def faults_of(env: Environment) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        env.finish()
    return caught.value.faults


def test_port__not_a_number__names_variable_value_and_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKLING_PORT", "eighty")
    env = Environment()
    assert env.port("INKLING_PORT", 8000) == 8000
    assert faults_of(env) == ["INKLING_PORT is 'eighty'; expected a whole number from 1 to 65,535"]


@pytest.mark.parametrize("value", ["0", "65536", "-1", "1e3"])
def test_port__outside_its_range__is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("INKLING_PORT", value)
    env = Environment()
    env.port("INKLING_PORT", 8000)
    assert value in faults_of(env)[0]


def test_flag__unset_or_empty__takes_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKLING_EMPTY", "")
    env = Environment()
    assert env.flag("INKLING_EMPTY", True) is True
    assert env.flag("INKLING_UNSET", False) is False
    env.finish()


def test_flag__neither_true_nor_false__is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKLING_DEBUG", "maybe")
    env = Environment()
    env.flag("INKLING_DEBUG", False)
    assert faults_of(env) == ["INKLING_DEBUG is 'maybe'; expected true or false"]


def test_several_faults__are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKLING_PORT", "x")
    monkeypatch.setenv("INKLING_DEBUG", "perhaps")
    env = Environment()
    env.port("INKLING_PORT", 1)
    env.flag("INKLING_DEBUG", False)
    assert len(faults_of(env)) == 2


def test_misspelt_name__is_refused_with_the_nearest_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKLING_PROT", "9000")
    env = Environment()
    env.port("INKLING_PORT", 8000)
    assert faults_of(env) == ["INKLING_PROT is not a setting of Inkling; did you mean INKLING_PORT?"]


def test_secret__too_short__is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKLING_SECRET_KEY", "hunter2")
    env = Environment()
    env.secret("INKLING_SECRET_KEY", at_least=50)
    (fault,) = faults_of(env)
    assert "hunter2" not in fault
    assert "at least 50 characters" in fault


def test_database__unknown_kind__is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://ink:s3cret@db.example/ab")
    env = Environment()
    env.database("DATABASE_URL", "sqlite:///x.sqlite3")
    (fault,) = faults_of(env)
    assert fault.startswith("DATABASE_URL is 'mysql://ink:***@db.example/ab'; expected")
    assert "s3cret" not in fault


def test_database__postgresql_with_options__keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://ink:pw@db.example:5433/ab?sslmode=require")
    env = Environment()
    database = env.database("DATABASE_URL", "sqlite:///x.sqlite3")
    env.finish()
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db.example", 5433, "ab")
    assert database["OPTIONS"]["sslmode"] == "require"


@pytest.mark.parametrize("value", ["amqp://host", "redis", "http://[broken"])
def test_address__unknown_scheme_or_no_address__is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("INKLING_BROKER_URL", value)
    env = Environment()
    assert env.address("INKLING_BROKER_URL", "filesystem://", {"redis": "redis://host:6379/0"}) == "filesystem://"
    assert "expected an address like redis://host:6379/0" in faults_of(env)[0]


def test_origins__without_scheme__are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKLING_CSRF_TRUSTED_ORIGINS", "https://ab.example.com,ab.example.com")
    env = Environment()
    env.origins("INKLING_CSRF_TRUSTED_ORIGINS")
    assert "each like https://tests.example.com" in faults_of(env)[0]


def test_folder__under_a_file__is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("INKLING_DATA_DIR", str(tmp_path / "file" / "data"))
    env = Environment()
    env.folder("INKLING_DATA_DIR", tmp_path)
    assert "expected a folder that can be created and written" in faults_of(env)[0]


def test_without_password__hides_only_the_password() -> None:
    assert without_password("redis://:pw@h:1/0") == "'redis://:***@h:1/0'"
    assert without_password("redis://h:1/0") == "'redis://h:1/0'"


def test_kept_secret_key__called_twice__is_the_same_and_private(tmp_path: Path) -> None:
    first = kept_secret_key(tmp_path)
    assert first == kept_secret_key(tmp_path)
    assert len(first) >= 50
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secret_key"]


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


def test_manage__malformed_variable__one_sentence_and_no_traceback(tmp_path: Path) -> None:
    ran = manage("check", INKLING_DATA_DIR=str(tmp_path), INKLING_PORT="abc")
    assert ran.returncode == 78
    assert ran.stderr == "Inkling cannot start: INKLING_PORT is 'abc'; expected a whole number from 1 to 65,535.\n"


def test_manage__unknown_event_store__names_the_known_ones(tmp_path: Path) -> None:
    ran = manage("check", INKLING_DATA_DIR=str(tmp_path), INKLING_EVENT_STORE="cassandra://host")
    assert ran.returncode == 78
    assert "INKLING_EVENT_STORE is 'cassandra://host'; expected parquet" in ran.stderr


def test_manage__production_without_secret_and_hosts__names_both(tmp_path: Path) -> None:
    ran = manage("check", INKLING_DATA_DIR=str(tmp_path), INKLING_ENV="production")
    assert ran.returncode == 78
    assert "INKLING_SECRET_KEY is not set" in ran.stderr
    assert "INKLING_ALLOWED_HOSTS is not set" in ran.stderr
    assert not (tmp_path / "secret_key").exists()


def test_manage__production_settings__pass_every_deployment_check(tmp_path: Path) -> None:
    ran = manage(
        "check",
        "--deploy",
        "--fail-level=WARNING",
        INKLING_DATA_DIR=str(tmp_path),
        INKLING_ENV="production",
        INKLING_SECRET_KEY="".join(chr(ord("a") + i % 26) + str(i) for i in range(40)),
        INKLING_ALLOWED_HOSTS="ab.example.com",
    )
    assert ran.returncode == 0, ran.stderr
