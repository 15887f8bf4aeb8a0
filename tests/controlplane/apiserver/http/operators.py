"""A webhook server of a test's own: it is asked reviews, and answers as the test says."""

from __future__ import annotations

import base64
import datetime
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson

from .conftest import ApiServer


@dataclass
class Operator:
    """What it answers by path, and what it was asked."""

    port: int = 0
    bundle: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    """Of admission: what the response says beyond allowing."""
    convert: Callable[[dict[str, Any]], Any] = lambda request: {}
    """Makes the whole answer to a conversion review's request, or the HTTP status of a failure."""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def client(self, path: str) -> dict[str, str]:
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": self.bundle}

    def answer(self, path: str, review: dict[str, Any]) -> Any:
        request = review["request"]
        self.asked.append((path, request))
        if review["kind"] == "ConversionReview":
            return self.convert(request)
        response = {"uid": request["uid"], "allowed": True, **self.answers.get(path, {})}
        return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


@contextmanager
def operating(server: ApiServer, folder: Path) -> Iterator[Operator]:
    """With a certificate of the server's authority, as 127.0.0.1 and as the Service hook in default."""
    found = Operator(bundle=base64.b64encode(server.authority.certificate).decode())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = found.answer(self.path.partition("?")[0], review)
            body = b"out of order" if isinstance(answer, int) else orjson.dumps(answer)
            self.send_response(answer if isinstance(answer, int) else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    pair = server.authority.server("hook", ["127.0.0.1", "hook.default.svc"], datetime.datetime.now(datetime.UTC))
    file = folder / "tls.pem"
    file.write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    found.port = listening.server_port
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    yield found
    listening.shutdown()
    thread.join()
    listening.server_close()
