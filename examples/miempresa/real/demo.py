"""`make demo-real`: the company of the picture with the real WordPress, MariaDB and NGINX, and the course's stories.

Everything shown is what a user would type. With --down the cluster ends at the end and its data is removed, otherwise
both stay. --stories chooses; without it all are played.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
NAME = "real"
SITE = "http://web1.miempresa.com"
PANAL = [sys.executable, "-m", "panal.command"]
NODES = {"nodo1": "192.168.0.100", "nodoa": "192.168.0.101", "nodob": "192.168.0.102", "nodoc": "192.168.0.103"}
PROGRAMS = {
    "nginx": ("nginx", "nginx-light"),
    "mariadb": ("mariadbd", "mariadb-server-core mariadb-client-core"),
    "wordpress": (
        "/usr/share/wordpress/index.php",
        "wordpress wordpress-theme-twentytwentythree php-cli php-mysql php-gd libapache2-mod-php apache2-bin",
    ),
}
"""What scripts/tools.sh brings: a sign that it is there, and its Debian packages."""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def title(text: str) -> None:
    say(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}")


def run(command: list[str], *, shown: list[str], check: bool = True, quiet: bool = False) -> str:
    """Run a command as the user would type it (`shown`), and show it with its output."""
    if not quiet:
        say(f"$ {shlex.join(shown)}")
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL
    )
    if not quiet:
        say(done.stdout.rstrip("\n"))
    if check and done.returncode:
        output = f"\n{done.stdout}" if quiet else ""
        raise SystemExit(f"demo: {shlex.join(shown)} failed with exit code {done.returncode}{output}")
    return done.stdout


def until(check: Callable[[], Any], what: str, seconds: float = 90.0) -> Any:
    """The first true answer of `check`."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        if time.monotonic() > deadline:
            raise SystemExit(f"demo: not within {seconds:.0f} s: {what}")
        time.sleep(0.2)
    return found


def install_programs() -> None:
    """Say what is missing, and unpack it into .tools, which needs no root."""
    from panal import tools

    missing = [name for name, (sign, _) in PROGRAMS.items() if tools.which(sign, os.environ) is None]
    if not missing:
        say("NGINX, MariaDB, PHP and WordPress are here.")
        return
    say(f"This machine lacks {', '.join(missing)}. Their Debian packages are unpacked into .tools, without root:")
    script = str(ROOT / "scripts" / "tools.sh")
    run([script, *missing], shown=["scripts/tools.sh", *missing])
    still = [name for name in missing if tools.which(PROGRAMS[name][0], os.environ) is None]
    if still:
        packages = " ".join(PROGRAMS[name][1] for name in still)
        raise SystemExit(f"demo: {', '.join(still)} could not be brought; as root: apt-get install {packages}")


class Company:
    """The cluster and what is done with it. `kubeconfig` and `data` are its own."""

    def __init__(self, kubeconfig: Path, data: Path) -> None:
        self.kubeconfig, self.data = kubeconfig, data
        self.post = ""
        found = shutil.which("kubectl")
        if found is None:
            raise SystemExit("demo: this demonstration needs kubectl on the PATH")
        self._program = found

    def kubectl(self, *words: str, at: str = "miempresa", check: bool = True, quiet: bool = False) -> str:
        """`at`: the namespace; none for what lies in none."""
        words = ("-n", at, *words) if at else words
        command = [self._program, "--kubeconfig", str(self.kubeconfig), *words]
        return run(command, shown=["kubectl", *words], check=check, quiet=quiet)

    def get(self, *words: str) -> Any:
        text = self.kubectl("get", *words, "-o", "json", quiet=True)
        return json.loads(text)

    def panal(self, command: str, *words: str, check: bool = True, quiet: bool = False) -> str:
        return run(
            [*PANAL, command, "--name", NAME, *words],
            shown=["panal", command, "--name", NAME, *words],
            check=check,
            quiet=quiet,
        )

    def browser(self, *words: str, check: bool = True, quiet: bool = False) -> str:
        program = [sys.executable, str(HERE / "browser.py")]
        return run(
            [*PANAL, "shell", "--name", NAME, "menchupc", "--", *program, *words],
            shown=["panal", "shell", "--name", NAME, "menchupc", "--", "python", "browser.py", *words],
            check=check,
            quiet=quiet,
        ).strip()

    def pods(self, app: str) -> dict[str, Any]:
        """The pods of an application that are not ending, by name."""
        items = self.get("pods", "-l", f"app={app}")["items"]
        return {item["metadata"]["name"]: item for item in items if "deletionTimestamp" not in item["metadata"]}

    def pool(self) -> set[str]:
        """The pods that get wp-service's requests."""
        slices = self.get("endpointslices", "-l", "kubernetes.io/service-name=wp-service")["items"]
        ends = [end for item in slices for end in item.get("endpoints") or () if end["conditions"].get("ready")]
        return {end["targetRef"]["name"] for end in ends}

    def rules(self) -> None:
        say(
            "\n".join(
                line
                for line in self.panal("rules", "nodoa", quiet=True).splitlines()
                if "-service" in line or "nginx" in line
            )
        )

    def reads(self, where: str = "", quiet: bool = True) -> bool:
        """Whether the post is read, by the site's name or from a node."""
        url = self.post.replace(SITE, f"http://{where}:30880" if where else SITE)
        return "from MenchuPC." in self.browser("read", url, "web1.miempresa.com", check=False, quiet=quiet)

    @contextlib.contextmanager
    def load(self) -> Iterator[Callable[[], None]]:
        """Two browsers read the post all the time; calling what is given stops them, shows and checks what they saw."""
        stop = self.data / "stop"
        stop.unlink(missing_ok=True)
        program = [sys.executable, str(HERE / "browser.py"), "load", self.post, str(stop)]
        command = [*PANAL, "shell", "--name", NAME, "menchupc", "--", *program]
        readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]

        def check() -> None:
            stop.touch()
            for reader in readers:
                found = json.loads(reader.communicate(timeout=60)[0])
                say(f"a reader saw {found}")
                if set(found["answers"]) != {"200"}:
                    raise SystemExit("demo: requests were lost")

        try:
            yield check
        finally:
            stop.touch()
            for reader in readers:
                if reader.poll() is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        reader.wait(timeout=30)


