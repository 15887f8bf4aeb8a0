"""A server that works as a Java application server does: one thread accepts, a pool of four does the work.

GET /stick makes its worker wait for ever, as one does that asks a database which never answers. After four of them the
process is as alive as before, takes every connection, and answers nobody.
"""

import os
import queue
import signal
import socket
import sys
import threading

WORKERS = 4
waiting = queue.Queue()


def answer(connection):
    request = connection.recv(4096).decode("latin-1")
    path = [*request.split(" "), "", ""][1]
    if path == "/stick":
        print(f"{threading.current_thread().name} waits for a database that never answers", flush=True)
        threading.Event().wait()
    body = b'{"status": "UP"}\n'
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def work():
    while True:
        connection = waiting.get()
        try:
            answer(connection)
        except OSError:
            pass
        finally:
            connection.close()


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    if sys.argv[1:] == ["stick"]:
        for _ in range(WORKERS):
            connection = socket.create_connection((os.environ["POD_IP"], 8080))
            connection.sendall(b"GET /stick HTTP/1.1\r\nHost: app\r\n\r\n")
        print(f"{WORKERS} requests are under way")
        return
    for number in range(WORKERS):
        threading.Thread(target=work, name=f"worker {number + 1}", daemon=True).start()
    server = socket.create_server((os.environ["POD_IP"], 8080), backlog=128)
    print(f"{WORKERS} workers", flush=True)
    while True:
        waiting.put(server.accept()[0])


main()
