"""What every component does first, done once in the process that they are forked from.

A TLS handshake and the exchange after it make OpenSSL and the interpreter fill tables, caches and specialised code:
about a MiB that each component would otherwise write into pages of its own. Both ends are in memory: no socket is
opened, and the key lives no longer than this.
"""

from __future__ import annotations

import contextlib
import datetime
import ssl
import tempfile
from pathlib import Path

from panal.http1 import Framing
from panal.pki import Authority, Pair

_REQUEST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n"
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\n\r\n"
)
_CONNECTIONS = 4
"""Enough for the interpreter to specialise what runs."""


def warm_up() -> int:
    """Shake hands as client and server, ask and answer. Takes some 15 ms. Returns how many answers were whole."""
    now = datetime.datetime.now(datetime.UTC)
    authority = Authority.create("warm-up", now)
    trusted = authority.certificate.decode()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asking = ssl.create_default_context(cadata=trusted)
    _identify(serving, authority.server("localhost", ["localhost"], now))
    _identify(asking, authority.client("a component", [], now))
    serving.verify_mode = ssl.CERT_OPTIONAL
    serving.load_verify_locations(cadata=trusted)
    return sum(_exchange(asking, serving) for _ in range(_CONNECTIONS))


def _identify(context: ssl.SSLContext, pair: Pair) -> None:
    with tempfile.TemporaryDirectory() as folder:  # 0700
        both = Path(folder) / "pair"
        both.write_bytes(pair.key + pair.certificate)
        context.load_cert_chain(both)


class _End:
    """One end of a connection whose bytes are carried by hand."""

    def __init__(self, context: ssl.SSLContext, server: bool) -> None:
        self.received, self.sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if server else "localhost"
        self.tls = context.wrap_bio(self.received, self.sent, server_side=server, server_hostname=name)

    def shake(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()


def _exchange(asking: ssl.SSLContext, serving: ssl.SSLContext) -> bool:
    client, server = _End(asking, server=False), _End(serving, server=True)
    for _ in range(3):
        client.shake()
        server.received.write(client.sent.read())
        server.shake()
        client.received.write(server.sent.read())
    client.tls.write(_REQUEST)
    server.received.write(client.sent.read())
    if server.tls.read(len(_REQUEST)) != _REQUEST:
        return False
    server.tls.write(_ANSWER)
    client.received.write(server.sent.read())
    answer = Framing()
    answer.feed(client.tls.read(len(_ANSWER)))
    return answer.complete and answer.status == 200
