"""Certificates of agnhost's servers: files that were given, or one of this process' own for localhost."""

from __future__ import annotations

import datetime
import ssl
import tempfile
from pathlib import Path

from .flags import Usage


def context(certificate: str, key: str) -> ssl.SSLContext | None:
    """How to serve with these files; None without a certificate, the image's own is made now. Raises Usage."""
    if not certificate:
        return None
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if Path(certificate).name == "localhost.crt" and not Path(certificate).exists():
        _load_own(found)
        return found
    try:
        found.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        raise Usage(f"Error: tls: {error}") from None
    return found


def _load_own(found: ssl.SSLContext) -> None:
    """A certificate for localhost that nobody has to trust: clients of tests don't check."""
    from panal.pki import Authority

    now = datetime.datetime.now(datetime.UTC)
    pair = Authority.create("agnhost", now).server("localhost", ["127.0.0.1", "localhost"], now)
    with tempfile.NamedTemporaryFile() as file:
        file.write(pair.certificate + pair.key)
        file.flush()
        found.load_cert_chain(file.name)
