"""Kubeconfig files: read one for a client, write one for a user, merge a context into the user's own.

Format: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/. Panal's own are JSON, which is YAML too.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

_LIMIT = 4 * 1024 * 1024
"""Bytes of a kubeconfig that are read at most; kubectl's own are a few KiB."""


class KubeconfigError(ValueError):
    """A kubeconfig that cannot be used; the message says which, what and where."""


@dataclass(frozen=True)
class Access:
    """How to reach an API server and as whom. PEM texts are bytes."""

    server: str
    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    token: str | None = None
    token_file: str | None = None
    namespace: str = "default"


def load(path: Path) -> dict[str, Any]:
    """The file as a dict. Raises KubeconfigError."""
    try:
        raw = path.read_bytes()[: _LIMIT + 1]
    except OSError as error:
        raise KubeconfigError(f"kubeconfig {path} cannot be read: {error.strerror}") from error
    if len(raw) > _LIMIT:
        raise KubeconfigError(f"kubeconfig {path} is larger than {_LIMIT} bytes")
    return _parse(raw, path)


def _parse(raw: bytes, path: Path) -> dict[str, Any]:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        import yaml

        try:
            document = yaml.safe_load(raw)
        except yaml.YAMLError as error:
            raise KubeconfigError(f"kubeconfig {path} is neither YAML nor JSON: {error}") from error
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise KubeconfigError(f"kubeconfig {path} is not a mapping")
    return document


def access(path: Path, context: str | None = None) -> Access:
    """What the file's (current) context gives. Raises KubeconfigError."""
    document = load(path)
    chosen = context or document.get("current-context") or ""
    entry = _named(document, "contexts", chosen, "context", path)
    cluster = _named(document, "clusters", str(entry.get("cluster", "")), "cluster", path)
    user = _named(document, "users", str(entry.get("user", "")), "user", path)
    return Access(
        server=str(cluster.get("server", "")),
        ca=_pem(cluster, "certificate-authority", path),
        certificate=_pem(user, "client-certificate", path),
        key=_pem(user, "client-key", path),
        token=user.get("token"),
        token_file=user.get("tokenFile"),
        namespace=str(entry.get("namespace") or "default"),
    )


def _named(document: Mapping[str, Any], section: str, name: str, key: str, path: Path) -> Mapping[str, Any]:
    for entry in _entries(document, section):
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(key), dict):
            found: Mapping[str, Any] = entry[key]
            return found
    raise KubeconfigError(f"kubeconfig {path} has no {key} named {name!r}")


def _entries(document: Mapping[str, Any], section: str) -> list[Any]:
    entries = document.get(section)
    return entries if isinstance(entries, list) else []


def _pem(entry: Mapping[str, Any], field: str, path: Path) -> bytes | None:
    if data := entry.get(f"{field}-data"):
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, TypeError) as error:
            raise KubeconfigError(f"kubeconfig {path}: {field}-data is not base64") from error
    if file := entry.get(field):
        try:
            return (path.parent / str(file)).read_bytes()
        except OSError as error:
            raise KubeconfigError(f"kubeconfig {path}: {field} {file}: {error.strerror}") from error
    return None


def document(name: str, *, server: str, ca: bytes, certificate: bytes, key: bytes, user: str) -> dict[str, Any]:
    """A kubeconfig with one context called `name`, everything inside."""

    def encoded(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": encoded(ca)}}],
        "users": [
            {
                "name": user,
                "user": {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)},
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
        "preferences": {},
    }


def write_private(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 atomically: readers see the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other clusters' commands and keepers from changing the file. Its folder is made. Raises OSError."""
    folder = path.resolve().parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def check_writable(path: Path) -> None:
    """Whether `merge` will be able to change the file, or make it. Raises KubeconfigError, OSError."""
    target = path.resolve()
    if target.exists():
        load(path)
        if not os.access(target, os.W_OK):
            raise KubeconfigError(f"kubeconfig {path} is read-only")
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise KubeconfigError(f"kubeconfig {path} can't be written: nothing can be made in {folder}")


def user_kubeconfig(environ: Mapping[str, str]) -> Path:
    """The file kubectl writes to: the first of `$KUBECONFIG`, else ~/.kube/config."""
    for entry in (environ.get("KUBECONFIG") or "").split(os.pathsep):
        if entry:
            return Path(entry)
    return Path(environ.get("HOME") or os.path.expanduser("~")) / ".kube" / "config"


def merge(path: Path, addition: Mapping[str, Any]) -> None:
    """Put the addition's cluster, user and context into the file and make its context the current one.

    What else the file holds stays. The file becomes YAML of mode 0600. Raises KubeconfigError, OSError.
    """
    merged = load(path) if path.exists() else {"apiVersion": "v1", "kind": "Config", "preferences": {}}
    for section in ("clusters", "users", "contexts"):
        names = {entry["name"] for entry in addition[section]}
        kept = [
            entry for entry in _entries(merged, section) if not (isinstance(entry, dict) and entry.get("name") in names)
        ]
        merged[section] = [*kept, *addition[section]]
    merged["current-context"] = addition["current-context"]
    _write_yaml(path, merged)


def remove(path: Path, names: Mapping[str, str], previous: str = "") -> None:
    """Take `{"contexts": name, "clusters": name, "users": name}` out of the file again; a file left empty is kept.

    If that was the current context, `previous` becomes it, where the file has one of that name.
    """
    if not path.exists():
        return
    document = load(path)
    changed = False
    for section, name in names.items():
        entries = _entries(document, section)
        kept = [entry for entry in entries if not (isinstance(entry, dict) and entry.get("name") == name)]
        if len(kept) != len(entries):
            document[section] = kept
            changed = True
    if changed:
        if document.get("current-context") == names.get("contexts"):
            known = {entry.get("name") for entry in _entries(document, "contexts") if isinstance(entry, dict)}
            document["current-context"] = previous if previous in known else ""
        _write_yaml(path, document)


def _write_yaml(path: Path, document: Mapping[str, Any]) -> None:
    import yaml

    write_private(path.resolve(), yaml.safe_dump(dict(document), sort_keys=False).encode())
