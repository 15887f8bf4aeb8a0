"""What the entrypoints make of an image's environment, before any program runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from panal.agents.images.entrypoints import mariadb, wordpress
from panal.agents.images.entrypoints.process import Refused, is_option, setting


def test_a_setting_may_come_from_a_file_but_not_both_ways(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    assert setting({"A_FILE": str(secret)}, "A") == "s3cret"
    assert setting({"B": "b"}, "A", "B") == "b"
    assert setting({}, "A", default="d") == "d"
    with pytest.raises(Refused, match="Both A and A_FILE are set"):
        setting({"A": "x", "A_FILE": str(secret)}, "A")
    with pytest.raises(Refused, match="No such file"):
        setting({"A_FILE": "/no/such"}, "A")


def test_options_belong_to_the_program() -> None:
    assert [is_option(words) for words in ([], ["-x"], ["sh", "-c"])] == [True, True, False]


def test_mariadbs_users_are_made_as_its_environment_says() -> None:
    environ = {"MARIADB_DATABASE": "w_p", "MYSQL_USER": "o'brien", "MARIADB_PASSWORD": "a\\b\nc"}
    statements = mariadb.sql(environ, "root's").splitlines()
    assert "CREATE USER 'root'@'%' IDENTIFIED BY 'root\\'s';" in statements
    assert "CREATE DATABASE IF NOT EXISTS `w_p`;" in statements
    assert "CREATE USER 'o\\'brien'@'%' IDENTIFIED BY 'a\\\\b\\nc';" in statements
    assert "GRANT ALL ON `w\\_p`.* TO 'o\\'brien'@'%';" in statements


def test_mariadbs_root_may_be_kept_at_home() -> None:
    assert "'root'@'%'" not in mariadb.sql({"MARIADB_ROOT_HOST": "localhost"}, "x")


@pytest.mark.parametrize(
    "environ", [{"MARIADB_USER": "a"}, {"MARIADB_USER": "root", "MARIADB_PASSWORD": "b"}, {"MARIADB_DATABASE": "a\nb"}]
)
def test_what_mariadb_cannot_be_told_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(Refused):
        mariadb.sql(environ, "x")


def test_a_database_without_a_word_about_roots_password_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PANAL_ROOT", str(tmp_path))
    for name in list(os.environ):
        if name.startswith(("MARIADB", "MYSQL")):
            monkeypatch.delenv(name)
    assert mariadb.main(["mariadbd"]) == 1
    assert "Database is uninitialized and password option is not specified" in capsys.readouterr().err
    assert not list(tmp_path.glob("var/lib/mysql/*"))


@pytest.fixture
def wordpress_of_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    source, content = tmp_path / "source", tmp_path / "content"
    (source / "wp-includes").mkdir(parents=True)
    (source / "wp-includes" / "version.php").write_text("<?php")
    (source / "index.php").write_text("<?php")
    (source / "wp-config.php").write_text("Debian's")
    (source / ".htaccess").symlink_to("/no/such")
    (tmp_path / "shared.js").write_text("js")
    (source / "wp-includes" / "shared.js").symlink_to("../../shared.js")
    (source / "wp-includes" / "gone.js").symlink_to("/no/such")
    (content / "themes" / "plain").mkdir(parents=True)
    monkeypatch.setattr(wordpress, "SOURCE", source)
    monkeypatch.setattr(wordpress, "CONTENT", content)
    monkeypatch.setenv("WORDPRESS_DB_HOST", "mariadb-service:3307")
    here = tmp_path / "html"
    here.mkdir()
    return here


def test_wordpress_is_laid_out_with_what_debians_links_lead_to(wordpress_of_debian: Path) -> None:
    here = wordpress_of_debian
    wordpress.fill(here)
    assert (here / "wp-includes" / "shared.js").read_text() == "js"
    assert not (here / "wp-includes" / "shared.js").is_symlink()
    assert not (here / ".htaccess").is_symlink()
    assert (here / "wp-content" / "themes" / "plain").is_dir()
    config = (here / "wp-config.php").read_text()
    assert "wordpress_setting('DB_HOST', 'mysql')" in config
    assert "@KEYS@" not in config


def test_what_the_user_has_changed_in_wordpress_stays(wordpress_of_debian: Path) -> None:
    here = wordpress_of_debian
    (here / "wp-config.php").write_text("mine")
    (here / "wp-content" / "themes" / "mine").mkdir(parents=True)
    wordpress.fill(here)
    wordpress.fill(here)
    assert (here / "wp-config.php").read_text() == "mine"
    assert [entry.name for entry in (here / "wp-content" / "themes").iterdir()] == ["mine"]
