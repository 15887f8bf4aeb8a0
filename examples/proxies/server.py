"""A web server that tells whom it sees: ADDRESS and PORT are its arguments."""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Mirror(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        names = ("Host", "X-Forwarded-For", "Via")
        heard = "".join(f"  {name}: {self.headers[name]}\n" for name in names if self.headers[name])
        page = f"{os.uname().nodename} sees {self.client_address[0]}\n{heard}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        return


ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Mirror).serve_forever()
