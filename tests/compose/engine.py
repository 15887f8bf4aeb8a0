"""A Docker engine of the test's own: Debian's docker.io in namespaces of its own, with its own data folder and socket.

Nothing of the machine's own network, mounts, containers or images is touched, and nothing is left: with process 1 of
its PID namespace everything ends. What is published on 127.0.0.1 is so in the engine's network namespace.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools" / "docker"
BASE = "panal-test-base"
SUITE = "bookworm"
PACKAGES = ("python3", "python3-venv", "nftables", "ca-certificates")
CGROUP = "panal-compose-test"
PLUGIN = os.environ.get("PANAL_TEST_COMPOSE") == "v2"
"""Whether the user types `docker compose`, version 2, docker's own plugin, rather than `docker-compose` 1.29."""

START = """
import os, sys
from panal.agents.network.netlink import Netlink
with Netlink() as netlink:
    netlink.set_up(1)
    netlink.flush()
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Unavailable(Exception):
    """Why there can be no engine here, in words."""


def reason() -> str | None:
    """Why this machine or user can't run one; None if it can be tried."""
    if os.geteuid() != 0:
        return "starting dockerd needs root: run `sudo make test-compose`"
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "util-linux's unshare and nsenter are missing"
    return None


def bring() -> None:
    """Unpack what is missing, and bring wheels. Raises Unavailable."""
    environ = {**os.environ, "TOOLS": str(TOOLS), "PYTHON": sys.executable}
    programs = ["dockerd", "docker-compose", "debootstrap"]
    subprocess.run([ROOT / "scripts" / "tools.sh", *programs], env=environ, check=True)
    for program in programs:
        if shutil.which(program, path=path()) is None:
            raise Unavailable(f"{program} is neither installed nor could its package be unpacked")
    if PLUGIN:
        subprocess.run([ROOT / "scripts" / "clients.sh", "compose"], env=environ, check=True)
        if not (TOOLS / "docker-config" / "cli-plugins" / "docker-compose").exists():
            raise Unavailable(f"docker compose could not be unpacked: {TOOLS / 'clients.log'} says why")
    subprocess.run([ROOT / "scripts" / "wheels.sh"], env=environ, check=True)


def path() -> str:
    unpacked = [str(TOOLS / "root" / "usr" / name) for name in ("sbin", "bin")]
    return os.pathsep.join([str(TOOLS / "bin"), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", *unpacked])


def base() -> Path:
    """The root file system that images are built from: Debian with Python, kept from one run to the next."""
    kept = TOOLS / f"{SUITE}.tar"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=TOOLS) as folder:
            root = Path(folder) / "root"
            scripts = TOOLS / "root" / "usr" / "share" / "debootstrap"
            environ = {**os.environ, "PATH": path()}
            if scripts.is_dir():
                environ["DEBOOTSTRAP_DIR"] = str(scripts)
            include = ",".join(PACKAGES)
            subprocess.run(
                ["debootstrap", "--variant=minbase", f"--include={include}", SUITE, root], env=environ, check=True
            )
            for waste in ("var/cache/apt/archives", "var/lib/apt/lists"):
                shutil.rmtree(root / waste)
                (root / waste).mkdir()
            subprocess.run(["tar", "-C", root, "-cf", Path(folder) / "tar", "."], check=True)
            (Path(folder) / "tar").rename(kept)
    return kept


@dataclass(frozen=True)
class Engine:
    """A running engine."""

    pid: int
    """dockerd's, process 1 of its namespace."""
    socket: Path

    def environ(self) -> dict[str, str]:
        modules = TOOLS / "root" / "usr" / "lib" / "python3" / "dist-packages"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "COMPOSE_"))}
        kept.pop("VIRTUAL_ENV", None)
        return {
            **kept,
            "PATH": path(),
            **({"DOCKER_CONFIG": str(TOOLS / "docker-config")} if PLUGIN else {}),
            "DOCKER_HOST": f"unix://{self.socket}",
            "PANAL_BASE": BASE,
            "PANAL_BUILD_NETWORK": "none",
            "COMPOSE_PROJECT_NAME": "miempresa",
            "PYTHONWARNINGS": "ignore",
            **({"PYTHONPATH": str(modules)} if modules.is_dir() else {}),
        }

    def docker(self, *words: str, check: bool = True, timeout: float = 120, stdin: Path | None = None) -> str:
        return run(["docker", *words], self.environ(), check=check, timeout=timeout, stdin=stdin)

    def docker_said(self, container: str) -> str:
        """What its process 1 wrote, to both outputs."""
        done = subprocess.run(["docker", "logs", container], env=self.environ(), capture_output=True, text=True)
        return done.stdout + done.stderr

    def compose(self, *words: str, check: bool = True, timeout: float = 300) -> str:
        return run(
            [*(["docker", "compose"] if PLUGIN else ["docker-compose"]), *words],
            self.environ(),
            check=check,
            timeout=timeout,
        )

    def on_the_machine(self, *words: str, check: bool = True, timeout: float = 30) -> str:
        """A command on the machine that has the engine: in its network."""
        return run(["nsenter", f"--net=/proc/{self.pid}/ns/net", *words], os.environ, check=check, timeout=timeout)

    def containers(self) -> dict[str, dict[str, object]]:
        """`docker inspect` of each, by the service's name."""
        ids = self.docker("ps", "-aq").split()
        found = json.loads(self.docker("inspect", *ids)) if ids else []
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in found}


