"""Requests without end, told as one line of JSON: how many there were, and what went wrong. Run on a host of the LAN.

load.py SECONDS THREADS ADDRESS HOST[,HOST]: half of the threads keep their connections. `outage`: the seconds from the
first failed request to the last.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time


def ask(address: str, host: str, keep: bool, until: float, told: list[str], when: list[float]) -> None:
    connection = http.client.HTTPConnection(address, timeout=10)
    while time.monotonic() < until:
        try:
            connection.request("GET", "/", headers={"Host": host, "Connection": "keep-alive" if keep else "close"})
            answer = connection.getresponse()
            body = answer.read()
            said = "ok" if answer.status == 200 and body else f"{answer.status} {body[:80]!r}"
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            connection.close()  # a kept connection may end between two requests: then it is asked again, anew
            said = "" if keep else repr(error)
        except (OSError, http.client.HTTPException) as error:
            said = repr(error)
            connection.close()
        told += [said] if said else []
        if said and said != "ok":
            when.append(time.monotonic())
            time.sleep(0.02)  # while nobody answers, failures are counted as a patient client has them
        if not keep:
            connection.close()


def main() -> None:
    seconds, threads, address, hosts = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4].split(",")
    told: list[str] = []
    when: list[float] = []
    until = time.monotonic() + seconds
    running = [
        threading.Thread(target=ask, args=(address, hosts[number % len(hosts)], number % 2 == 0, until, told, when))
        for number in range(threads)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    failed = [line for line in told if line != "ok"]
    outage = max(when) - min(when) if when else 0.0
    about = {"requests": len(told), "failed": len(failed), "first": failed[:5], "outage": round(outage, 2)}
    sys.stdout.write(json.dumps(about) + "\n")


main()
