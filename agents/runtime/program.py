"""From an image and a container's configuration to a command line, an environment and rights. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..images import DEFAULT_PATH, ImageSpec
from .contract import ContainerConfig
from .syscalls import CAPABILITIES

DOCKER_CAPABILITIES = tuple(
    (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
        "AUDIT_WRITE"
    ).split()
)
"""What Docker and containerd leave a container."""

INHERITED = ("PANAL_NETWORK", "PANAL_LOW_PORTS", "TZ")
"""Variables of the runtime's own environment that tell a program where it lives."""


@dataclass(frozen=True)
class Program:
    """`python` is called with `argv`, or `argv` is executed; as in a SpawnRequest."""

    argv: tuple[str, ...]
    python: str | None = None
    name: str = ""


def program(image: ImageSpec, config: ContainerConfig) -> Program:
    """Kubernetes' rule: `command` replaces entrypoint and arguments of the image, `args` its arguments only."""
    if config.command:
        line = (*config.command, *(config.args or ()))
    else:
        line = (*image.entrypoint, *(config.args or image.cmd))
    if image.bundled and line and _basename(line[0]) == _basename(image.entrypoint[0]):
        return Program(line[1:], image.bundled, _basename(line[0]))
    return Program(line)


def _basename(path: str) -> str:
    return path.rpartition("/")[2]


def environment(
    image: ImageSpec, config: ContainerConfig, hostname: str, own: Mapping[str, str], user: int | None
) -> dict[str, str]:
    """The container's environment; `own` is the runtime's."""
    return {
        "PATH": DEFAULT_PATH,
        "HOME": "/root" if not user else "/",
        "HOSTNAME": hostname,
        **{name: own[name] for name in INHERITED if name in own},
        **({"TERM": "xterm"} if config.tty else {}),
        **image.env,
        **config.env,
    }


def capabilities(config: ContainerConfig) -> tuple[str, ...] | None:
    """The capabilities to keep, None for all. Drops come before adds, as in containerd; unknown names are no one's."""
    if config.privileged:
        return None
    kept = set(DOCKER_CAPABILITIES)
    dropped, added = _names(config.drop_capabilities), _names(config.add_capabilities)
    if "ALL" in added:
        kept = set(CAPABILITIES)
    kept -= set(CAPABILITIES) if "ALL" in dropped else dropped
    kept |= (added - {"ALL"}) & set(CAPABILITIES)
    return tuple(name for name in CAPABILITIES if name in kept)


def _names(names: Iterable[str]) -> set[str]:
    return {name.upper().removeprefix("CAP_") for name in names}


def hosts(
    ip: str, hostname: str, aliases: Sequence[tuple[str, Sequence[str]]], domain: str = "", *, node: bool = False
) -> str:
    """The pod's /etc/hosts, as the kubelet writes it; the node's own with `node`."""
    lines = [
        "# Kubernetes-managed hosts file (host network)." if node else "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::\tip6-localnet",
        "fe00::\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
        f"{ip}\t{hostname}.{domain}\t{hostname}" if domain else f"{ip}\t{hostname}",
    ]
    if aliases:
        lines += ["", "# Entries added by HostAliases."]
        lines += ["\t".join([address, *names]) for address, names in aliases]
    return "\n".join(lines) + "\n"


def resolv_conf(servers: Sequence[str], searches: Sequence[str], options: Sequence[str]) -> str:
    """The pod's /etc/resolv.conf, in the order the kubelet uses."""
    lines = [f"search {' '.join(searches)}"] if searches else []
    lines += [f"nameserver {server}" for server in servers]
    lines += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in lines)


def without_breaks(text: str) -> str:
    """The text as one word of a line-based file."""
    return "".join(char for char in text if char.isprintable())


def start_failure(argv: Sequence[str], code: int, message: str, stage: str) -> str:
    """runc's words for a program that could not be started."""
    what = f'exec: "{argv[0] if argv else ""}": '
    if stage != "exec":
        what = ""
    elif code == 2:
        message = (
            "executable file not found in $PATH"
            if argv and "/" not in argv[0]
            else f"stat {argv[0]}: " + ("no such file or directory")
        )
    elif code == 13:
        message = "permission denied"
    elif code == 8:
        message = "exec format error"
    return (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
        f"unable to start container process: error during container init: {what}{message}"
    )