def run(words: list[str], environ: Mapping[str, str], *, check: bool, timeout: float, stdin: Path | None = None) -> str:
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(stdin.open("rb")) if stdin is not None else subprocess.DEVNULL
        done = subprocess.run(
            words, env=environ, stdin=source, capture_output=True, text=True, timeout=timeout, cwd=ROOT
        )
    if check and done.returncode:
        raise AssertionError(f"{' '.join(words)} -> {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done.stdout


@contextlib.contextmanager
def started() -> Iterator[Engine]:
    """An engine with an empty data folder; all of it is gone afterwards. Raises Unavailable."""
    with tempfile.TemporaryDirectory(dir=TOOLS, prefix="engine-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        programs = folder / "bin"
        programs.mkdir()
        _iptables(programs)
        # Sockets have short paths only.
        run_at = Path(tempfile.mkdtemp(prefix="panal-"))
        socket = run_at / "docker.sock"
        environ = {**os.environ, "PATH": f"{programs}{os.pathsep}{path()}", **_libraries()}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                 sys.executable, "-c", START, "dockerd", f"--data-root={folder}/data", f"--exec-root={run_at}/exec",
                 f"--host=unix://{socket}", f"--pidfile={run_at}/pid", f"--cgroup-parent=/{CGROUP}"],
                env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
            )  # fmt: skip
        try:
            engine = Engine(_child(process, folder / "log"), socket)
            _wait(engine, process, folder / "log")
            yield engine
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(OSError):
                os.kill(_child(process, folder / "log"), signal.SIGKILL)
            process.kill()
            process.wait()
            shutil.rmtree(run_at, ignore_errors=True)
            _remove_cgroups()


def _iptables(folder: Path) -> None:
    """What Debian's alternatives would have linked."""
    unpacked = TOOLS / "root" / "usr" / "sbin" / "xtables-nft-multi"
    if unpacked.exists():
        for name in ("iptables", "ip6tables", "iptables-save", "iptables-restore"):
            (folder / name).symlink_to(unpacked)


def _libraries() -> dict[str, str]:
    folder = TOOLS / "root" / "usr" / "lib" / f"{os.uname().machine}-linux-gnu"
    return {"XTABLES_LIBDIR": str(folder / "xtables")} if (folder / "xtables").is_dir() else {}


def _child(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if found:
            return int(found[0])
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise Unavailable(f"the engine's namespaces could not be made: {log.read_text(errors='replace')[-500:]}")


def _wait(engine: Engine, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            engine.docker("info", timeout=20)
            return
        time.sleep(0.2)
    raise Unavailable(f"dockerd did not start: {log.read_text(errors='replace')[-1500:]}")


def _remove_cgroups() -> None:
    for top in Path("/sys/fs/cgroup").glob(f"**/{CGROUP}"):
        for folder in sorted([top, *(path for path in top.rglob("*") if path.is_dir())], reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
