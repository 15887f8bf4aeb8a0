"""The one real connection: made on the host that the trace begins at, and kept while its way is asked for."""

from __future__ import annotations

import http.client
import ipaddress
import secrets
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .naming import Resolver, question, resolve
from .target import Target

SECONDS = 10.0
"""For each step."""
ANSWER_SECONDS = 1.0
"""For the answer to a datagram, which need not come."""
ASKED = "kubernetes.default.svc.cluster.local"
"""What a name server is asked, when it is traced itself."""
SHOWN = 2000
"""Bytes of the answer's body that are read and told."""


@dataclass
class Probe:
    """What `run` found out, and the sockets that must stay open."""

    target: Target
    resolver: Resolver
    request_id: str
    real_port: Callable[[int], int]
    found: dict[str, Any] = field(default_factory=dict)
    _held: list[Any] = field(default_factory=list)

    def run(self) -> dict[str, Any]:
        """Name, connection, TLS, answer; `error` says which step failed, and why."""
        self.found["started"] = time.monotonic()
        steps = {"name": self._name, "connection": self._connect, "TLS": self._secure, "answer": self._request}
        for name, step in steps.items():
            try:
                step()
            except (OSError, http.client.HTTPException, ValueError) as error:
                why = "timed out" if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or str(error)
                self.found["error"] = {"step": name, "why": why or type(error).__name__}
                break
        return self.found

    def _name(self) -> None:
        try:
            self._address = str(ipaddress.IPv4Address(self.target.host))
            return
        except ValueError:
            said = self.found["name"] = resolve(self.resolver, self.target.host)
        if not said["addresses"]:
            codes = dict.fromkeys(item["rcode"] for item in said["asked"])
            raise ValueError(f"{said['server']} says {', '.join(codes)}: {self.target.host} has no address")
        self._address = said["addresses"][0]

    def _connect(self) -> None:
        remote = self._address, self.real_port(self.target.port)
        started = time.monotonic()
        about: dict[str, Any] = {"remote": f"{remote[0]}:{remote[1]}", "started": started}
        self.found["connection"] = about
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect(remote)
            own = way.getsockname()[0]
        kind = socket.SOCK_DGRAM if self.target.scheme == "udp" else socket.SOCK_STREAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._held.append(self._socket)
        self._socket.settimeout(SECONDS)
        self._socket.bind((own, 0))  # known before, so that a refused connection can be traced too
        about["local"] = "{}:{}".format(*self._socket.getsockname())
        self._socket.connect(remote)
        if self.target.scheme == "udp":
            self._send_datagram(about, started)
        else:
            about["milliseconds"] = _since(started)

    def _send_datagram(self, about: dict[str, Any], started: float) -> None:
        """One: a question where it is a name server, some words elsewhere. That nobody answers is no failure."""
        about["protocol"] = "UDP"
        self._socket.send(question(ASKED, secrets.randbelow(1 << 16)) if self.target.port == 53 else b"panal-trace\n")
        self._socket.settimeout(ANSWER_SECONDS)
        try:
            about["answered"] = len(self._socket.recv(65536))
            about["milliseconds"] = _since(started)
        except TimeoutError:
            about["answered"] = None

    def _secure(self) -> None:
        if self.target.scheme != "https":
            return
        started = time.monotonic()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._socket = secured = context.wrap_socket(self._socket, server_hostname=self.target.host)
        self._held.append(secured)
        self.found["tls"] = {"version": secured.version(), "milliseconds": _since(started)}

    def _request(self) -> None:
        if self.target.scheme in ("tcp", "udp"):
            return
        started = time.monotonic()
        connection = http.client.HTTPConnection(self.target.host, self.target.port)
        connection.sock = self._socket
        self._held.append(connection)
        headers = {"Host": self.target.authority, "User-Agent": "panal-trace", "X-Request-ID": self.request_id}
        connection.request("GET", self.target.path, headers=headers)
        response = connection.getresponse()
        self._held.append(response)
        first = _since(started)
        text = response.read(SHOWN).decode("utf-8", "replace")
        self.found["answer"] = {
            "status": response.status,
            "reason": response.reason,
            "milliseconds": first,
            "text": text,
        }


def _since(started: float) -> float:
    return round(1e3 * (time.monotonic() - started), 2)
