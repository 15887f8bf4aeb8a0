"""`make demo`: brings the company of the picture up, and shows one request crossing all of it.

Everything shown is what a user would type; kubectl is used where the machine has it, Panal's own client where not.
With --down the cluster ends at the end, otherwise it stays for whoever wants to look around.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME = "miempresa"
HOST = "web1.miempresa.com"
LOAD_BALANCER = "192.168.0.10"
PANAL = [sys.executable, "-m", "panal.command"]
READY_SECONDS = 60.0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def title(text: str) -> None:
    say(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}")


def run(command: list[str], *, shown: list[str] | None = None, check: bool = True) -> str:
    """Run a command as the user would type it (`shown`), and show it with its output."""
    say(f"$ {shlex.join(shown or command)}")
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL
    )
    say(done.stdout.rstrip("\n"))
    if check and done.returncode:
        raise SystemExit(f"demo: that command failed with exit code {done.returncode}")
    return done.stdout


def panal(*arguments: str, check: bool = True) -> str:
    return run([*PANAL, *arguments], shown=["panal", *arguments], check=check)


class Cluster:
    """The cluster's API, through kubectl where there is one."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.kubectl = shutil.which("kubectl")

    def apply(self) -> None:
        folder = HERE / "manifests"
        if self.kubectl:
            self._kubectl("apply", "-f", os.path.relpath(folder))
        else:
            say("(kubectl is not installed here: Panal's own client applies the manifests)")
            asyncio.run(self._apply_all(sorted(folder.glob("*.yaml"))))

    def show(self) -> None:
        if self.kubectl:
            self._kubectl("get", "nodes", "-o", "wide")
            self._kubectl("get", "pods", "-A", "-o", "wide")
            self._kubectl("get", "services,ingresses", "-A")
        else:
            panal("status", "--name", NAME)

    def wait(self) -> None:
        """Until the page answers through the machine's own port; the cluster's parts come up in any order."""
        if self.kubectl:
            self._kubectl("rollout", "status", "deployment/mariadb", "deployment/wp", f"--timeout={READY_SECONDS:.0f}s")
            self._kubectl("rollout", "status", "deployment/ingress", "-n", "ingress", f"--timeout={READY_SECONDS:.0f}s")

    def _kubectl(self, *arguments: str) -> None:
        assert self.kubectl
        run([self.kubectl, "--kubeconfig", str(self.kubeconfig), *arguments], shown=["kubectl", *arguments])

    async def _apply_all(self, files: list[Path]) -> None:
        import yaml

        from panal.client import Client
        from panal.resources import by_kind

        async with Client.from_kubeconfig(self.kubeconfig, user_agent="panal-demo") as client:
            for file in files:
                for obj in yaml.safe_load_all(file.read_text()):
                    resource = by_kind(obj["apiVersion"], obj["kind"])
                    assert resource is not None, obj["kind"]
                    if resource.namespaced:
                        obj["metadata"].setdefault("namespace", "default")
                    await client.apply(resource, obj, manager="demo")
                    say(f"{resource.singular}/{obj['metadata']['name']} applied")


def fetch(url: str, host: str) -> str:
    request = urllib.request.Request(url, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return str(response.read().decode()).strip()
    except urllib.error.HTTPError as error:
        return f"{error.code}: {error.read().decode(errors='replace').strip()}"
    except OSError as error:
        return f"no answer: {error}"


def until_answered(url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not (answer := fetch(url, HOST)).startswith("Visit"):
        if time.monotonic() > deadline:
            raise SystemExit(f"demo: {url} did not answer in {READY_SECONDS:.0f} s; the last answer was: {answer}")
        time.sleep(0.05)


def machine_url() -> str:
    """The load balancer's port on this machine, as `panal status` names it."""
    status = subprocess.run([*PANAL, "status", "--name", NAME], capture_output=True, text=True, check=True).stdout
    match = re.search(r"http://127\.0\.0\.1:\d+", status)
    if match is None:
        raise SystemExit("demo: `panal status` names no port of this machine")
    return match.group()


def in_loopback() -> bool:
    status = subprocess.run([*PANAL, "status", "--name", NAME], capture_output=True, text=True, check=True).stdout
    return "network loopback" in status


def fetch_from_menchupc() -> None:
    """Six times, by name; by the load balancer's address where MenchuPC has no resolver of its own."""
    url, header = f"http://{HOST}/", ""
    if in_loopback():
        from panal.addresses import LOW_PORT_SHIFT, localize, low_ports_bindable

        port = 80 if low_ports_bindable() else 80 + LOW_PORT_SHIFT
        url, header = f"http://{localize(LOAD_BALANCER)}:{port}/", HOST
        say("(in the loopback network MenchuPC is this machine, whose resolver stays as it is: by address, then)")
    if shutil.which("curl"):
        get = f"curl -s -H 'Host: {header}' {url}" if header else f"curl -s {url}"
    else:
        headers = {"Host": header} if header else {}
        program = (
            f"import urllib.request as u; r = u.Request({url!r}, headers={headers!r}); "
            "print(u.urlopen(r, timeout=5).read().decode(), end='')"
        )
        get = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"
    answers = panal("shell", "--name", NAME, "menchupc", "--", "sh", "-c", f"for i in 1 2 3 4 5 6; do {get}; done")
    replicas = set(re.findall(r"wp-[a-z0-9-]+", answers))
    say(f"({len(replicas)} replicas have answered)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="auto", choices=["auto", "netns", "loopback"])
    parser.add_argument("--proxy-mode", default="auto", choices=["auto", "netfilter", "userspace"])
    parser.add_argument("--down", action="store_true", help="end the cluster at the end")
    options = parser.parse_args()

    title("1. The cluster of the picture: four nodes, a load balancer, a DNS server, MenchuPC")
    configuration = os.path.relpath(HERE / "cluster.yaml")
    panal(
        "up",
        "--name",
        NAME,
        "--config",
        configuration,
        "--network",
        options.network,
        "--proxy-mode",
        options.proxy_mode,
    )
    kubeconfig = subprocess.run(
        [*PANAL, "kubeconfig", "--name", NAME], capture_output=True, text=True, check=True
    ).stdout
    home = Path(os.environ.get("TMPDIR", "/tmp")) / f"panal-demo-{os.getpid()}.conf"
    home.touch(mode=0o600)
    home.write_text(kubeconfig)
    try:
        cluster = Cluster(home)
        title("2. The database, the web application, the ingress controller")
        cluster.apply()
        cluster.wait()
        url = machine_url()
        until_answered(url)
        cluster.show()
    finally:
        home.unlink()
    title("3. The forwarding rules of a node")
    panal("rules", "--name", NAME, "nodoa")
    title(f"4. MenchuPC asks for http://{HOST}")
    fetch_from_menchupc()
    title("5. The same from this machine")
    for _ in range(3):
        say(f"$ curl -H 'Host: {HOST}' {url}")
        say(fetch(url, HOST))
    title("What to try next")
    if options.down:
        panal("down", "--name", NAME)
        return 0
    say(
        "  kubectl get pods -o wide -w                    watch, and in another terminal:\n"
        "  kubectl delete pod -l app=wp                   kill the replicas: new ones come, the Service follows\n"
        "  kubectl scale deployment wp --replicas=5       more of them: see `panal rules --name miempresa nodoa`\n"
        "  panal shell --name miempresa menchupc          a shell on MenchuPC\n"
        "  panal logs --name miempresa lb                 what the load balancer says\n"
        "  make demo-down                                 end it all"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
