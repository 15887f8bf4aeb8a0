"""A pod's volumes on disk below pods/UID/volumes, and where containers see them. Shell of `volumes` and `atomic`."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from panal import linux

from ..runtime.contract import Mount
from . import atomic, claims, podspec, volumes
from .env import ConfigError, expand
from .fields import Surroundings
from .podspec import ContainerSpec, Pod
from .volumes import Files, Folder, HostPath, Lookup, Tokens, VolumeError

_log = logging.getLogger(__name__)

MS_NOSUID, MS_NODEV = 2, 4
TERMINATION_LOG = "/dev/termination-log"


class Mounter:
    """The volumes of one node's pods; `folder` is the node's pods folder."""

    def __init__(self, folder: Path, foreign: tuple[str, str] | None = None, *, in_memory: bool = False) -> None:
        """`in_memory`: whether mounts made here are seen by the containers and by nobody else."""
        self._folder = folder
        self._in_memory = in_memory
        self._files = folder.with_name(f"{folder.name}-in-memory") if in_memory else folder
        """Below it lie configMaps, secrets, tokens and their like: in memory where that can be, as upstream's."""
        self._looked = not in_memory
        self._foreign = foreign
        """A folder of another machine that manifests name, and the one that has its part here."""

    def pod_folder(self, uid: str) -> Path:
        return self._folder / _safe(uid)

    def _files_of(self, uid: str) -> Path:
        """Raises OSError."""
        if not self._looked:
            self._keep_in_memory(self._files)
            self._looked = True
        return self._files / _safe(uid)

    def _keep_in_memory(self, place: Path) -> None:
        """Mount a file system in memory, unless an earlier kubelet did; where there can be none it is the disk."""
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.path.ismount(place):
            return
        try:
            linux.mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700")
        except OSError as error:
            _log.warning("configMaps and secrets are kept on disk: %s", error)

    def empty_dir(self, pod: Pod, name: str) -> Path:
        """Where an emptyDir of the pod is."""
        return self.pod_folder(podspec.uid(pod)) / "volumes" / volumes.plugin({"emptyDir": {}}) / _safe(name)

    def set_up(self, pod: Pod, lookup: Lookup, tokens: Tokens, around: Surroundings) -> dict[str, Path]:
        """Make all volumes, or bring them up to date; their paths by name. Raises VolumeError."""
        found: dict[str, Path] = {}
        for volume in pod["spec"].get("volumes") or ():
            try:
                found[volume["name"]] = self._one(pod, volume, lookup, tokens, around)
            except (VolumeError, OSError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                raise VolumeError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {reason}') from error
        return found

    def _one(self, pod: Pod, volume: Mapping[str, Any], lookup: Lookup, tokens: Tokens, around: Surroundings) -> Path:
        uid = podspec.uid(pod)
        place = self.pod_folder(uid) / "volumes" / volumes.plugin(volume) / _safe(volume["name"])
        group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
        match volumes.contents(pod, volume, lookup, tokens, around):
            case HostPath(path, kind):
                here = self._here(Path(path))
                check_host_path(here, kind)
                return here
            case Files(files):
                place = self._files_of(uid) / "volumes" / volumes.plugin(volume) / _safe(volume["name"])
                atomic.write(place, files, group)
            case Folder(memory, size):
                place.mkdir(parents=True, exist_ok=True)
                if memory and self._in_memory and not os.path.ismount(place):
                    options = f"mode=0777,size={size}" if size else "mode=0777"
                    linux.mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, options)
                os.chmod(place, 0o2777 if group is not None else 0o777)
                if group is not None:
                    atomic.own_group(place, int(group))
        return place

    def _here(self, path: Path) -> Path:
        if self._foreign is not None and ".." not in path.parts and path.is_relative_to(self._foreign[0]):
            return Path(self._foreign[1]) / path.relative_to(self._foreign[0])
        return path

    def mounts(self, pod: Pod, spec: ContainerSpec, paths: Mapping[str, Path], env: Mapping[str, str]) -> list[Mount]:
        """Where the container sees which volume. Raises ConfigError."""
        found: list[Mount] = []
        read_only = claims.read_only(pod)
        for mount in spec.get("volumeMounts") or ():
            if (source := paths.get(mount["name"])) is None:
                raise ConfigError(f"unmounted volumes=[{mount['name']}]")
            inside = expand(mount["subPathExpr"], env) if mount.get("subPathExpr") else mount.get("subPath") or ""
            where = _sub_path(source, inside) if inside else source
            found.append(
                Mount(
                    _absolute(mount["mountPath"]), str(where), bool(mount.get("readOnly")) or mount["name"] in read_only
                )
            )
        return found

    def termination_log(self, pod: Pod, spec: ContainerSpec, attempt: int) -> Path:
        """The file a container's last words go to; made empty, for everyone to write."""
        path = self.termination_log_path(podspec.uid(pod), spec["name"], attempt)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(descriptor, 0o666)
        finally:
            os.close(descriptor)
        return path

    def termination_log_path(self, uid: str, container: str, attempt: int) -> Path:
        return self.pod_folder(uid) / f"termination-log.{_safe(container)}.{attempt}"

    def remove(self, uid: str) -> None:
        """Everything of a pod that is gone."""
        for place in self.pod_folder(uid).glob(f"volumes/{volumes.plugin({'emptyDir': {}})}/*"):
            if os.path.ismount(place):
                with contextlib.suppress(OSError):
                    linux.umount(place)
        for folder in {self._folder / _safe(uid), self._files / _safe(uid)}:
            shutil.rmtree(folder, ignore_errors=True)

    def known(self) -> Sequence[str]:
        """The uids of pods that have a folder."""
        places = {self._folder, self._files}
        return list({entry.name for place in places if place.is_dir() for entry in place.iterdir()})


def _safe(name: str) -> str:
    """A name as one path segment. Names come validated from the API; files of static pods are not."""
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise VolumeError(f"{name!r} cannot be the name of a file")
    return name


def _absolute(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _sub_path(volume: Path, inside: str) -> Path:
    """A path inside a volume; made as a folder when it is missing; a symlink out of the volume is refused."""
    if inside.startswith("/") or ".." in Path(inside).parts:
        raise ConfigError(f'subPath "{inside}" must be a relative path without ".."')
    wanted = volume / inside
    root = volume.resolve()
    if not wanted.resolve().is_relative_to(root):
        raise ConfigError(f'subPath "{inside}" leads out of its volume')
    if not wanted.exists():
        try:
            wanted.mkdir(parents=True)
        except OSError as error:
            raise ConfigError(f'failed to create subPath directory for volumeMount "{inside}"') from error
    return wanted.resolve()


_KINDS: Mapping[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "directory"),
    "File": (stat.S_ISREG, "file"),
    "FileOrCreate": (stat.S_ISREG, "file"),
    "Socket": (stat.S_ISSOCK, "socket file"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}


def check_host_path(path: Path, kind: str) -> None:
    """Make sure that the path is what its HostPathType says, made if it may be. Raises VolumeError, OSError."""
    if ".." in path.parts:
        raise VolumeError(f"hostPath {path} must not contain '..'")
    if kind == "DirectoryOrCreate" and not path.exists():
        path.mkdir(mode=0o755, parents=True)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    elif not kind:
        if not path.exists():
            path.mkdir(mode=0o755, parents=True)
        return
    if kind not in _KINDS:
        raise VolumeError(f"unknown hostPath type {kind}")
    fits, word = _KINDS[kind]
    if not path.exists() or not fits(path.stat().st_mode):
        raise VolumeError(f"hostPath type check failed: {path} is not a {word}")
