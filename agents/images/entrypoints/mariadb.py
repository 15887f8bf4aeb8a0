"""The entrypoint of mariadb and mysql: an empty data folder becomes a database with the users that the environment asks
for.

It is made beside the data folder's content and moved in whole, the `mysql` folder last, so that a container killed
meanwhile leaves nothing that looks like a database.
"""

from __future__ import annotations

import glob
import os
import re
import secrets
import shutil
import string
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .process import Refused, execute, is_option, root, run, setting

_SERVERS = ("mariadbd", "mysqld")
_SCRIPTS = "/docker-entrypoint-initdb.d"
_PATIENCE = 120.0
"""Seconds until the server that runs the scripts must answer."""


def main(argv: Sequence[str]) -> int:
    return run(_start, argv)


def _start(argv: list[str]) -> None:
    argv = ["mariadbd", *argv] if is_option(argv) else argv
    if os.path.basename(argv[0]) not in _SERVERS or any(word in ("--help", "--version", "-V") for word in argv):
        execute(argv)
    place = f"{root()}/run/mysqld"
    os.makedirs(place, exist_ok=True)
    options = [*argv[1:]]
    if os.geteuid() == 0 and not any(word.startswith("--user") for word in options):
        options.append("--user=root")  # files belong to the one user who exists; it refuses to be root unasked
    if root():
        options += [f"--datadir={root()}/var/lib/mysql", f"--socket={place}/mysqld.sock"]
        options += [f"--pid-file={place}/mysqld.pid", f"--bind-address={os.environ.get('POD_IP', '127.0.0.1')}"]
    data = Path(_option(options, "datadir") or "/var/lib/mysql")
    if not (data / "mysql").is_dir():
        make(data, options, os.environ)
    _say("Starting the server")
    execute([*_program(argv[0]), *options])


def _program(name: str) -> list[str]:
    """In the plain runtime the machine's own settings must not be read."""
    return [name, "--no-defaults"] if root() else [name]


def _option(options: Sequence[str], name: str) -> str:
    """The last value given; dashes and underscores are the same in MariaDB's options."""
    found = ""
    for word in options:
        key, equals, value = word.partition("=")
        if equals and key.lstrip("-").replace("_", "-") == name:
            found = value
    return found


def make(data: Path, options: Sequence[str], environ: Mapping[str, str]) -> None:
    """Make the database of an empty folder. Raises Refused."""
    password = _root_password(environ)
    statements = sql(environ, password)
    data.mkdir(parents=True, exist_ok=True)
    part = data / f".new-{secrets.token_hex(4)}"
    for left in data.glob(".new-*"):
        shutil.rmtree(left, ignore_errors=True)
    part.mkdir(mode=0o700)
    _say("Initializing database files")
    extra = part / "users.sql"
    extra.touch(mode=0o600)
    extra.write_text(statements)
    install = ["mariadb-install-db", f"--datadir={part}/data", f"--extra-file={extra}"]
    install += ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve", "--skip-log-bin"]
    install += ["--user=root"] if os.geteuid() == 0 else []
    install[1:1] = ["--no-defaults"] if root() else []
    done = subprocess.run(
        install, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        shutil.rmtree(part, ignore_errors=True)
        raise Refused(_line("ERROR", f"mariadb-install-db failed:\n{done.stdout[-4000:]}"))
    extra.unlink()
    _run_scripts(part / "data", options, environ, password)
    for entry in sorted(part.joinpath("data").iterdir(), key=lambda entry: entry.name == "mysql"):
        entry.rename(data / entry.name)
    shutil.rmtree(part)
    _say("Database files initialized")


def _root_password(environ: Mapping[str, str]) -> str:
    """Raises Refused when nothing is said about it."""
    password = _setting(environ, "ROOT_PASSWORD")
    if not password and _setting(environ, "RANDOM_ROOT_PASSWORD"):
        password = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(32))
        _say(f"GENERATED ROOT PASSWORD: {password}")
    if (
        not password
        and not _setting(environ, "ALLOW_EMPTY_ROOT_PASSWORD")
        and not environ.get("MYSQL_ALLOW_EMPTY_PASSWORD")
    ):
        raise Refused(
            _line(
                "ERROR",
                "Database is uninitialized and password option is not specified\n\tYou need to specify one of "
                "MARIADB_ROOT_PASSWORD, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD and MARIADB_RANDOM_ROOT_PASSWORD",
            )
        )
    return password


def _setting(environ: Mapping[str, str], name: str) -> str:
    return setting(environ, f"MARIADB_{name}", f"MYSQL_{name}")


