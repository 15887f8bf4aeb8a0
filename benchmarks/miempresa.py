"""`make bench-miempresa`: the real WordPress' pages through the whole path, beside the same PHP asked directly.

The whole path is MenchuPC, load balancer, NodePort, NGINX, Service, pod; directly is a node that asks the same pods by
their addresses. In turns, with the same clients, page and pods. Before that: the time from `panal up` to the first
page, and then what the cluster's own processes weigh (PSS) with everything running. Programs must be there already.

    python benchmarks/miempresa.py [--rounds 3] [--seconds 6] [--clients 4]
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from panal.command.running import home, paths_of

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT / "examples" / "miempresa" / "real"
SITE = "web1.miempresa.com"
TITLE = "Buenos"
LOAD = """
import http.client, json, sys, threading, time
targets, path, host, clients, seconds = json.loads(sys.argv[1])
end, lock, counted = time.time() + seconds, threading.Lock(), [0, 0]
def ask(number):
    name, port = targets[number % len(targets)]
    connection, pages, wrong = http.client.HTTPConnection(name, port, timeout=30), 0, 0
    while time.time() < end:
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            good = answer.status == 200 and b"TITLE" in answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            good = False
        pages, wrong = pages + good, wrong + (not good)
    with lock:
        counted[0] += pages
        counted[1] += wrong
began = time.time()
threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps([counted[0] / (time.time() - began), counted[1]]))
""".replace("TITLE", TITLE)


def _demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("real_demo", REAL / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def weight(name: str) -> tuple[float, int, float]:
    """MiB of PSS of the cluster's own processes, how many they are, and MiB of the applications'."""
    steward = psutil.Process(int((paths_of(name, os.environ).root / "steward.pid").read_text()))
    keeper = steward.parent()
    assert keeper is not None
    own = count = others = 0
    for process in [keeper, *keeper.children(recursive=True)]:
        try:
            with open(f"/proc/{process.pid}/smaps_rollup") as file:
                pss = next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
            if Path(process.exe()).name.startswith("python"):
                own, count = own + pss, count + 1
            else:
                others += pss
        except (OSError, psutil.Error):
            continue
    return own / 1024, count, others / 1024


def pages(demo: ModuleType, host: str, targets: list[tuple[str, int]], path: str, options: argparse.Namespace) -> float:
    """Pages a second that clients on a host of the LAN get. Raises SystemExit when one goes wrong."""
    asked = json.dumps([targets, path, SITE, options.clients, options.seconds])
    command = [*demo.PANAL, "shell", "--name", demo.NAME, host, "--", sys.executable, "-c", LOAD, asked]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=options.seconds + 60)
    rate, wrong = json.loads(done.stdout)
    if wrong:
        raise SystemExit(f"{wrong} pages went wrong, asked from {host} of {targets}")
    return float(rate)


def run(demo: ModuleType, options: argparse.Namespace) -> None:
    began = time.monotonic()
    command = [*demo.PANAL, "up", "--name", demo.NAME, "--config", str(REAL / "cluster.yaml"), "--network", "netns"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    up = time.monotonic() - began
    data = home(os.environ) / "miempresa-real"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    first: list[float] = []

    def said(text: str) -> None:
        if text.startswith("The first page came"):
            first.append(time.monotonic() - began)

    demo.say = said
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.write_text(demo.run([*demo.PANAL, "kubeconfig", "--name", demo.NAME], shown=[], quiet=True))
        company: Any = demo.Company(kubeconfig, data)
        demo.bring_up(company)
        own, count, others = weight(demo.NAME)
        path = company.post.removeprefix(f"http://{SITE}")
        pods = [(pod["status"]["podIP"], 80) for pod in company.pods("wp").values()]
        whole, direct = [], []
        for number in range(options.rounds + 1):
            rates = pages(demo, "menchupc", [(SITE, 80)], path, options), pages(demo, "nodoa", pods, path, options)
            if number:  # the first warms PHP up
                whole.append(rates[0])
                direct.append(rates[1])
    print(f"\nfrom `panal up` to the first page   {first[0]:7.1f} s   of it the cluster {up:.2f} s, target 2 s")
    print(f"PSS of the cluster's {count} processes   {own:7.0f} MiB target 350; the applications' own: {others:.0f}")
    print(f"\npages/s, {options.clients} clients, {options.rounds} rounds of {options.seconds} s    median")
    print(f"through the whole path            {statistics.median(whole):7.1f}   {_list(whole)}")
    print(f"the same pods asked directly      {statistics.median(direct):7.1f}   {_list(direct)}")
    print(f"ratio of the medians              {statistics.median(whole) / statistics.median(direct):7.2f}")


def _list(rates: list[float]) -> str:
    return ", ".join(f"{rate:.1f}" for rate in rates)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args()
    today = datetime.date.today().isoformat()
    machine = f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    print(f"{today}, {machine}, uid {os.geteuid()}, load average {os.getloadavg()[0]:.1f} before")
    demo = _demo()
    demo.install_programs()
    with tempfile.TemporaryDirectory(prefix="panal-bench-") as folder:
        os.environ["PANAL_HOME"] = folder
        os.environ["KUBECONFIG"] = str(Path(folder) / "config")
        try:
            run(demo, options)
        finally:
            subprocess.run([*demo.PANAL, "down", "--name", demo.NAME], check=False, stdout=subprocess.DEVNULL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
