"""A whole cluster as a user has it: started by the `panal` command, used through kubectl, ended by the command."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson
import psutil

ROOT = Path(__file__).resolve().parents[2]
ORDINARY_UID = 61234
"""An ordinary user without a name or a home; used when the tests run as root."""

T = TypeVar("T")


@dataclass(frozen=True)
class Variant:
    """Who runs a cluster, and on what."""

    user: str
    network: str
    proxy_mode: str

    def __str__(self) -> str:
        return f"{self.user}-{self.network}-{self.proxy_mode}"


def variants() -> list[Variant]:
    """What is tried: every user, network and proxy mode at least once; all combinations with PANAL_TEST_ALL=1.

    Root tries an ordinary user's clusters too.
    """
    kinds = [("netns", "netfilter"), ("netns", "userspace"), ("loopback", "userspace")]
    if os.geteuid() != 0:
        return [Variant("ordinary", *kind) for kind in kinds]
    if os.environ.get("PANAL_TEST_ALL"):
        return [Variant(user, *kind) for user in ("root", "ordinary") for kind in kinds]
    return [Variant("root", *kinds[0]), Variant("ordinary", *kinds[1]), Variant("ordinary", *kinds[2])]


def until(check: Callable[[], T], *, seconds: float = 20.0, what: str = "") -> T:
    """The first truthy answer of `check`; a last exception or answer is told when the time is over."""
    deadline = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = check()
            if last:
                return last
        except (AssertionError, subprocess.CalledProcessError, OSError, KeyError, IndexError, ValueError) as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:.0f} s: {what or check.__name__}; last: {last!r}")


def without_privileges(command: Sequence[str], uid: int) -> list[str]:
    """The command as an ordinary user."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all", *command]


@dataclass
class User:
    """Somebody at this machine, with a home of their own."""

    uid: int
    home: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def command(self, words: Sequence[str]) -> list[str]:
        return list(words) if self.uid == os.geteuid() else without_privileges(words, self.uid)

    def env(self) -> dict[str, str]:
        tools = [str(Path(sys.executable).parent), str(ROOT / ".tools" / "bin")]
        path = os.pathsep.join([*tools, os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
        kept = {name: value for name, value in os.environ.items() if name in ("LANG", "LC_ALL", "TERM")}
        return {
            **kept,
            "PATH": path,
            "HOME": str(self.home),
            "PANAL_HOME": str(self.home / "panal"),
            "KUBECONFIG": str(self.home / "kubeconfig"),
            **self.environ,
        }

    def run(
        self, words: Sequence[str], *, check: bool = True, timeout: float = 60, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(words),
            env=self.env(),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=ROOT,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)} -> {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def panal(self, *arguments: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return self.run([sys.executable, "-m", "panal.command", *arguments], check=check, timeout=timeout)


@contextlib.contextmanager
def a_user(kind: str) -> Iterator[User]:
    """Root or an ordinary user, with an empty home that is gone afterwards."""
    uid = 0 if kind == "root" else (os.geteuid() or ORDINARY_UID)
    home = Path(f"/tmp/panal-test-{os.getpid()}-{time.monotonic_ns() % 10**9}")
    home.mkdir(mode=0o700)
    os.chown(home, uid, uid if os.geteuid() == 0 else -1)
    try:
        yield User(uid, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def loopback_turn() -> Iterator[None]:
    """Clusters in the loopback network share the machine's addresses: one at a time, across all test runs here."""
    path = Path("/tmp/panal-tests-loopback.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        with contextlib.suppress(PermissionError):
            path.chmod(0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@dataclass
class Cluster:
    """A running cluster of one user."""

    user: User
    variant: Variant
    name: str

    @property
    def folder(self) -> Path:
        return self.user.home / "panal" / "clusters" / self.name

    def panal(self, *arguments: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        command, *rest = arguments
        return self.user.panal(command, "--name", self.name, *rest, check=check, timeout=timeout)

    def kubectl(self, *arguments: str, check: bool = True, timeout: float = 60, stdin: str | None = None) -> str:
        context = "panal" if self.name == "panal" else f"panal-{self.name}"
        done = self.user.run(["kubectl", "--context", context, *arguments], check=check, timeout=timeout, stdin=stdin)
        return done.stdout if check else done.stdout + done.stderr

    def get(self, *arguments: str) -> Any:
        return orjson.loads(self.kubectl("get", *arguments, "-o", "json"))

    def apply(self, manifest: str) -> str:
        return self.kubectl("apply", "-f", "-", stdin=manifest)

    def exec_on(self, host: str, *command: str, check: bool = True) -> str:
        """A command on a host of the LAN or a node."""
        done = self.panal("shell", host, "--", *command, check=check)
        return done.stdout if check else done.stdout + done.stderr

    def config(self) -> Any:
        return orjson.loads((self.folder / "cluster.json").read_bytes())

    def processes(self) -> list[psutil.Process]:
        """Every process of this cluster, the keeper included."""
        return processes_below(self.folder)

    def find(self, *words: str) -> psutil.Process:
        """The one process whose command line has all the words."""
        found = [process for process in self.processes() if all(word in " ".join(cmdline(process)) for word in words)]
        assert len(found) == 1, f"{words}: {[cmdline(process)[:2] for process in found or self.processes()]}"
        return found[0]

    def kill(self, *words: str) -> int:
        """kill -9 of the one process whose command line has all the words."""
        process = self.find(*words)
        os.kill(process.pid, signal.SIGKILL)
        return process.pid


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return [word for word in process.cmdline() if word]
    except psutil.Error:
        return []


def steward_of(folder: Path) -> psutil.Process:
    """The steward of the cluster in `folder`; its parent is the keeper."""
    return psutil.Process(int((folder / "steward.pid").read_text()))


def processes_below(folder: Path) -> list[psutil.Process]:
    """The processes of the cluster in `folder`: its keeper, and everything that descends from it."""
    try:
        keeper = steward_of(folder).parent()
        assert keeper is not None
        return [keeper, *keeper.children(recursive=True)]
    except (OSError, ValueError, psutil.Error):
        return []


def alive_of(uid: int, marker: str) -> list[str]:
    """Command lines of processes of that user that name `marker` in their command line or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if marker in " ".join(process.cmdline()) or marker in str(process.environ()):
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except psutil.Error:
            continue
    return found


@contextlib.contextmanager
def a_cluster(variant: Variant, name: str, *arguments: str) -> Iterator[Cluster]:
    """A cluster that is up; taken down afterwards, and nothing of it may be left."""
    with a_user(variant.user) as user:
        cluster = Cluster(user, variant, name)
        user.panal("up", "--name", name, "--network", variant.network, "--proxy-mode", variant.proxy_mode, *arguments)
        try:
            yield cluster
        finally:
            ended = cluster.panal("down", check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert alive_of(user.uid, str(user.home)) == []
        assert not cluster.folder.exists()
