"""The `plain` driver: bare processes in the namespaces that are there, for machines that refuse new ones.

A program is told its address (`POD_IP`) and where its files are (`PANAL_ROOT`, a folder in which each volume is found
at its container path by a symbolic link, and etc/hosts and etc/resolv.conf); words of its command line and environment
that name a file of a volume are adapted. Python programs resolve names as in a pod,
by a `sitecustomize` on their path. What can't be offered here becomes a warning.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from panal import cleanup, tools
from panal.addresses import real_port

from . import processes
from .contract import ContainerConfig, Mount, RuntimeFailure
from .driver import Prepared, check_path
from .identity import no_groups
from .machine import below
from .program import environment, hosts, program, resolv_conf
from .request import SpawnRequest
from .spawner import SpawnFailed
from .state import ContainerRecord, SandboxRecord, State

MARK = "PANAL_CONTAINER"
"""The variable whose value, the container's id, is found again in the environment of all its processes."""


class Plain:
    def __init__(self, state: State) -> None:
        self._state = state
        self._site = site(state.root / "site")

    def prepare(
        self, sandbox: SandboxRecord, container: ContainerRecord, folder: Path, target: int | None = None
    ) -> Prepared:
        config, image = container.config, container.image
        run = program(image, config)
        if not run.argv and run.python is None:
            raise RuntimeFailure("no command specified")
        if image.rootfs:
            raise RuntimeFailure(f"{image.ref} has a root file system of its own, which the plain runtime cannot show")
        root = folder / "layer" / "root"
        unplaced = self._lay_out(sandbox, container, root)
        argv = run.argv
        if image.plain_args and argv and os.path.basename(argv[0]) == image.cmd[0]:
            argv = (argv[0], *_placed(image.plain_args, root), *argv[1:])
        request = SpawnRequest(
            argv=tuple(relocated(word, config.mounts, root) for word in argv),
            python=run.python,
            name=run.name,
            env=self._environment(sandbox, container, root),
            cwd=_folder(config, config.working_dir or image.working_dir, root),
            uid=config.user if os.geteuid() == 0 else None,
            gid=config.group if os.geteuid() == 0 else None,
            groups=tuple(config.supplemental_groups) if os.geteuid() == 0 else None,
            no_new_privs=config.no_new_privileges,
            cgroups=container.cgroups,
        )
        return Prepared(request, tuple(warnings(config, unplaced, os.geteuid())))

    def pause(self, sandbox: SandboxRecord) -> SpawnRequest | None:
        return None

    def again(self, failure: SpawnFailed) -> bool:
        return False

    def exec(self, sandbox: SandboxRecord, container: ContainerRecord, command: Sequence[str]) -> SpawnRequest:
        root = self._state.container_folder(container.id) / "layer" / "root"
        config = container.config
        return SpawnRequest(
            argv=tuple(relocated(word, config.mounts, root) for word in command),
            env=self._environment(sandbox, container, root),
            cwd=_folder(config, config.working_dir or container.image.working_dir, root),
            uid=config.user if os.geteuid() == 0 else None,
            gid=config.group if os.geteuid() == 0 else None,
            groups=tuple(config.supplemental_groups) if os.geteuid() == 0 else None,
            no_new_privs=config.no_new_privileges,
            cgroups=container.cgroups,
        )

    def processes(self, container: ContainerRecord) -> list[int]:
        marked = set(processes.marked(f"{MARK}={container.id}".encode()))
        if container.pid is not None:
            marked |= {
                process.pid for process in processes.family(processes.everyone(), container.pid, container.start)
            }
        return sorted(marked)

    def members(self, containers: Sequence[ContainerRecord]) -> dict[str, list[int]]:
        """By their mark: what was executed and kept its environment, and each container's first process and family."""
        marked = processes.marks(MARK.encode())
        everyone = list(processes.everyone())
        found = {}
        for container in containers:
            pids = set(marked.get(container.id, ()))
            if container.pid is not None:
                pids |= {process.pid for process in processes.family(everyone, container.pid, container.start)}
            if pids:
                found[container.id] = sorted(pids)
        return found

    def end(self, container: ContainerRecord) -> None:
        """Kill all that descends from the container, round after round until no more is born."""
        for _ in range(20):
            found = self.processes(container)
            alive = [pid for pid in found if (process := processes.read(pid)) and process.state != "Z"]
            if not alive:
                return
            for pid in alive:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def release(self, sandbox: SandboxRecord) -> None:
        """Nothing is held but files."""

    def _environment(self, sandbox: SandboxRecord, container: ContainerRecord, root: Path) -> dict[str, str]:
        hostname = sandbox.config.hostname or sandbox.config.name
        found = environment(container.image, container.config, hostname, os.environ, None)
        mounts = container.config.mounts
        own = {name: relocated(value, mounts, root) for name, value in container.config.env.items()}
        return {
            **found,
            **own,
            "HOME": str(root / "root"),
            "PATH": ":".join([f"{root}/usr/local/sbin", f"{root}/usr/local/bin", found["PATH"], *_unpacked_programs()]),
            "PYTHONPATH": self._site + (f":{found['PYTHONPATH']}" if "PYTHONPATH" in found else ""),
            "TMPDIR": str(root / "tmp"),
            "POD_IP": sandbox.ip,
            "PANAL_ROOT": str(root),
            **{name: os.environ[name] for name in (cleanup.MARK,) if name in os.environ},
            MARK: container.id,
        }

    def _lay_out(self, sandbox: SandboxRecord, container: ContainerRecord, root: Path) -> list[str]:
        """Make the folder; returns the mounts that could not be placed."""
        config, image = container.config, container.image
        for path in ("/etc", "/tmp", "/run", "/root", "/var/log", "/usr/local/bin", *image.writable):
            (root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        pod = sandbox.config
        files = {
            "/etc/hosts": hosts(
                sandbox.ip, pod.hostname or pod.name, pod.host_aliases, pod.domain, node=pod.host_network
            ),
            "/etc/resolv.conf": resolv_conf(pod.dns_servers, pod.dns_searches, pod.dns_options),
            **{path: _fill(text, root, sandbox.ip) for path, text in image.files.items()},
        }
        for path, text in files.items():
            place = root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
            place.chmod(0o755 if place.parent.name == "bin" or text.startswith("#!") else 0o644)
        return [mount.container_path for mount in sorted(config.mounts, key=_depth) if not _link(root, mount)]


def _unpacked_programs() -> list[str]:
    found = tools.folder(os.environ)
    return [str(found / "bin")] if found else []


def site(folder: Path) -> str:
    """Make the folder that is put in front of PYTHONPATH."""
    folder.mkdir(exist_ok=True)
    link = folder / "sitecustomize.py"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(__file__).with_name("podresolver.py"))
    return str(folder)


