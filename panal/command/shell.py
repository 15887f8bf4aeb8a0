"""`panal shell HOST`: a process on a host of the company LAN, or on a node, with the real terminal.

It enters the cluster's namespaces from outside: the user namespace first, which gives the right to enter the others,
then mounts, processes and the host's network. The host's own name and resolv.conf are mounted in a mount namespace of
the shell's own.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from panal import cleanup, linux
from panal.config import ClusterConfig
from panal.paths import ClusterPaths

from .failure import Failure
from .running import cluster, configuration

KINDS = (
    ("user", linux.CLONE_NEWUSER),
    ("mnt", linux.CLONE_NEWNS),
    ("ipc", linux.CLONE_NEWIPC),
    ("pid", linux.CLONE_NEWPID),
)
PRIVATE = ("PANAL_STARTED", cleanup.MARK)


def shell(name: str | None, host: str, command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run it and return its exit code, 128 + N when signal N ended it. Raises Failure."""
    paths = cluster(name, environ)
    config = configuration(paths)
    addresses = hosts(config)
    if host not in addresses:
        raise Failure(f"there is no host called {host!r}; there are {', '.join(addresses)}.")
    arguments = list(command) or [environ.get("SHELL") or "/bin/sh"]
    variables = {key: value for key, value in environ.items() if key not in PRIVATE}
    variables |= {"PANAL_HOST": host, "PANAL_ADDRESS": addresses[host], "PANAL_NETWORK": config.network}
    if config.network == "loopback":
        click.echo(
            f"panal: in the loopback network {host} is this machine; use {addresses[host]} as its address.", err=True
        )
        return _run(arguments, variables)
    enter(paths, host)
    return _run(arguments, variables, lambda: _dress(paths, config, host))


def hosts(config: ClusterConfig) -> dict[str, str]:
    """Everybody on the LAN, by name."""
    return {
        **{node.name: node.address for node in config.nodes},
        **{host.name: host.address for host in config.hosts},
        config.load_balancer.name: config.load_balancer.address,
        config.external_dns.name: config.external_dns.address,
        **({proxy.name: proxy.address} if (proxy := config.forward_proxy) is not None else {}),
    }


def enter(paths: ClusterPaths, host: str) -> None:
    """Join the namespaces of the steward, and the host's network. Raises Failure."""
    here = os.getcwd()
    try:
        pid = int((paths.root / "steward.pid").read_text())
        opened = [
            (os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC), flag)
            for kind, flag in KINDS
            if not _same(f"/proc/{pid}/ns/{kind}", f"/proc/self/ns/{kind}")
        ]
        for descriptor, flag in opened:
            linux.setns(descriptor, flag)
        network = os.open(paths.namespaces / host, os.O_RDONLY | os.O_CLOEXEC)
        linux.setns(network, linux.CLONE_NEWNET)
    except (OSError, ValueError) as error:
        raise Failure(f"{host} can't be entered: {error}; only who started the cluster may.") from error
    for descriptor in (*(one for one, _ in opened), network):
        os.close(descriptor)
    try:
        os.chdir(here)
    except OSError:
        os.chdir("/")


def _same(first: str, second: str) -> bool:
    return os.stat(first).st_ino == os.stat(second).st_ino


def _dress(paths: ClusterPaths, config: ClusterConfig, host: str) -> None:
    """In the child: the host's own name, and its resolv.conf, which asks the company's DNS server."""
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWUTS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    linux.sethostname(host)
    dns = config.external_dns
    folder = paths.root / "hosts" / host
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "resolv.conf").write_text(f"search {' '.join(dns.domains)}\nnameserver {dns.address}\n")
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost", f"{hosts(config)[host]}\t{host}"]
    (folder / "hosts").write_text("\n".join(lines) + "\n")
    for name in ("resolv.conf", "hosts"):
        (folder / name).chmod(0o644)
        target = Path("/etc", name).resolve()
        if target.exists():
            linux.mount(str(folder / name), target, flags=linux.MS_BIND)


def _run(arguments: Sequence[str], variables: Mapping[str, str], prepare: object = None) -> int:
    """Fork, execute, wait. On a terminal the child has a process group of its own and is in the foreground."""
    terminal = _terminal()
    ready, go = os.pipe()
    if (child := os.fork()) == 0:
        os.close(go)
        if terminal is not None:
            os.setpgid(0, 0)
            os.read(ready, 1)
        _become(arguments, variables, prepare)
    os.close(ready)
    if terminal is None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.close(go)
        return _exit_code(os.waitpid(child, 0)[1])
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    _set_group(child)
    os.tcsetpgrp(terminal, child)
    os.close(go)
    try:
        return _attend(child, terminal)
    finally:
        os.tcsetpgrp(terminal, os.getpgrp())


def _set_group(child: int) -> None:
    try:
        os.setpgid(child, child)
    except OSError:
        return  # it has done so itself and gone on


def _attend(child: int, terminal: int) -> int:
    """Wait; when the child is stopped, stop too and give the terminal back, as a shell would see it of any job."""
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            return _exit_code(status)
        os.tcsetpgrp(terminal, os.getpgrp())
        os.kill(os.getpid(), signal.SIGSTOP)
        os.tcsetpgrp(terminal, child)
        os.killpg(child, signal.SIGCONT)


def _terminal() -> int | None:
    """The terminal on standard input, when this process is in its foreground."""
    try:
        return 0 if os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp() else None
    except OSError:
        return None


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become(arguments: Sequence[str], variables: Mapping[str, str], prepare: object) -> None:
    try:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if callable(prepare):
            prepare()
        os.execvpe(arguments[0], list(arguments), dict(variables))
    except OSError as error:
        code = error.errno or errno.EACCES
        if "/" not in arguments[0] and shutil.which(arguments[0], path=variables.get("PATH")) is None:
            code = errno.ENOENT  # whatever the folders on the way said
        sys.stderr.write(f"panal: {arguments[0]}: {os.strerror(code)}\n")
        os._exit(127 if code == errno.ENOENT else 126)
    finally:
        os._exit(126)
