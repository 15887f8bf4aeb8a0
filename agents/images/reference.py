"""Image names as the Docker distribution writes them: [registry/]path[:tag][@digest].

Pure. The grammar is that of github.com/distribution/reference; a name without a registry belongs to docker.io, one
without a folder to its `library`, and one without tag and digest means `latest`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?))*(?::[0-9]+)?"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_REGISTRY = re.compile(_HOST)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_LENGTH = 255


class InvalidReference(ValueError):
    """The text is no image name; the message is the reference library's."""


@dataclass(frozen=True)
class Reference:
    registry: str
    path: str
    tag: str
    digest: str

    @property
    def familiar(self) -> str:
        """The path without what Docker adds: `nginx` for docker.io/library/nginx."""
        if self.registry == "docker.io":
            return self.path.removeprefix("library/")
        return self.path

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.path}{tag}{digest}"


def parse(image: str) -> Reference:
    """Read an image name. Raises InvalidReference."""
    rest, at, digest = image.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise InvalidReference("invalid reference format")
    tag = ""
    if ":" in rest.rpartition("/")[2]:
        rest, _, tag = rest.rpartition(":")
        if not _TAG.fullmatch(tag):
            raise InvalidReference("invalid reference format")
    registry, path = _split(rest)
    if not _REGISTRY.fullmatch(registry) or len(path) > _MAX_LENGTH:
        raise InvalidReference("invalid reference format")
    if not _PATH.fullmatch(path):
        if _PATH.fullmatch(path.lower()):
            raise InvalidReference(f"invalid reference format: repository name ({path}) must be lowercase")
        raise InvalidReference("invalid reference format")
    return Reference(registry, path, tag or ("" if digest else "latest"), digest)


def _split(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    is_registry = slash and ("." in first or ":" in first or first == "localhost" or first.lower() != first)
    registry, path = (first, rest) if is_registry else ("docker.io", name)
    if registry == "index.docker.io":
        registry = "docker.io"
    if registry == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return registry, path