def relocated(word: str, mounts: Sequence[Mount], root: Path) -> str:
    """A word of a command line or an environment that names a file of a volume, as the path where the file is here.

    `/app/web.py` and `--config=/etc/app/conf` are recognised, paths inside a longer text are not.
    """
    flag, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    for mount in mounts:
        path = mount.container_path.rstrip("/")
        if mount.host_path != mount.container_path and path and below(value, path):
            return f"{flag}{equals}{root}{value}"
    return word


def warnings(config: ContainerConfig, unplaced: Sequence[str], user: int) -> list[str]:
    """What this container asked for and a bare process can't have."""
    told = []
    if config.mounts:
        paths = ", ".join(mount.container_path for mount in config.mounts)
        told.append(
            "in the plain runtime volumes are found under $PANAL_ROOT, not at their mountPath (words of the command "
            f"and of the environment that name one are adapted): {paths}"
        )
    if unplaced:
        told.append(f"volumes inside other volumes are not shown in the plain runtime: {', '.join(unplaced)}")
    if config.readonly_rootfs:
        told.append("readOnlyRootFilesystem is not enforced in the plain runtime")
    if config.add_capabilities or config.drop_capabilities or config.privileged:
        told.append("capabilities are not changed in the plain runtime: programs have those of Panal's own user")
    if user != 0:
        if config.user not in (None, user):
            told.append(f"runAsUser {config.user} is not possible in the plain runtime without root: it runs as {user}")
        if config.group not in (None, os.getegid()):
            told.append(f"runAsGroup {config.group} is not possible in the plain runtime without root")
        told += no_groups(config.supplemental_groups)
    return told


def _link(root: Path, mount: Mount) -> bool:
    place = root / check_path(mount.container_path).lstrip("/")
    if not os.path.exists(mount.host_path):
        raise RuntimeFailure(f'error mounting "{mount.host_path}": no such file or directory')
    inside = place.parent
    while inside != root:
        if inside.is_symlink():
            return False
        inside = inside.parent
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir() and not place.is_symlink():
        with contextlib.suppress(OSError):
            for entry in place.iterdir():
                entry.unlink()
            place.rmdir()
    place.unlink(missing_ok=True)
    place.symlink_to(os.path.realpath(mount.host_path))
    return True


def _depth(mount: Mount) -> tuple[int, str]:
    path = check_path(mount.container_path)
    return path.count("/"), path


def _placed(words: Sequence[str], root: Path) -> tuple[str, ...]:
    return tuple(word.replace("@ROOT@", str(root)) for word in words)


def _fill(text: str, root: Path, ip: str, environ: Mapping[str, str] | None = None) -> str:
    return text.replace("@ROOT@", str(root)).replace("@LISTEN:80@", f"{ip}:{real_port(80, environ)}")


def _folder(config: ContainerConfig, path: str, root: Path) -> str:
    """The working folder: one of a volume's, else the machine's, else one among the container's files."""
    inside = root / path.lstrip("/")
    if any(below(path, check_path(mount.container_path)) for mount in config.mounts) and inside.is_dir():
        return str(inside)
    if path != "/" and os.path.isdir(path):
        return path
    return str(inside if inside.is_dir() else root)
