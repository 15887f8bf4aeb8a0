"""A shop that can be put into maintenance: it lives on, says so, and wants no customers meanwhile.

`app.py maintenance on` (or `off`) beside it tells it to.
"""

import json
import os
import signal
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ADDRESS = (os.environ["POD_IP"], 8080)
status = "UP"


class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        well = self.path != "/health/ready" or status == "UP"
        self.answer(200 if well else 503, {"status": status})

    def do_PUT(self):
        global status
        status = "MAINTENANCE" if self.path == "/maintenance/on" else "UP"
        print(json.dumps({"status": status}), flush=True)
        self.answer(200, {"status": status})

    def answer(self, code, document):
        body = json.dumps(document).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    if sys.argv[1:2] == ["maintenance"]:
        url = f"http://{ADDRESS[0]}:{ADDRESS[1]}/maintenance/{sys.argv[2]}"
        with urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=5) as response:
            print(response.read().decode(), end="")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    ThreadingHTTPServer(ADDRESS, Shop).serve_forever()


main()
