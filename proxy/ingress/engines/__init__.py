"""Other programs as the ingress: real proxies whose configuration is written from the RouteTable."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..routes import Complaint
    from .contract import Engine, Secret
    from .running import Runner

OWN = "panal"
NAMES = (OWN, "nginx", "haproxy", "httpd", "caddy")


def prepare(options: argparse.Namespace) -> None:
    """Write what the engine starts with, before there is any route. Raises OSError."""
    runner(options, lambda _: None, lambda _: None).prepare()


def runner(options: argparse.Namespace, secret: Secret, complain: Callable[[Iterable[Complaint]], None]) -> Runner:
    """As the program's options say."""
    from .contract import Ports
    from .running import Runner

    ports = Ports(options.http_port, options.https_port, options.status_port)
    return Runner(_engine(options.engine), options.engine_folder, ports, secret, complain)


def _engine(name: str) -> Engine:
    import datetime

    from ..tls import fake_certificate
    from .caddy import Caddy
    from .haproxy import HAProxy
    from .httpd import Httpd
    from .nginx import Nginx

    fake = fake_certificate(datetime.datetime.now(datetime.UTC))
    engines: dict[str, Callable[[tuple[bytes, bytes]], Engine]] = {
        "nginx": Nginx, "haproxy": HAProxy, "httpd": Httpd, "caddy": Caddy,
    }  # fmt: skip
    return engines[name](fake)
