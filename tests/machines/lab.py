"""Machines as network namespaces on one switch: each has an address, and a user with a home of their own.

Works as root and as an ordinary user (then all machines lie in one user namespace). A machine's cable can be pulled,
made slow or lossy (tc-netem(8)), and its address changed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import ORDINARY_UID, Cluster, User, Variant, until


def _hold(*command: str) -> subprocess.Popen[bytes]:
    """A process that keeps a network namespace; it has entered it when it says so."""
    found = subprocess.Popen(
        [*command, "sh", "-c", "echo in; exec sleep 1000"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert found.stdout is not None
    assert found.stdout.readline() == b"in\n"
    return found


@dataclass
class Lab:
    """The switch, and what is plugged into it."""

    switch: subprocess.Popen[bytes]
    holders: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def enter(self, holder: subprocess.Popen[bytes]) -> list[str]:
        user = ["-U", "--preserve-credentials"] if os.geteuid() else []
        return ["nsenter", "-t", str(holder.pid), *user, "-n", "--"]

    def run(self, holder: subprocess.Popen[bytes], *command: str) -> None:
        done = subprocess.run([*self.enter(holder), *command], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, (command, done.stderr)

    def machine(self, name: str, address: str, home: Path, *, root: bool = False) -> Machine:
        holder = _hold(*self.enter(self.switch), "unshare", "-n")
        self.holders.append(holder)
        self.run(
            self.switch, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid)
        )
        self.run(self.switch, "ip", "link", "set", name, "master", "switch", "up")
        for device in ("lo", "eth0"):
            self.run(holder, "ip", "link", "set", device, "up")
        self.run(holder, "ip", "route", "add", "224.0.0.0/4", "dev", "eth0")
        self.run(holder, "ip", "address", "add", f"{address}/24", "dev", "eth0")
        uid = 0 if root else os.geteuid() or ORDINARY_UID
        home.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(home, uid, uid)
        return Machine(uid, home, {}, self, holder, name, address)

    def behind_nat(self, name: str, address: str, home: Path) -> Machine:
        """A machine whose router has this address, and lets nobody in: others see the router only."""
        router = self.machine(f"{name}-r", address, home.with_name(f"{name}-router"))
        hidden = _hold(*self.enter(self.switch), "unshare", "-n")
        self.holders.append(hidden)
        peer = ["type", "veth", "peer", "name", "eth0", "netns", str(hidden.pid)]
        self.run(router.holder, "ip", "link", "add", "inner", *peer)
        self.run(router.holder, "ip", "address", "add", "172.30.0.1/24", "dev", "inner")
        self.run(router.holder, "ip", "link", "set", "inner", "up")
        self.run(router.holder, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        rules = "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }"
        self.run(router.holder, "nft", f"{rules}; add rule ip nat out oifname eth0 masquerade")
        for device in ("lo", "eth0"):
            self.run(hidden, "ip", "link", "set", device, "up")
        self.run(hidden, "ip", "address", "add", "172.30.0.2/24", "dev", "eth0")
        self.run(hidden, "ip", "route", "add", "default", "via", "172.30.0.1")
        home.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(home, router.uid, router.uid)
        return Machine(router.uid, home, {}, self, hidden, name, "172.30.0.2")


@dataclass
class Machine(User):
    """Somebody at one of the machines, an ordinary user if the tests may be anybody."""

    lab: Lab = None  # type: ignore[assignment]
    holder: subprocess.Popen[bytes] = None  # type: ignore[assignment]
    name: str = ""
    address: str = ""

    def command(self, words: Sequence[str]) -> list[str]:
        return [*self.lab.enter(self.holder), *super().command(words)]

    def pull_cable(self) -> None:
        self.lab.run(self.lab.switch, "ip", "link", "set", self.name, "down")

    def plug_cable(self) -> None:
        self.lab.run(self.lab.switch, "ip", "link", "set", self.name, "up")

    def move(self, address: str) -> None:
        """The machine gets another address."""
        self.lab.run(self.holder, "ip", "address", "flush", "dev", "eth0", "scope", "global")
        self.lab.run(self.holder, "ip", "address", "add", f"{address}/24", "dev", "eth0")
        self.address = address

    def disturb(self, delay: str, loss: int) -> None:
        """Make the way slow and lossy; a kernel without netem only drops (percent)."""
        netem = ["tc", "qdisc", "replace", "dev", self.name, "root", "netem", "delay", delay, "loss", f"{loss}%"]
        done = subprocess.run([*self.lab.enter(self.lab.switch), *netem], capture_output=True, timeout=20)
        if done.returncode:
            self.lab.run(self.holder, "nft", "add table ip noise")
            self.lab.run(self.holder, "nft", "add chain ip noise in { type filter hook input priority 0; }")
            self.lab.run(self.holder, "nft", f"add rule ip noise in numgen random mod 100 < {loss} drop")

    def calm(self) -> None:
        """Undo it."""
        for words in (
            [*self.lab.enter(self.lab.switch), "tc", "qdisc", "del", "dev", self.name, "root"],
            [*self.lab.enter(self.holder), "nft", "delete table ip noise"],
        ):
            subprocess.run(words, capture_output=True, timeout=20)


@contextlib.contextmanager
def a_lab() -> Iterator[Lab]:
    lab = Lab(_hold("unshare", *(["-Ur"] if os.geteuid() else []), "-n"))
    try:
        lab.run(lab.switch, "ip", "link", "add", "switch", "type", "bridge")
        lab.run(lab.switch, "ip", "link", "set", "switch", "up")
        yield lab
    finally:
        for holder in (*lab.holders, lab.switch):
            holder.kill()
            holder.wait()
            assert holder.stdout is not None
            holder.stdout.close()


@dataclass
class Company:
    """A cluster on the machine `office`, which the machine `laptop` has joined as a node of that name."""

    office: Machine
    laptop: Machine
    cluster: Cluster
    token: str
    pin: str

    def adds(self, machine: Machine, node: str) -> None:
        """Another machine joins."""
        machine.environ = {"PANAL_TOKEN": self.token}
        words = ["node", "join", self.office.address, f"--discovery-token-ca-cert-hash={self.pin}"]
        machine.panal(*words, "--node-name", node, "--name", node, timeout=90)

    def join(
        self, *arguments: str, token: str | None = None, pin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """`panal node join` on the laptop."""
        self.laptop.environ = {"PANAL_TOKEN": self.token if token is None else token}
        hashed = f"--discovery-token-ca-cert-hash={self.pin if pin is None else pin}"
        named = bool(arguments) and not arguments[0].startswith("-")
        where = [arguments[0]] if named else [self.office.address]
        rest = arguments[1:] if named else arguments
        where = [word for word in where if word]  # "" leaves it to mDNS
        words = ["node", "join", *where, hashed, "--node-name", "laptop", "--name", "far", *rest]
        return self.laptop.panal(*words, check=check, timeout=90)

    def fetch(self, pod: str, url: str) -> str:
        """What a pod gets from a URL."""
        program = f"import urllib.request as u; print(u.urlopen({url!r}, timeout=5).read().decode())"
        return self.cluster.kubectl("exec", pod, "--", "python3", "-c", program, timeout=30)

    def both_ways(self) -> None:
        """Pods, Services and names of either machine are reached from the other one."""
        address = {pod: self.cluster.get("pod", pod)["status"]["podIP"] for pod in ("near", "far")}
        assert self.fetch("near", f"http://{address['far']}:8000/who") == "far\n\n"
        assert self.fetch("far", f"http://{address['near']}:8000/who") == "near\n\n"
        assert self.fetch("near", "http://far/who") == "far\n\n"
        assert self.fetch("far", "http://near.default.svc.cluster.local/who") == "near\n\n"

    def is_ready(self) -> bool:
        conditions = self.cluster.get("node", "laptop")["status"]["conditions"]
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
    - name: web
      image: python
      command: [sh, -c, "mkdir /tmp/w && cd /tmp/w && echo {name} > who && exec python3 -m http.server 8000"]
      readinessProbe: {{httpGet: {{port: 8000, path: /who}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8000}}]}}
---
"""