def bring_up(company: Company) -> None:
    """Everything applied, the first page answered, WordPress installed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for file in sorted((HERE / "manifests").glob("*.yaml")):
            text = file.read_text().replace("/var/tmp/miempresa-real", str(company.data))
            Path(folder, file.name).write_text(text)
        command = [shutil.which("kubectl") or "kubectl", "--kubeconfig", str(company.kubeconfig), "apply", "-f", folder]
        run(command, shown=["kubectl", "apply", "-f", "examples/miempresa/real/manifests"])
    for name in ("mariadb", "wp"):
        company.kubectl("rollout", "status", f"deployment/{name}", "--timeout=180s")
    company.kubectl("rollout", "status", "deployment/nginx", "--timeout=60s", at="ingress")
    address = ["read", f"{SITE}/wp-login.php", "web1.miempresa.com"]
    until(lambda: "<html" in company.browser(*address, check=False, quiet=True), "the first page")
    say(f"The first page came {time.monotonic() - began:.1f} s after kubectl apply.")
    company.kubectl("get", "pods,services,pvc", "-o", "wide")
    title("WordPress is installed over HTTP, a post published and read")
    company.browser("install")
    company.post = company.browser("publish", "Buenos días")
    for node, address_of_node in NODES.items():
        say(f"through {node}: {'read' if company.reads(address_of_node) else 'NOT READ'}")
        if not company.reads(address_of_node):
            raise SystemExit(f"demo: the post can't be read through {node}")
    until(company.reads, "the post through the load balancer")
    say("through the load balancer: read")


def database_dies(company: Company) -> None:
    """MariaDB's pod dies and comes back with its data; option 1 of the course breaks, option 2 does not."""
    [(name, pod)] = company.pods("mariadb").items()
    manifest = (HERE / "option1.yaml").read_text().replace("DATABASE_POD", pod["status"]["podIP"])
    file = company.data / "option1.yaml"
    file.write_text(manifest)
    say(f"Option 1: a WordPress whose wp-config.php names the pod's address, {pod['status']['podIP']}.")
    company.kubectl("apply", "-f", str(file))
    company.kubectl("wait", "--for=condition=Ready", "pod/option1", "--timeout=60s")
    company.rules()
    node = pod["spec"]["nodeName"]
    company.kubectl("cordon", node, at="")  # so that the next one must go elsewhere
    company.kubectl("delete", "pod", name)
    company.kubectl("rollout", "status", "deployment/mariadb", "--timeout=120s")
    company.kubectl("uncordon", node, at="")
    until(company.reads, "the post, with another pod of the database")
    company.rules()
    [(other, again)] = company.pods("mariadb").items()
    before, after = pod["status"]["podIP"], again["status"]["podIP"]
    say(f"{name} at {before} is {other} at {after} on {again['spec']['nodeName']} now.")
    say("Option 2, the Service's name: the post is read as before, its data is there.")
    if before == after or again["spec"]["nodeName"] == node:
        raise SystemExit("demo: the pod came back where it was")
    company.kubectl("wait", "--for=condition=Ready=False", "pod/option1", "--timeout=60s")
    say("Option 1 is broken: its database has moved.")
    company.kubectl("get", "pod", "option1")
    company.kubectl("delete", "pod", "option1", "--grace-period=1")


