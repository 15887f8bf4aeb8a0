"""An application that takes long to start: it listens only after START_SECONDS, as a big Java application would."""

import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"status": "UP"}\n'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a pod's first process must ask for it
    seconds = float(os.environ["START_SECONDS"])
    print(f"loading everything there is, for {seconds:g} s", flush=True)
    time.sleep(seconds)
    server = ThreadingHTTPServer((os.environ.get("POD_IP", ""), 8080), Answers)
    print("started", flush=True)
    server.serve_forever()


main()
