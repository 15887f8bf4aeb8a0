"""The entrypoint of postgres: an empty PGDATA becomes a cluster of databases, as the user `postgres`.

PostgreSQL refuses to be root, so that it looks like another user where there is only one.
"""

from __future__ import annotations

import glob
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .process import Refused, become, execute, is_option, needs_root_of_its_own, run, setting

POSTGRES = 999
_SOCKETS = "/run/postgresql"
_SCRIPTS = "/docker-entrypoint-initdb.d"


def main(argv: Sequence[str]) -> int:
    return run(_start, argv)


def _start(argv: list[str]) -> None:
    argv = ["postgres", *argv] if is_option(argv) else argv
    if os.path.basename(argv[0]) != "postgres" or any(word in ("-?", "--help", "-V", "--version") for word in argv):
        execute(argv)
    needs_root_of_its_own("postgres")
    data = Path(os.environ.get("PGDATA") or "/var/lib/postgresql/data")
    os.makedirs(_SOCKETS, mode=0o775, exist_ok=True)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    become(POSTGRES, POSTGRES, [str(data), _SOCKETS])
    data.chmod(0o700)
    if not (data / "PG_VERSION").exists() or (data / "panal-unfinished").exists():
        make(data, os.environ)
    execute([*argv, "-c", "listen_addresses=*"] if not any("listen_addresses" in word for word in argv) else argv)


def make(data: Path, environ: Mapping[str, str]) -> None:
    """Make the databases. What an attempt that was killed has left is made again. Raises Refused."""
    password = setting(environ, "POSTGRES_PASSWORD")
    method = environ.get("POSTGRES_HOST_AUTH_METHOD") or "scram-sha-256"
    if not password and method != "trust":
        raise Refused(
            "Error: Database is uninitialized and superuser password is not specified.\n"
            "       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser. For example, "
            '"-e POSTGRES_PASSWORD=password" on "docker run".\n\n'
            '       You may also use "POSTGRES_HOST_AUTH_METHOD=trust" to allow all connections without a password.'
        )
    user = setting(environ, "POSTGRES_USER", default="postgres")
    database = setting(environ, "POSTGRES_DB", default=user)
    _clear(data)
    (data / "panal-unfinished").unlink(missing_ok=True)
    secret = Path("/dev/shm/pwfile")
    secret.touch(mode=0o600)
    secret.write_text(f"{password}\n")
    options = environ.get("POSTGRES_INITDB_ARGS", "").split()
    command = ["initdb", f"--pgdata={data}", f"--username={user}", *options]
    _run([*command, f"--pwfile={secret}"] if password else command)
    secret.unlink()
    (data / "panal-unfinished").touch()
    with open(data / "pg_hba.conf", "a") as file:
        file.write(f"\nhost all all all {method}\n")
    _fill(data, environ, user, database, password)
    (data / "panal-unfinished").unlink()


def _clear(data: Path) -> None:
    import shutil

    if (data / "panal-unfinished").exists():
        for entry in data.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _fill(data: Path, environ: Mapping[str, str], user: str, database: str, password: str) -> None:
    """The database and what the user's scripts make, by a server without a network."""
    scripts = sorted(glob.glob(f"{_SCRIPTS}/*"))
    if database == "postgres" and not scripts:
        return
    env = {**environ, "PGPASSWORD": password, "PGHOST": _SOCKETS}
    control = ["pg_ctl", "-D", str(data), "-w"]
    _run([*control, "-o", "-c listen_addresses=''", "start"])
    try:
        client = ["psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "--username", user]
        if database != "postgres":
            make_it = 'CREATE DATABASE :"db";\n'
            _run([*client, "--dbname", "postgres", "--set", f"db={database}"], env=env, text=make_it)
        for script in scripts:
            if script.endswith(".sh"):
                _run([script] if os.access(script, os.X_OK) else ["sh", script], env=env)
            elif script.endswith(".sql"):
                _run([*client, "--dbname", database, "-f", script], env=env)
            else:
                sys.stdout.write(f"ignoring {script}\n")
    finally:
        _run([*control, "-m", "fast", "stop"])


def _run(command: Sequence[str], *, env: Mapping[str, str] | None = None, text: str = "") -> None:
    done = subprocess.run(command, env=env, input=text, text=True)
    if done.returncode:
        raise Refused(f"{command[0]} failed with exit code {done.returncode}")
