"""exec, attach, cp, run -it and port-forward with the real kubectl, newest and old: WebSocket and SPDY."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from harness import Cluster, until

from panal import tools

_SDK = Path("/usr/lib/google-cloud-sdk/bin")
_NEWER = tools.which("kubectl.sid", os.environ) or str(_SDK / "kubectl.1.33")
KUBECTLS = ["kubectl", *(path for path in (str(_SDK / "kubectl.1.27"), _NEWER) if Path(path).exists())]
"""The one on the path; one that speaks SPDY only; a newer one, which scripts/clients.sh brings."""

POD = """
apiVersion: v1
kind: Pod
metadata: {name: box}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: debian
    command: [sleep, "100000"]
"""
WEB = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: python
    command: [python3, -m, http.server, "8000"]
    workingDir: /usr/share
    readinessProbe: {tcpSocket: {port: 8000}, periodSeconds: 1}
"""


@pytest.fixture(params=KUBECTLS, ids=lambda path: Path(path).name)
def kubectl(request: pytest.FixtureRequest, cluster: Cluster) -> list[str]:
    """The beginning of a command line."""
    return [request.param, "--context", f"panal-{cluster.name}"]


@pytest.fixture(scope="module")
def box(cluster: Cluster) -> Iterator[str]:
    cluster.apply(POD)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/box", "--timeout=30s")
    yield "box"
    cluster.kubectl("delete", "pod", "box", "--now")


def run(
    cluster: Cluster, words: list[str], stdin: bytes | None = None, timeout: float = 30
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        cluster.user.command(words), env=cluster.user.env(), input=stdin, capture_output=True, timeout=timeout
    )


