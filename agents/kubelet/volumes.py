"""What a pod's volumes hold, and which objects of the API it reads. Pure: `mounter` puts it on disk.

A volume is a `Folder` (emptyDir), a `HostPath`, or `Files` (configMap, secret, downwardAPI, projected).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from panal import quantity
from panal.podresources import effective

from . import podspec
from .fields import FieldError, Surroundings, field_value, resource_value
from .podspec import Pod

DEFAULT_MODE = 0o644

Data = Mapping[str, bytes]
Lookup = Callable[[str, str], Data | None]
"""(configmap or secret, name) -> its data in the pod's namespace, None when there is none."""


class VolumeError(ValueError):
    """A volume that cannot be set up now; the message is for the FailedMount event."""


@dataclass(frozen=True)
class File:
    """A file of a volume; `path` is relative and stays inside."""

    path: str
    data: bytes
    mode: int


@dataclass(frozen=True)
class Folder:
    """An empty folder, on disk or in memory."""

    memory: bool = False
    size: int = 0
    """Bytes that fit into one in memory; 0: the kernel's default, half of the machine's."""


@dataclass(frozen=True)
class HostPath:
    """A path of the machine, which must be of the given type (HostPathType)."""

    path: str
    kind: str


@dataclass(frozen=True)
class Files:
    """Files that follow the objects they come from."""

    files: tuple[File, ...]


Volume = Folder | HostPath | Files


@dataclass(frozen=True)
class TokenWish:
    """A service account token that a pod asks for."""

    audience: str
    seconds: int


Tokens = Mapping[TokenWish, str]


def plugin(volume: Mapping[str, Any]) -> str:
    """The folder name that upstream gives this kind of volume below pods/UID/volumes."""
    for field, name in (
        ("configMap", "configmap"),
        ("secret", "secret"),
        ("projected", "projected"),
        ("downwardAPI", "downward-api"),
    ):
        if field in volume:
            return f"kubernetes.io~{name}"
    return "kubernetes.io~empty-dir"


def contents(pod: Pod, volume: Mapping[str, Any], lookup: Lookup, tokens: Tokens, around: Surroundings) -> Volume:
    """What the volume is. Raises VolumeError in upstream's words."""
    if "hostPath" in volume:
        return HostPath(volume["hostPath"]["path"], volume["hostPath"].get("type") or "")
    if (source := volume.get("configMap")) is not None:
        return Files(tuple(_from_object("configmap", source, source.get("name"), _mode(source), lookup)))
    if (source := volume.get("secret")) is not None:
        return Files(tuple(_from_object("secret", source, source.get("secretName"), _mode(source), lookup)))
    if (source := volume.get("downwardAPI")) is not None:
        return Files(tuple(_downward(pod, source, _mode(source), around)))
    if (source := volume.get("projected")) is not None:
        return Files(tuple(_projected(pod, source, lookup, tokens, around)))
    if "emptyDir" in volume or set(volume) == {"name"}:
        return _empty(pod, volume.get("emptyDir") or {})
    kind = next(field for field in volume if field != "name")
    raise VolumeError(f"volumes of type {kind} are not supported by this node")


def _empty(pod: Pod, source: Mapping[str, Any]) -> Folder:
    """In memory it is never larger than its sizeLimit, nor than what the pod's containers may take together."""
    if source.get("medium") != "Memory":
        return Folder()
    bounds = [int(quantity.parse(str(source["sizeLimit"])))] if source.get("sizeLimit") else []
    containers = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    if all("memory" in ((spec.get("resources") or {}).get("limits") or {}) for spec in containers):
        bounds.append(effective(pod, "limits", "memory"))
    return Folder(True, min((bound for bound in bounds if bound > 0), default=0))


def _mode(source: Mapping[str, Any]) -> int:
    mode = source.get("defaultMode")
    return DEFAULT_MODE if mode is None else int(mode)


