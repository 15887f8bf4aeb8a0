"""The entrypoints of httpd and php: Apache in the foreground as an ordinary user, PHP as its module or by itself.

Apache refuses to serve pages as root, and with one user there is nobody it could become: it is www-data from the start
then.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Sequence

from .process import Refused, become, execute, is_option, needs_root_of_its_own, only_one_user, run

WWW_DATA = 33
_RUN = "/run/apache2"


def httpd(argv: Sequence[str]) -> int:
    def start(argv: list[str]) -> None:
        if argv and argv[0] == "httpd-foreground":
            needs_root_of_its_own("httpd")
            with contextlib.suppress(OSError):
                os.symlink("/usr/lib/apache2/modules", "/usr/local/apache2/modules")
            serve(["-d", "/usr/local/apache2", "-f", "conf/httpd.conf", *argv[1:]])
        execute(argv)

    return run(start, argv)


def php(argv: Sequence[str]) -> int:
    """Options are php's own, as in the official image."""

    def start(argv: list[str]) -> None:
        foreground(["php", *argv] if is_option(argv) else argv)

    return run(start, argv)


def foreground(argv: list[str]) -> None:
    """Become the named program; what the official PHP images call by a name of their own is found."""
    if argv[0] == "apache2-foreground":
        needs_root_of_its_own("php")
        module = newest("/usr/lib/apache2/modules/libphp*.so")
        os.environ.setdefault("APACHE_RUN_USER", "www-data")
        serve(["-C", f"LoadModule php_module {module}", "-d", "/etc/apache2", "-f", "apache2.conf", *argv[1:]])
    if argv[0] == "php-fpm":
        needs_root_of_its_own("php")
        program = newest("/usr/sbin/php-fpm[0-9]*")
        if only_one_user():
            become(WWW_DATA, WWW_DATA)
        execute([program, "--nodaemonize", "--fpm-config", "/usr/local/etc/php-fpm.conf", *argv[1:]])
    execute(argv)


def serve(arguments: list[str]) -> None:
    """Become Apache."""
    os.makedirs(_RUN, mode=0o755, exist_ok=True)
    with contextlib.suppress(OSError):  # a process id that an earlier life of this container left
        for name in os.listdir(_RUN):
            if name.endswith(".pid"):
                os.unlink(os.path.join(_RUN, name))
    if only_one_user():
        become(WWW_DATA, WWW_DATA)
    execute(["apache2", *arguments, "-D", "FOREGROUND"])


def newest(pattern: str) -> str:
    """The last by name of the files that fit. Raises Refused."""
    if not (found := sorted(glob.glob(pattern))):
        raise Refused(f"{pattern}: no such file")
    return found[-1]
