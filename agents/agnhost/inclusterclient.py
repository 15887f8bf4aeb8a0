"""`inclusterclient`: asks the API server as a pod does, and logs a hash of its token, so that a rotation shows."""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from panal.addresses import real_port

from .flags import number, parse

_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_ANSWER_SECONDS = 10.0


def main(argv: list[str]) -> int:
    values, _ = parse(argv, {"poll-interval": "30"})
    interval = number(values, "poll-interval")
    folder = Path(os.environ.get("PANAL_ROOT", "") + str(_FOLDER))
    _log("started")
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port or not (folder / "token").exists():
        _log("err: unable to load in-cluster configuration")
        return 1
    while True:
        time.sleep(interval)
        _log("calling /healthz")
        _ask(f"https://{host}:{real_port(int(port))}/healthz", folder)


def _ask(url: str, folder: Path) -> None:
    """The token is read anew each time: the kubelet exchanges it."""
    try:
        header = f"Bearer {(folder / 'token').read_text().strip()}"
        _log(f"authz_header={_digest(header)}")
        request = urllib.request.Request(url, headers={"Authorization": header})
        context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS, context=context) as answer:
            answer.read(4096)
    except (OSError, ValueError, urllib.error.URLError) as error:
        _log("status=failed")
        _log(f"error checking /healthz: {error}")


def _digest(header: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(f"salt|{header}".encode()).digest()).decode().rstrip("=")


def _log(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y/%m/%d %H:%M:%S')} {text}\n")
    sys.stderr.flush()
