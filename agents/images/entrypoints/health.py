"""`healthcheck.sh` of the mariadb image, as probes call it: --connect, --innodb_initialized."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from .process import root

_CLIENT = ("mariadb", "--protocol=socket", "-uroot", "--skip-column-names", "-B")
_INNODB = "SELECT 1 FROM information_schema.ENGINES WHERE engine='innodb' AND support IN ('YES', 'DEFAULT', 'ENABLED')"


def main(argv: Sequence[str]) -> int:
    """0 when all that was asked for holds; without a question whether the server answers."""
    for word in argv or ["--connect"]:
        if word == "--connect":
            answer = _ask("SELECT 1", refusal_is_an_answer=True)
        elif word == "--innodb_initialized":
            answer = _ask(_INNODB, refusal_is_an_answer=False)
        elif word.startswith("--"):
            return 1
        else:
            continue
        if not answer:
            return 1
    return 0


def _ask(question: str, *, refusal_is_an_answer: bool) -> bool:
    password = os.environ.get("MARIADB_ROOT_PASSWORD") or os.environ.get("MYSQL_ROOT_PASSWORD") or ""
    command = [*_CLIENT, f"--socket={root()}/run/mysqld/mysqld.sock", "-e", question]
    done = subprocess.run(command, env={**os.environ, "MYSQL_PWD": password}, capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout.strip() == "1"
    return refusal_is_an_answer and "Access denied" in done.stderr
