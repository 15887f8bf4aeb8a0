"""Requests without end, told as one line of JSON: how many there were, and what went wrong. Run on a host of the LAN.

load.py SECONDS THREADS ADDRESS HOST[,HOST]: half of the threads keep their connections.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time


def ask(address: str, host: str, keep: bool, until: float, told: list[str]) -> None:
    connection = http.client.HTTPConnection(address, timeout=10)
    while time.monotonic() < until:
        try:
            connection.request("GET", "/", headers={"Host": host, "Connection": "keep-alive" if keep else "close"})
            answer = connection.getresponse()
            body = answer.read()
            told.append("ok" if answer.status == 200 and body else f"{answer.status} {body[:80]!r}")
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            connection.close()  # a kept connection may end between two requests: then it is asked again, anew
            if not keep:
                told.append(repr(error))
        except (OSError, http.client.HTTPException) as error:
            told.append(repr(error))
            connection.close()
        if not keep:
            connection.close()


def main() -> None:
    seconds, threads, address, hosts = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4].split(",")
    told: list[str] = []
    until = time.monotonic() + seconds
    running = [
        threading.Thread(target=ask, args=(address, hosts[number % len(hosts)], number % 2 == 0, until, told))
        for number in range(threads)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    failed = [line for line in told if line != "ok"]
    sys.stdout.write(json.dumps({"requests": len(told), "failed": len(failed), "first": failed[:5]}) + "\n")


main()