@contextlib.contextmanager
def a_company(*, root: bool = False, up: Sequence[str] = ()) -> Iterator[Company]:
    """`up`: more for the command line of `panal up`."""
    with a_lab() as lab, tempfile.TemporaryDirectory(prefix="panal-machines-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        office = lab.machine("office", "10.99.0.1", Path(folder) / "office", root=root)
        laptop = lab.machine("laptop", "10.99.0.2", Path(folder) / "laptop", root=root)
        cluster = Cluster(office, Variant("ordinary", "netns", "netfilter"), "near")
        office.panal("up", "--name", "near", "--nodes", "1", "--listen", office.address, *up)
        try:
            line = office.panal("token", "create", "--name", "near")
            token, pin = (
                re.findall(r"--token (\S+)|(sha256:\S+)", line.stdout)[0][0],
                re.findall(r"sha256:\S+", line.stdout)[0],
            )
            company = Company(office, laptop, cluster, token, pin)
            company.join()
            try:
                cluster.apply(POD.format(name="near", node="nodo1") + POD.format(name="far", node="laptop"))
                cluster.kubectl("wait", "--for=condition=Ready", "pod/near", "pod/far", "--timeout=60s")
                yield company
            finally:
                laptop.panal("down", "--name", "far", check=False)
        finally:
            office.panal("down", "--name", "near", check=False)
            shutil.rmtree(office.home, ignore_errors=True)


__all__ = ["Company", "a_company", "until"]
