"""A database, as far as probes see one: slow to start, open to its administrator first, to ordinary users when it may.

`app.py` is the server; `app.py ask USER COMMAND` beside it asks one thing and ends with 0 when the answer is OK.
"""

import os
import signal
import socketserver
import sys
import threading
import time

ADDRESS = (os.environ["POD_IP"], 3306)
restoring_until = 0.0


def reply(user, command):
    global restoring_until
    left = restoring_until - time.monotonic()
    if user != "admin" and left > 0:
        return f"ERROR a backup is being restored, {left:.0f} s to go"
    if command.startswith("restore ") and user == "admin":
        restoring_until = time.monotonic() + float(command.removeprefix("restore "))
        print("restoring a backup: administrators only", flush=True)
    return "OK"


class Session(socketserver.StreamRequestHandler):
    def handle(self):
        user, _, command = self.rfile.readline(1024).decode().strip().partition(" ")
        self.wfile.write(f"{reply(user, command)}\n".encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def ask(user, command):
    import socket

    with socket.create_connection(ADDRESS, timeout=5) as connection:
        connection.sendall(f"{user} {command}\n".encode())
        answer = connection.makefile().readline().strip()
    print(answer)
    return 0 if answer == "OK" else 1


def serve():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    seconds = float(os.environ["START_SECONDS"])
    print(f"recovering the tables, for {seconds:g} s", flush=True)
    time.sleep(seconds)
    with Server(ADDRESS, Session) as server:
        print("ready for connections", flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        signal.pause()


if sys.argv[1:2] == ["ask"]:
    try:
        sys.exit(ask(sys.argv[2], " ".join(sys.argv[3:])))
    except OSError as error:
        sys.exit(f"ERROR {error}")
serve()