def sql(environ: Mapping[str, str], root_password: str) -> str:
    """The statements that make root, the database and its user, as the environment asks. Raises Refused."""
    root_host = _setting(environ, "ROOT_HOST") or "%"
    database, user, password = (_setting(environ, name) for name in ("DATABASE", "USER", "PASSWORD"))
    if user == "root":
        raise Refused(_line("ERROR", "MARIADB_USER=root: root has a password of its own, MARIADB_ROOT_PASSWORD"))
    if bool(user) != bool(password):
        raise Refused(_line("ERROR", "MARIADB_USER and MARIADB_PASSWORD go together"))
    lines = [
        "FLUSH PRIVILEGES;",  # the rights, which are not read while the tables are made
        "DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');",
        "FLUSH PRIVILEGES;",
        f"CREATE OR REPLACE USER 'root'@'localhost' IDENTIFIED BY {_text(root_password)};",
        "GRANT ALL ON *.* TO 'root'@'localhost' WITH GRANT OPTION;",
    ]
    if root_host != "localhost":
        lines += [
            f"CREATE USER 'root'@{_text(root_host)} IDENTIFIED BY {_text(root_password)};",
            f"GRANT ALL ON *.* TO 'root'@{_text(root_host)} WITH GRANT OPTION;",
        ]
    if database:
        lines.append(f"CREATE DATABASE IF NOT EXISTS {_name(database)};")
    if user:
        lines.append(f"CREATE USER {_text(user)}@'%' IDENTIFIED BY {_text(password)};")
        if database:
            pattern = _name(re.sub(r"([_%])", r"\\\1", database))
            lines.append(f"GRANT ALL ON {pattern}.* TO {_text(user)}@'%';")
    return "\n".join([*lines, "FLUSH PRIVILEGES;", ""])


def _text(value: str) -> str:
    """A string of SQL. The bootstrap reads statements line by line, so that no line may end inside one."""
    table = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\x1a": "\\Z"}
    return "'" + "".join(table.get(letter, letter) for letter in value) + "'"


def _name(value: str) -> str:
    if not value or any(ord(letter) < 32 for letter in value):
        raise Refused(_line("ERROR", f"{value!r} is no name of a database"))
    return "`" + value.replace("`", "``") + "`"


def _run_scripts(data: Path, options: Sequence[str], environ: Mapping[str, str], password: str) -> None:
    """What the user laid into /docker-entrypoint-initdb.d, by a server that only this container can reach."""
    scripts = sorted(glob.glob(f"{root()}{_SCRIPTS}/*"))
    if not scripts:
        return
    socket = f"{root()}/run/mysqld/setup.sock"
    own = [f"--datadir={data}", f"--socket={socket}", "--skip-networking", "--skip-log-bin"]
    server = subprocess.Popen([*_program("mariadbd"), *options, *own], stdin=subprocess.DEVNULL)
    client = ["mariadb", "--protocol=socket", f"--socket={socket}", "-uroot", "-hlocalhost"]
    env = {**environ, "MYSQL_PWD": password}
    try:
        _wait(server, client, env)
        if database := _setting(environ, "DATABASE"):
            client.append(f"--database={database}")
        for script in scripts:
            _run_script(script, client, env)
    finally:
        server.terminate()
        server.wait()


def _wait(server: subprocess.Popen[bytes], client: Sequence[str], env: Mapping[str, str]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while subprocess.run([*client, "-e", "SELECT 1"], env=env, capture_output=True).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise Refused(_line("ERROR", "Unable to start server"))
        time.sleep(0.1)


def _run_script(script: str, client: Sequence[str], env: Mapping[str, str]) -> None:
    _say(f"running {script}")
    if script.endswith(".sh"):
        done = subprocess.run([script] if os.access(script, os.X_OK) else ["sh", script], env=env).returncode
    elif script.endswith(".sql"):
        with open(script, "rb") as file:
            done = subprocess.run(client, env=env, stdin=file).returncode
    elif script.endswith(".sql.gz"):
        import gzip

        done = subprocess.run(client, env=env, input=gzip.decompress(Path(script).read_bytes())).returncode
    else:
        _say(f"ignoring {script}")
        return
    if done:
        raise Refused(_line("ERROR", f"{script} failed with exit code {done}"))


def _line(level: str, text: str) -> str:
    return f"{time.strftime('%Y-%m-%d %H:%M:%S+00:00', time.gmtime())} [{level}] [Entrypoint]: {text}"


def _say(text: str) -> None:
    sys.stdout.write(_line("Note", text) + "\n")
    sys.stdout.flush()
