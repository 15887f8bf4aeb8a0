"""The `namespaces` driver: a pod has network, ipc and uts namespaces, each container its own mounts and processes.

Works as the machine's root and as the root of a user namespace with a single user. The ipc and uts namespaces are made
by the pod's first container and kept by bind mounts in the sandbox's folder.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from . import layer, machine, processes, syscalls
from .contract import Mount, RuntimeFailure
from .driver import Prepared, check_path
from .identity import identity
from .layer import Abilities, Layer, Layers
from .machine import View, below
from .program import capabilities, environment, hosts, program, resolv_conf, start_failure
from .request import OLD_ROOT, SpawnRequest, Step
from .spawner import SpawnFailed
from .state import ContainerRecord, SandboxRecord, State

_SHARED = ("ipc", "uts")
_JOINED = ("ipc", "uts", "net", "pid", "mnt")


class Namespaces:
    def __init__(self, state: State, view: View, *, confined: bool) -> None:
        """`confined`: a user namespace keeps even privileged programs from the machine."""
        self._state, self._view, self._confined = state, view, confined
        self._abilities = Abilities()
        self._layers = Layers()
        self._root = os.path.realpath(state.root / "root")
        """An empty folder; each container mounts its own root over it, where only it sees it."""
        os.makedirs(self._root, exist_ok=True)

    def prepare(
        self, sandbox: SandboxRecord, container: ContainerRecord, folder: Path, target: int | None = None
    ) -> Prepared:
        config, image = container.config, container.image
        who, warnings = identity(config, image.user)
        run = program(image, config)
        if not run.argv and run.python is None:
            raise RuntimeFailure("no command specified")
        hostname = _hostname(sandbox)
        shared, kept = self._shared(sandbox)
        owner = target or sandbox.pause_pid
        processes_of = {"pid": f"/proc/{owner}/ns/pid"} if owner else {}
        request = SpawnRequest(
            argv=run.argv,
            python=run.python,
            name=run.name,
            env=environment(image, config, hostname, os.environ, who.shown_uid),
            cwd=config.working_dir or image.working_dir,
            netns=sandbox.netns,
            new_namespaces=("mnt", *(() if processes_of else ("pid",)), *kept),
            join_namespaces={**shared, **processes_of},
            keep_namespaces=kept,
            hostname=hostname if kept else None,
            root=self._root,
            steps=self._steps(sandbox, container, hostname),
            uid=who.uid,
            gid=who.gid,
            groups=who.groups,
            show_as=who.show_as,
            sole_owner=who.sole_owner,
            capabilities=capabilities(config),
            no_new_privs=config.no_new_privileges,
            cgroups=container.cgroups,
        )
        return Prepared(request, tuple(warnings))

    def pause(self, sandbox: SandboxRecord) -> SpawnRequest | None:
        if not sandbox.config.share_process_namespace:
            return None
        return SpawnRequest((), python="panal.agents.runtime.pause:main", name="pause", env={}, new_namespaces=("pid",))

    def again(self, failure: SpawnFailed) -> bool:
        if failure.stage != "mounts" or (better := self._abilities.after(failure.strerror or "")) is None:
            return False
        self._abilities = better
        return True

    def exec(self, sandbox: SandboxRecord, container: ContainerRecord, command: Sequence[str]) -> SpawnRequest:
        config, image = container.config, container.image
        who, _ = identity(config, image.user)
        return SpawnRequest(
            argv=tuple(command),
            env=environment(image, config, _hostname(sandbox), os.environ, who.shown_uid),
            cwd=config.working_dir or image.working_dir,
            join_namespaces={name: f"/proc/{container.pid}/ns/{name}" for name in _JOINED},
            uid=who.uid,
            gid=who.gid,
            groups=who.groups,
            show_as=who.show_as,
            sole_owner=who.sole_owner,
            capabilities=capabilities(config),
            no_new_privs=config.no_new_privileges,
            cgroups=container.cgroups,
        )

    def processes(self, container: ContainerRecord) -> list[int]:
        if container.pid is None:
            return []
        found = processes.same_namespace(container.pid, "mnt")
        return found or [container.pid]

    def members(self, containers: Sequence[ContainerRecord]) -> dict[str, list[int]]:
        roots = {container.id: container.pid for container in containers if container.pid is not None}
        return processes.by_namespace(roots, "mnt")

    def end(self, container: ContainerRecord) -> None:
        """The kernel has ended what was left in the process namespace; in a shared one it lives on, as it should."""

    def release(self, sandbox: SandboxRecord) -> None:
        for name in _SHARED:
            path = self._state.sandbox_folder(sandbox.id) / name
            while processes.is_namespace(path):
                syscalls.umount(str(path), detach=True)
            with contextlib.suppress(OSError):
                path.unlink()

    def _shared(self, sandbox: SandboxRecord) -> tuple[dict[str, str], dict[str, str]]:
        """The pod's namespaces to join, and those to make and keep: name -> path."""
        folder = self._state.sandbox_folder(sandbox.id)
        join, keep = {}, {}
        for name in _SHARED:
            path = folder / name
            if processes.is_namespace(path):
                join[name] = str(path)
            else:
                path.touch(mode=0o600)
                keep[name] = str(path)
        return join, keep

    def _steps(self, sandbox: SandboxRecord, container: ContainerRecord, hostname: str) -> tuple[Step, ...]:
        config, image, pod = container.config, container.image, sandbox.config
        view = machine.of_image(image.rootfs) if image.rootfs else self._view
        made = self._layers.of(Layer(self._root, view, self._abilities, image.writable, config.readonly_rootfs))
        files = {
            "/etc/hosts": hosts(sandbox.ip, _short(sandbox), pod.host_aliases, pod.domain, node=pod.host_network),
            "/etc/hostname": f"{hostname}\n",
            "/etc/resolv.conf": resolv_conf(pod.dns_servers, pod.dns_searches, pod.dns_options),
            **{path: text.replace("@ROOT@", "").replace("@LISTEN:80@", "80") for path, text in image.files.items()},
        }
        for path, text in files.items():
            made.file_at(path, text)
        for path, of_machine in image.setuid.items():
            made.setuid_at(path, of_machine)
        volumes = [self._volume(made, mount) for mount in sorted(config.mounts, key=_depth)]
        guarded = not self._confined and not config.privileged
        steps = [*made.steps(), *layer.system_steps(self._abilities, guarded=guarded)]
        if not self._abilities.overlays:
            placed = [(path, where) for path in files if (where := made.place(path)) not in (None, path)]
            steps += [Step("bind", path, source=str(where), optional=True) for path, where in placed]
        steps += volumes
        if config.readonly_rootfs:
            steps.append(Step("readonly", "/"))
        return tuple(steps)

    def _volume(self, made: Layer, mount: Mount) -> Step:
        """`container_path` may lead through the machine's links, such as /var/run; the source's are followed now."""
        source = os.path.realpath(mount.host_path)
        try:
            is_folder = os.path.isdir(source) if os.path.exists(source) else None
        except (OSError, ValueError):
            is_folder = None
        if is_folder is None:
            raise RuntimeFailure(
                start_failure((), 2, f"mounting {mount.host_path}: no such file or directory", "mounts")
            )
        target = machine.follow(made.view.base, check_path(mount.container_path))
        if any(below(target, folder) for folder in ("/proc", "/sys")):
            raise RuntimeFailure(f'"{mount.container_path}" cannot be mounted because it is inside /proc or /sys')
        (made.folder_at if is_folder else made.file_at)(target)
        return Step("bind", target, source=OLD_ROOT + source, readonly=mount.readonly)


def _depth(mount: Mount) -> tuple[int, str]:
    path = check_path(mount.container_path)
    return path.count("/"), path


def _short(sandbox: SandboxRecord) -> str:
    return (sandbox.config.hostname or sandbox.config.name)[:63]


def _hostname(sandbox: SandboxRecord) -> str:
    config = sandbox.config
    return f"{_short(sandbox)}.{config.domain}" if config.full_hostname and config.domain else _short(sandbox)