class Terminal:
    """A command on a terminal of its own, with somebody who types."""

    def __init__(self, cluster: Cluster, words: list[str]) -> None:
        self.shown = b""
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            os.execvpe(words[0], words, cluster.user.env())
        self.resize(33, 101)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def expect(self, pattern: str, seconds: float = 15) -> str:
        """What matches, once it is shown; what came before is forgotten."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern.encode(), self.shown)):
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"{pattern!r} is not shown: {self.shown!r}")
        self.shown = self.shown[found.end() :]
        return found[0].decode()

    def size(self) -> str:
        """What a shell there takes the size to be."""
        self.type("stty size\n")
        return self.expect(r"\d+ \d+\r\n").strip()

    def end(self, seconds: float = 15) -> int:
        """The exit code."""
        deadline = time.monotonic() + seconds
        while self._read(deadline - time.monotonic()):
            pass
        if time.monotonic() >= deadline:
            os.kill(self._pid, 9)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self, seconds: float) -> bool:
        if seconds <= 0 or not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            chunk = os.read(self._master, 65536)
        except OSError:
            return False
        self.shown += chunk
        return bool(chunk)


def on_terminal(cluster: Cluster, words: list[str]) -> Terminal:
    return Terminal(cluster, cluster.user.command(words))


def test_exec_gives_both_outputs_and_the_exit_code(cluster: Cluster, kubectl: list[str], box: str) -> None:
    done = run(cluster, [*kubectl, "exec", box, "--", "sh", "-c", "echo out; echo err >&2; exit 3"])
    assert done.stdout == b"out\n"
    assert done.stderr == b"err\ncommand terminated with exit code 3\n"
    assert done.returncode == 3


def test_exec_carries_megabytes_both_ways(cluster: Cluster, kubectl: list[str], box: str) -> None:
    content = os.urandom(5_000_000)
    done = run(cluster, [*kubectl, "exec", "-i", box, "--", "cat"], content)
    assert done.returncode == 0, done.stderr
    assert done.stdout == content


def test_exec_of_what_is_not_there(cluster: Cluster, kubectl: list[str], box: str) -> None:
    no_program = run(cluster, [*kubectl, "exec", box, "--", "nonesuch"])
    assert no_program.returncode != 0
    assert b'exec: "nonesuch": executable file not found in $PATH' in no_program.stderr
    no_container = run(cluster, [*kubectl, "exec", box, "-c", "other", "--", "true"])
    assert b"container other is not valid for pod box" in no_container.stderr
    assert b'pods "nobody" not found' in run(cluster, [*kubectl, "exec", "nobody", "--", "true"]).stderr


def test_exec_in_a_terminal(cluster: Cluster, kubectl: list[str], box: str) -> None:
    terminal = on_terminal(cluster, [*kubectl, "exec", "-it", box, "--", "sh"])
    terminal.expect("[#$] ")
    until(lambda: terminal.size() == "33 101", what="the size")
    terminal.resize(44, 122)
    until(lambda: terminal.size() == "44 122", what="the new size")
    terminal.type("echo be''gin; sleep 1000\n")
    terminal.expect("begin")
    time.sleep(0.2)
    terminal.type("\x03")
    terminal.expect("[#$] ")
    terminal.type("test -t 0 && exit 7\n")
    assert terminal.end() == 7


def test_a_command_ends_when_its_user_goes(cluster: Cluster, kubectl: list[str], box: str) -> None:
    user = subprocess.Popen(
        cluster.user.command([*kubectl, "exec", "-i", box, "--", "sh", "-c", "echo up; sleep 98765"]),
        env=cluster.user.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert user.stdout is not None
    assert user.stdout.readline() == b"up\n"
    assert any("98765" in line for line in _commands(cluster))
    user.kill()
    user.communicate()
    until(lambda: not any("98765" in line for line in _commands(cluster)), what="the command gone")


def _commands(cluster: Cluster) -> list[str]:
    found = []
    for process in cluster.processes():
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found


def test_files_are_copied_in_and_out(cluster: Cluster, kubectl: list[str], box: str) -> None:
    source, back = cluster.user.home / "source", cluster.user.home / "back"
    source.write_bytes(os.urandom(1_000_000))
    source.chmod(0o644)
    path = f"/tmp/{cluster.user.home.name}-copied"  # in the plain runtime this is the machine's own /tmp
    target = f"{box}:{path}"
    assert run(cluster, [*kubectl, "cp", str(source), target]).returncode == 0
    assert run(cluster, [*kubectl, "cp", target, str(back)]).returncode == 0
    assert back.read_bytes() == source.read_bytes()
    assert run(cluster, [*kubectl, "exec", box, "--", "rm", path]).returncode == 0
    back.unlink()


def test_run_with_input_that_ends(cluster: Cluster, kubectl: list[str]) -> None:
    words = ["run", "once", "-i", "--rm", "--restart=Never", "--image=busybox", "-q", "--", "cat"]
    done = run(cluster, [*kubectl, *words], b"hello\n")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, b"hello"), done.stderr
    assert cluster.kubectl("get", "pod", "once", "--ignore-not-found") == ""


def test_run_in_a_terminal(cluster: Cluster, kubectl: list[str]) -> None:
    words = ["run", "shell", "-it", "--rm", "--restart=Never", "--image=debian", "--", "sh"]
    terminal = on_terminal(cluster, [*kubectl, *words])
    terminal.expect("try pressing enter", 30)
    terminal.type("\n")
    terminal.expect("[#$] ")
    until(lambda: terminal.size() == "33 101", what="the size")
    terminal.type("exit 5\n")
    assert terminal.end(30) == 5
    assert cluster.kubectl("get", "pod", "shell", "--ignore-not-found") == ""


def test_attach_shows_what_comes_from_now_on(cluster: Cluster, kubectl: list[str]) -> None:
    script = "while read line; do echo got $line; echo err $line >&2; done"
    cluster.kubectl("run", "echo", "--image=busybox", "--restart=Never", "--stdin", "--attach=false",
                    "--leave-stdin-open", "--command", "--", "sh", "-c", script)  # fmt: skip
    cluster.kubectl("wait", "--for=condition=Ready", "pod/echo", "--timeout=30s")
    try:
        for word in (b"first", b"second"):
            user = subprocess.Popen(
                cluster.user.command([*kubectl, "attach", "-i", "-q", "echo"]),
                env=cluster.user.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            assert user.stdin is not None
            assert user.stdout is not None
            assert user.stderr is not None
            user.stdin.write(word + b"\n")
            user.stdin.flush()
            assert user.stdout.readline() == b"got " + word + b"\n"
            assert user.stderr.readline() == b"err " + word + b"\n"
            user.kill()
            user.communicate()
        assert cluster.kubectl("logs", "echo").count("got") == 2
    finally:
        cluster.kubectl("delete", "pod", "echo", "--now")


@pytest.fixture(scope="module")
def web(cluster: Cluster) -> Iterator[str]:
    cluster.apply(WEB)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    yield "web"
    cluster.kubectl("delete", "pod", "web", "--now")


@contextlib.contextmanager
def forwarded(cluster: Cluster, words: list[str]) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The local port of a running port-forward."""
    user = subprocess.Popen(
        cluster.user.command(words), env=cluster.user.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert user.stdout is not None
        line = user.stdout.readline()
        yield int(line.split(" -> ")[0].rpartition(":")[2]), user
    finally:
        user.kill()
        user.communicate()


def _get(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def test_a_forwarded_port_leads_into_the_pod(cluster: Cluster, kubectl: list[str], web: str) -> None:
    with forwarded(cluster, [*kubectl, "port-forward", f"pod/{web}", ":8000"]) as (port, _):
        assert [_get(port) for _ in range(10)] == [200] * 10


def test_a_forwarded_port_on_which_nobody_listens(cluster: Cluster, kubectl: list[str], web: str) -> None:
    with forwarded(cluster, [*kubectl, "port-forward", f"pod/{web}", ":8001"]) as (port, user):
        with pytest.raises((OSError, http.client.HTTPException)):
            _get(port)
        assert user.stderr is not None
        assert "connection refused" in user.stderr.readline()


def test_who_may_only_read_pods_runs_nothing(cluster: Cluster, box: str) -> None:
    cluster.kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,pods/exec")
    cluster.kubectl("create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:default")
    token = cluster.kubectl("create", "token", "default").strip()
    config = cluster.user.home / "reader-config"
    shutil.copy(cluster.user.env()["KUBECONFIG"], config)
    os.chown(config, cluster.user.uid, -1)
    try:
        context = f"panal-{cluster.name}"
        words = ["kubectl", "--kubeconfig", str(config), "--context", context]
        run(
            cluster, ["kubectl", "--kubeconfig", str(config), "config", "set-credentials", "reader", f"--token={token}"]
        )
        run(cluster, [*words, "config", "set-context", context, "--user=reader"])
        assert run(cluster, [*words, "get", "pod", box]).returncode == 0
        refused = run(cluster, [*words, "exec", box, "--", "true"])
        assert refused.returncode == 1
        assert b'cannot create resource "pods/exec"' in refused.stderr, refused.stderr
    finally:
        config.unlink()
        cluster.kubectl("delete", "role,rolebinding", "reader")