def maintenance(company: Company) -> None:
    """A replica in maintenance leaves the pool, is not restarted, and comes back."""
    name = sorted(company.pods("wp"))[0]
    company.kubectl("exec", name, "--", "sh", "-c", "echo '<?php $upgrading = time();' > .maintenance")
    until(lambda: company.pool() == set(company.pods("wp")) - {name}, f"{name} to leave the pool")
    company.rules()
    time.sleep(12)  # longer than a period of the liveness probe
    status = company.get("pod", name)["status"]["containerStatuses"][0]
    company.kubectl("get", "pods", "-l", "app=wp")
    if status["restartCount"] or not company.reads():
        raise SystemExit("demo: the replica in maintenance was restarted, or the site failed")
    company.kubectl("exec", name, "--", "rm", ".maintenance")
    until(lambda: name in company.pool(), f"{name} to come back")
    say(f"{name} is back in the pool, never restarted.")


def replica_added(company: Company) -> None:
    company.kubectl("scale", "deployment/wp", "--replicas=3")
    company.kubectl("rollout", "status", "deployment/wp", "--timeout=90s")
    until(lambda: len(company.pool()) == 3, "three replicas in the pool")
    company.rules()


def rolling_update(company: Company) -> None:
    """Every replica is replaced while two browsers read: no request is lost."""
    with company.load() as check:
        company.kubectl("rollout", "restart", "deployment/wp")
        company.kubectl("rollout", "status", "deployment/wp", "--timeout=180s")
        time.sleep(2)
        check()


def node_lost(company: Company) -> None:
    """A worker with a replica falls silent: its pod is replaced elsewhere, and removed when the node is back."""
    database = {pod["spec"]["nodeName"] for pod in company.pods("mariadb").values()}
    places = {name: pod["spec"]["nodeName"] for name, pod in company.pods("wp").items()}
    lost = next(node for node in sorted(places.values()) if node not in {*database, "nodo1", "nodoa"})
    gone = {name for name, node in places.items() if node == lost}
    lines = [line.split() for line in company.panal("status", quiet=True).splitlines()]
    [kubelet] = [int(words[2]) for words in lines if len(words) > 2 and words[0] == f"kubelet-{lost}"]
    say(f"{lost} falls silent: kill -STOP {kubelet} (its kubelet)")
    os.kill(kubelet, signal.SIGSTOP)
    try:
        company.kubectl("wait", "--for=condition=Ready=Unknown", f"node/{lost}", "--timeout=60s", at="")
        until(lambda: not company.pool() & gone, "the lost replicas to leave the pool")
        wanted = len(places)
        until(lambda: len(company.pool()) == wanted, f"{wanted} replicas elsewhere")
        company.kubectl("get", "nodes", at="")
        company.kubectl("get", "pods", "-o", "wide")
        if not company.reads():
            raise SystemExit("demo: the site does not answer without the node")
    finally:
        os.kill(kubelet, signal.SIGCONT)
    say(f"{lost} is back: kill -CONT {kubelet}")
    company.kubectl("wait", "--for=condition=Ready", f"node/{lost}", "--timeout=60s", at="")
    names = {item["metadata"]["name"] for item in company.get("pods")["items"]}
    until(
        lambda: not gone & {item["metadata"]["name"] for item in company.get("pods")["items"]},
        f"{gone} of {names} gone",
    )
    say("and has removed the pods that were replaced.")


STORIES: dict[str, tuple[str, Callable[[Company], None]]] = {
    "database": ("The database's pod dies; option 1 and option 2 of the course", database_dies),
    "maintenance": ("WordPress in maintenance", maintenance),
    "replica": ("A replica is added", replica_added),
    "update": ("A rolling update under load", rolling_update),
    "node": ("A node is lost", node_lost),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stories", default=",".join(STORIES), help=f"of {', '.join(STORIES)}, with commas between")
    parser.add_argument("--down", action="store_true", help="end the cluster at the end and remove its data")
    options = parser.parse_args()
    chosen = [name for name in options.stories.split(",") if name]
    if unknown := set(chosen) - set(STORIES):
        parser.error(f"no story is called {', '.join(unknown)}")
    from panal.command.running import answers, home, paths_of

    title("The programs")
    install_programs()
    title("The cluster of the picture")
    if answers(paths_of(NAME, os.environ)):
        say(f"The cluster {NAME!r} runs already; this goes on with it.")
    else:
        configuration = os.path.relpath(HERE / "cluster.yaml")
        run([*PANAL, "up", "--name", NAME, "--config", configuration, "--network", "netns"],
            shown=["panal", "up", "--name", NAME, "--config", configuration])  # fmt: skip
    data = home(os.environ) / "miempresa-real"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:  # 0700
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.write_text(run([*PANAL, "kubeconfig", "--name", NAME], shown=[], quiet=True))
        company = Company(kubeconfig, data)
        title("The real MariaDB, WordPress and NGINX")
        bring_up(company)
        for name in chosen:
            title(STORIES[name][0])
            STORIES[name][1](company)
    title("What to try next")
    if options.down:
        run([*PANAL, "down", "--name", NAME], shown=["panal", "down", "--name", NAME])
        shutil.rmtree(data)
        return 0
    say(
        f"  panal shell --name {NAME} menchupc -- curl -s {SITE}/     the blog, from MenchuPC\n"
        f"  panal down --name {NAME}                                   end it; the data stays in {data}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