def _from_object(kind: str, source: Mapping[str, Any], name: str | None, mode: int, lookup: Lookup) -> Iterator[File]:
    optional = bool(source.get("optional"))
    data = lookup(kind, name or "")
    if data is None:
        if not optional:
            raise VolumeError(f'{kind} "{name}" not found')
        return
    items = source.get("items")
    if not items:
        for key in sorted(data):
            yield _file(key, data[key], mode)
        return
    for item in items:
        if item["key"] not in data:
            if optional:
                continue
            word = "config" if kind == "configmap" else kind
            raise VolumeError(f"references non-existent {word} key: {item['key']}")
        yield _file(item["path"], data[item["key"]], mode if item.get("mode") is None else int(item["mode"]))


def _file(path: str, data: bytes, mode: int) -> File:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise VolumeError(f"invalid path {path!r} in a volume")
    return File(str(PurePosixPath(path)), data, mode & 0o777)


def _downward(pod: Pod, source: Mapping[str, Any], mode: int, around: Surroundings) -> Iterator[File]:
    for item in source.get("items") or ():
        try:
            if (ref := item.get("fieldRef")) is not None:
                text = field_value(pod, ref["fieldPath"], around)
            else:
                text = resource_value(pod, item["resourceFieldRef"], None, around)
        except (FieldError, ValueError) as error:
            raise VolumeError(str(error)) from error
        yield _file(item["path"], text.encode(), mode if item.get("mode") is None else int(item["mode"]))


def _projected(
    pod: Pod, volume: Mapping[str, Any], lookup: Lookup, tokens: Tokens, around: Surroundings
) -> Iterator[File]:
    mode = _mode(volume)
    for source in volume.get("sources") or ():
        if (part := source.get("configMap")) is not None:
            yield from _from_object("configmap", part, part.get("name"), mode, lookup)
        elif (part := source.get("secret")) is not None:
            yield from _from_object("secret", part, part.get("name"), mode, lookup)
        elif (part := source.get("downwardAPI")) is not None:
            yield from _downward(pod, part, mode, around)
        elif (part := source.get("serviceAccountToken")) is not None:
            yield _file(part["path"], tokens[token_wish(part)].encode(), mode)
        else:
            raise VolumeError(f"projected sources of type {next(iter(source), '?')} are not supported by this node")


def token_wish(source: Mapping[str, Any]) -> TokenWish:
    return TokenWish(source.get("audience") or "", int(source.get("expirationSeconds") or 3600))


def token_wishes(pod: Pod) -> set[TokenWish]:
    """Every token that the pod's volumes hold."""
    return {
        token_wish(source["serviceAccountToken"])
        for volume in pod["spec"].get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources") or ()
        if "serviceAccountToken" in source
    }


def referenced(pod: Pod) -> set[tuple[str, str]]:
    """(configmap or secret, name) of everything the pod's volumes and containers read."""
    found: set[tuple[str, str]] = set()
    for volume in pod["spec"].get("volumes") or ():
        for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
            if (part := source.get("configMap")) is not None:
                found.add(("configmap", part.get("name") or ""))
            if (part := source.get("secret")) is not None:
                found.add(("secret", part.get("secretName") or part.get("name") or ""))
    for spec in podspec.every_container(pod):
        found.update(_of_env(spec.get("envFrom") or (), "configMapRef", "secretRef"))
        sources = [entry.get("valueFrom") or {} for entry in spec.get("env") or ()]
        found.update(_of_env(sources, "configMapKeyRef", "secretKeyRef"))
    return found


def _of_env(sources: Sequence[Mapping[str, Any]], config_map: str, secret: str) -> Iterator[tuple[str, str]]:
    for source in sources:
        for field, kind in ((config_map, "configmap"), (secret, "secret")):
            if (ref := source.get(field)) is not None:
                yield kind, ref.get("name") or ""


def object_data(kind: str, obj: Mapping[str, Any]) -> dict[str, bytes]:
    """The data of a ConfigMap or a Secret as bytes."""
    found: dict[str, bytes] = {}
    if kind == "configmap":
        found.update({key: text.encode() for key, text in (obj.get("data") or {}).items()})
        encoded = obj.get("binaryData") or {}
    else:
        encoded = obj.get("data") or {}
    for key, text in encoded.items():
        try:
            found[key] = base64.b64decode(text)
        except (binascii.Error, ValueError):
            continue
    return found
