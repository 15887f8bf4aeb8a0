"""Entrypoints that only complete a command line: node, curl, kubectl, redis, memcached, haproxy, traefik, caddy."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

from .process import execute, is_command, is_option, root, run


def node(argv: Sequence[str]) -> int:
    """Arguments that are no command are node's: options, and scripts that can't be executed."""
    return run(_for_program("node"), argv)


def curl(argv: Sequence[str]) -> int:
    return run(_for_program("curl"), argv)


def kubectl(argv: Sequence[str]) -> int:
    """Every argument is kubectl's."""
    return run(lambda words: execute(["kubectl", *words]), argv)


def traefik(argv: Sequence[str]) -> int:
    """A sub-command of traefik's is given to it, as its image does."""

    def start(argv: list[str]) -> None:
        named = bool(argv) and (argv[0] in ("healthcheck", "version") or is_option(argv))
        program = _beside("traefik")
        given = argv[1:] if argv[:1] == ["traefik"] else argv
        execute([program, *given] if named or argv[:1] == ["traefik"] else argv)

    return run(start, argv)


def caddy(argv: Sequence[str]) -> int:
    """The image has no entrypoint: its command names the program."""

    def start(argv: list[str]) -> None:
        execute([_beside("caddy"), *argv[1:]] if argv[:1] == ["caddy"] else argv)

    return run(start, argv)


def _beside(program: str) -> str:
    """In PATH, or beside the interpreter, where PyPI's packages put it."""
    return shutil.which(program) or os.path.join(os.path.dirname(sys.executable), program)


def redis(argv: Sequence[str]) -> int:
    """Without protected mode, which would refuse all other pods: the official image is built so."""

    def start(argv: list[str]) -> None:
        if is_option(argv) or argv[0].endswith(".conf"):
            argv = ["redis-server", *argv]
        if os.path.basename(argv[0]) == "redis-server":
            if "--protected-mode" not in argv:
                argv += ["--protected-mode", "no"]
            if root() and "--bind" not in argv:
                argv += ["--bind", os.environ.get("POD_IP", "127.0.0.1"), "--dir", os.getcwd()]
        execute(argv)

    return run(start, argv)


def memcached(argv: Sequence[str]) -> int:
    """It refuses to be root without being told so."""

    def start(argv: list[str]) -> None:
        argv = ["memcached", *argv] if is_option(argv) else argv
        if os.path.basename(argv[0]) == "memcached":
            if os.geteuid() == 0 and "-u" not in argv:
                argv += ["-u", "root"]
            if root() and "-l" not in argv:
                argv += ["-l", os.environ.get("POD_IP", "127.0.0.1")]
        execute(argv)

    return run(start, argv)


def haproxy(argv: Sequence[str]) -> int:
    """In the foreground, with a master process that reloads on SIGUSR2."""

    def start(argv: list[str]) -> None:
        argv = ["haproxy", *argv] if is_option(argv) else argv
        execute(["haproxy", "-W", "-db", *argv[1:]] if argv[0] == "haproxy" else argv)

    return run(start, argv)


def _for_program(program: str) -> object:
    def start(argv: list[str]) -> None:
        execute([program, *argv] if is_option(argv) or not is_command(argv[0]) else argv)

    return start
