"""Host images of databases and caches. Their environment is that of the Docker official images."""

from __future__ import annotations

import dataclasses
import signal

from .hostimage import HostImage, groups, users

_ENTRIES = "panal.agents.images.entrypoints"

_MY_CNF = """\
[client-server]
socket = /run/mysqld/mysqld.sock

[mysqld]
skip-name-resolve
skip-host-cache
bind-address = 0.0.0.0
datadir = /var/lib/mysql
pid-file = /run/mysqld/mysqld.pid
character-set-server = utf8mb4

!includedir /etc/mysql/conf.d/
"""

_MARIADB = HostImage(
    names=("mariadb", "bitnami/mariadb"),
    command=("mariadbd",),
    entry=f"{_ENTRIES}.mariadb:main",
    programs=("mariadbd", "mariadb", "mariadb-install-db"),
    package="mariadb-server-core mariadb-client-core",
    writable=("/var/lib/mysql", "/etc/mysql/conf.d", "/docker-entrypoint-initdb.d"),
    files={
        "/etc/mysql/my.cnf": _MY_CNF,
        "/etc/passwd": users("mysql:999:/home/mysql"),
        "/etc/group": groups("mysql:999"),
        "/usr/local/bin/healthcheck.sh": (f'#!/bin/sh\nexec @PYTHON@ -m {_ENTRIES} {_ENTRIES}.health:main "$@"\n'),
    },
)
_MYSQL = dataclasses.replace(_MARIADB, names=("mysql",), command=("mysqld",))
"""No distribution of Debian brings Oracle's server: MariaDB stands in, as Debian's default-mysql-server."""

_POSTGRES = ":".join(f"/usr/lib/postgresql/{version}/bin" for version in range(18, 12, -1))

DATABASES = (
    _MARIADB,
    _MYSQL,
    HostImage(
        names=("postgres",),
        command=("postgres",),
        entry=f"{_ENTRIES}.postgres:main",
        programs=("/usr/lib/postgresql/*/bin/postgres", "/usr/lib/postgresql/*/bin/psql"),
        package="postgresql",
        env={
            "PGDATA": "/var/lib/postgresql/data",
            "LANG": "C.UTF-8",
            "PATH": f"/usr/local/sbin:/usr/local/bin:{_POSTGRES}:/usr/sbin:/usr/bin:/sbin:/bin",
        },
        stop_signal=signal.SIGINT,
        writable=("/var/lib/postgresql", "/run/postgresql", "/docker-entrypoint-initdb.d"),
        files={
            "/etc/passwd": users("postgres:999:/var/lib/postgresql"),
            "/etc/group": groups("postgres:999"),
        },
    ),
    HostImage(
        names=("redis",),
        command=("redis-server",),
        entry=f"{_ENTRIES}.defaults:redis",
        programs=("redis-server",),
        package="redis-server",
        working_dir="/data",
    ),
    HostImage(
        names=("memcached",),
        command=("memcached",),
        entry=f"{_ENTRIES}.defaults:memcached",
        programs=("memcached",),
        package="memcached",
    ),
)
