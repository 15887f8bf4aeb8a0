"""What this machine allows: tried out in a child process that is thrown away, in some 20 ms.

`panal up --network auto` takes the best that works, and says which and why. Reading kernel settings would tell less:
containers, seccomp filters and security modules refuse in ways of their own.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from panal import linux, tools

LIMIT = 1 << 16
"""Bytes a probing child may answer."""

RULES = """table ip probe {
  map services { type inet_proto . ipv4_addr . inet_service : verdict
  }
  chain pre { type nat hook prerouting priority -100
    ip protocol . ip daddr . th dport vmap @services
  }
  chain post { type nat hook postrouting priority 100
    meta mark & 0x4000 == 0x4000 masquerade
  }
}
"""
"""What kube-proxy's netfilter mode needs of nft and the kernel."""


@dataclass(frozen=True)
class Capability:
    """Reasons are None where a thing works, else a clause for a sentence."""

    namespaces: str | None
    """User (for an ordinary user), network, mount, PID, IPC and UTS namespaces, a bridge and veth pairs in them."""
    overlay: str | None
    """Overlay mounts inside them."""
    netfilter: str | None
    """The nft program, and its NAT rules inside them."""
    low_ports: bool
    """Ports under 1024 can be bound in the machine's own network."""


def find_nft(environ: Mapping[str, str]) -> str | None:
    """The nft program: `$PANAL_NFT`, else on the PATH, else where Debian puts it, else an unpacked one."""
    if chosen := environ.get("PANAL_NFT"):
        return chosen if os.access(chosen, os.X_OK) else None
    return tools.which("nft", environ, path=environ.get("PATH") or os.defpath)


def enter_namespaces() -> None:
    """Namespaces of the cluster's own for this process and, as for PIDs, its future children. Raises OSError."""
    own = linux.CLONE_NEWNET | linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        linux.unshare(own)
    else:
        linux.unshare(own | linux.CLONE_NEWUSER)
        linux.map_user(uid, gid)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)


def probe(environ: Mapping[str, str]) -> Capability:
    """Try everything. The child's mounts, devices and namespaces end with it."""
    from panal.addresses import low_ports_bindable

    nft = find_nft(environ)
    answer = _in_child(lambda: _try_all(nft))
    return Capability(
        namespaces=answer.get("namespaces", "the probing process died"),
        overlay=answer.get("overlay", "not tried"),
        netfilter=answer.get("netfilter", "not tried"),
        low_ports=low_ports_bindable(),
    )


def _try_all(nft: str | None) -> dict[str, str | None]:
    """Namespaces first; the rest is tried in them, by a process 1, as nothing can be forked once that has ended."""
    if reason := _reason(enter_namespaces):
        return _refused(reason)
    return _in_child(lambda: _try_inside(nft)) or _refused("process 1 died")


def _refused(reason: str) -> dict[str, str | None]:
    sentence = f"this machine refuses namespaces ({reason})"
    return {"namespaces": sentence, "overlay": sentence, "netfilter": sentence}


def _try_inside(nft: str | None) -> dict[str, str | None]:
    if reason := _reason(_mount_proc) or _reason(_try_network):
        return _refused(reason)
    netfilter = _reason(lambda: _try_nft(nft)) if nft else "the nft program is not installed"
    return {"namespaces": None, "overlay": _reason(_try_overlay), "netfilter": netfilter}


def _reason(attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except OSError as error:
        return str(error.strerror or error)
    return None


def _mount_proc() -> None:
    linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)


def _try_network() -> None:
    from .netlink import Netlink
    from .netns import link_address

    with Netlink() as netlink:
        netlink.add_bridge("probe")
        netlink.flush()
        here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        netlink.add_veth("probe0", link_address("10.0.0.1"), "probe1", link_address("10.0.0.2"), here)
        netlink.flush()
        os.close(here)
    with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
        file.write("1")


def _try_overlay() -> None:
    """On the file system where temporary files lie, seen through a tmpfs of this mount namespace alone."""
    base = tempfile.gettempdir()
    linux.mount("tmpfs", base, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=64k")
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(f"{base}/{name}")
    options = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
    if _in_user_namespace():
        options += ",userxattr"
    linux.mount("overlay", f"{base}/merged", "overlay", 0, options)


def _in_user_namespace() -> bool:
    with open("/proc/self/uid_map") as file:
        return file.read().split() != ["0", "0", "4294967295"]


def _try_nft(nft: str) -> None:
    read, write = os.pipe()
    os.write(write, RULES.encode())
    os.close(write)
    errors = os.memfd_create("errors")
    actions = [(os.POSIX_SPAWN_DUP2, read, 0), (os.POSIX_SPAWN_DUP2, errors, 1), (os.POSIX_SPAWN_DUP2, errors, 2)]
    child = os.posix_spawn(nft, [nft, "-f", "-"], os.environ, file_actions=actions)
    os.close(read)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        first = os.pread(errors, 400, 0).decode(errors="replace").strip().partition("\n")[0]
        raise OSError(0, f"nft refuses NAT rules here: {first}")


INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Fork, run `work`, read its answer. An answer that did not come is an empty one.

    An interruption ends the child, which must not do what its parent does about one, also as it is being born.
    """
    read, write = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
    try:
        if (child := os.fork()) == 0:
            try:
                for number in INTERRUPTIONS:
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                os.close(read)
                os.write(write, json.dumps(work()).encode())
            except BaseException:
                os._exit(1)
            os._exit(0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(write)
    with open(read, "rb") as file:
        raw = file.read(LIMIT)
    os.waitpid(child, 0)
    return dict(json.loads(raw)) if raw else {}
