"""One TCP connection's rate from a pod to a pod on another machine, beside HAProxy originating and terminating TLS.

Both between the same two network namespaces (tests/machines/lab.py), for a few seconds each, one after the other, with
the same sender and receiver. HAProxy carries a connection's bytes, the relay whole packets between pods' own stacks.

    python benchmarks/relay.py
    python benchmarks/relay.py --vxlan    (as root; the same pods over VXLAN, not encrypted, are measured too)
"""

from __future__ import annotations

import datetime
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "machines"), str(ROOT / "tests" / "cluster")]

SECONDS, PORT = 4, 9000
PROGRAM = f"""
import socket, sys, time
if sys.argv[1] == "receive":
    connection, _ = socket.create_server(("", {PORT})).accept()
    size, began = 0, time.time()
    while data := connection.recv(1 << 20):
        size += len(data)
    print("rate", size / (time.time() - began) / 1e6)
else:
    for attempt in range(100):
        try:
            connection = socket.create_connection((sys.argv[2], int(sys.argv[3])))
            break
        except OSError:
            time.sleep(0.1)
    end, data = time.time() + {SECONDS}, bytes(1 << 18)
    while time.time() < end:
        connection.sendall(data)
"""


def rate(receive: list[str], send: list[str]) -> float:
    """MB/s from one to the other."""
    receiver = subprocess.Popen(receive, stdout=subprocess.PIPE, text=True)
    time.sleep(1.5)
    subprocess.run(send, check=True, timeout=60)
    told, _ = receiver.communicate(timeout=30)
    return float(re.findall(r"rate (\S+)", told)[0])


def relayed(company: object) -> float:
    from lab import Company

    assert isinstance(company, Company)
    address = company.cluster.get("pod", "far")["status"]["podIP"]
    environ = company.office.env()

    def in_pod(pod: str, *words: str) -> list[str]:
        inner = ["kubectl", "--context", "panal-near", "exec", "-i", pod, "--", "python3", "-u", "-c", PROGRAM, *words]
        return ["env", *(f"{key}={value}" for key, value in environ.items()), *company.office.command(inner)]

    return rate(in_pod("far", "receive"), in_pod("near", "send", address, str(PORT)))


CONFIG = """
global
    maxconn 100
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen relay
    bind {bind}
    server next {server}
"""


def haproxy(company: object, folder: Path) -> float:
    from lab import Company

    from panal.pki import Authority

    assert isinstance(company, Company)
    pair = Authority.create("bench", now := datetime.datetime.now(datetime.UTC)).server("far", ["far"], now)
    pem = folder / "far.pem"
    pem.write_bytes(pair.certificate + pair.key)
    far, near = company.laptop, company.office
    texts = (
        (far, CONFIG.format(bind=f"{far.address}:9100 ssl crt {pem}", server=f"127.0.0.1:{PORT}")),
        (near, CONFIG.format(bind="127.0.0.1:9101", server=f"{far.address}:9100 ssl verify none")),
    )
    running = []
    for machine, text in texts:
        file = folder / f"{machine.name}.cfg"
        file.write_text(text)
        running.append(subprocess.Popen([*machine.lab.enter(machine.holder), "haproxy", "-q", "-db", "-f", str(file)]))
    try:
        python = [sys.executable, "-u", "-c", PROGRAM]
        return rate(
            [*far.lab.enter(far.holder), *python, "receive"],
            [*near.lab.enter(near.holder), *python, "send", "127.0.0.1", "9101"],
        )
    finally:
        for process in running:
            process.kill()
            process.wait()


def main() -> None:
    import tempfile

    from lab import a_company

    with a_company() as company, tempfile.TemporaryDirectory() as folder:
        print(f"{datetime.date.today()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} before")
        ours, theirs = [], []
        for _ in range(3):
            ours.append(relayed(company))
            theirs.append(haproxy(company, Path(folder)))
        for name, rates in (("relay, pod to pod", ours), ("HAProxy, TLS between two", theirs)):
            print(f"{name:<26} {statistics.median(rates):6.0f} MB/s   {', '.join(f'{each:.0f}' for each in rates)}")
        ratio = statistics.median(ours) / statistics.median(theirs)
        print(f"{'ratio of the medians':<26} {ratio:6.2f}        target 0.5")
    if "--vxlan" in sys.argv[1:]:
        with a_company(root=True, up=["--vxlan"]) as company:
            log = company.laptop.home / "panal" / "clusters" / "far" / "logs" / "relay.log"
            while "192.168.0.100 is reached directly" not in log.read_text():
                time.sleep(0.5)
            rates = [relayed(company) for _ in range(3)]
            told = ", ".join(f"{each:.0f}" for each in rates)
            print(f"{'VXLAN, pod to pod':<26} {statistics.median(rates):6.0f} MB/s   {told}")


if __name__ == "__main__":
    main()
