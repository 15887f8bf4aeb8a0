"""One GET from an API server, by a kubeconfig of Panal's own: small, for commands that need no event loop."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import ssl
import tempfile
from typing import Any
from urllib.parse import urlsplit

SECONDS = 2.0


def answer_of(config: str | os.PathLike[str], path: str, seconds: float = SECONDS) -> dict[str, Any] | None:
    """What the API server answers, or None while it doesn't, or where the kubeconfig is none."""
    try:
        with open(config, "rb") as file:
            document = json.loads(file.read())
        user, server = document["users"][0]["user"], document["clusters"][0]["cluster"]
        context = ssl.create_default_context(cadata=base64.b64decode(server["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(config)) as pair:
            pair.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
            pair.flush()
            context.load_cert_chain(pair.name)
        address = urlsplit(server["server"])
        connection = http.client.HTTPSConnection(str(address.hostname), address.port, context=context, timeout=seconds)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = json.loads(connection.getresponse().read())
            return answer if isinstance(answer, dict) else None
    except (OSError, ValueError, KeyError, IndexError, TypeError, http.client.HTTPException):
        return None
