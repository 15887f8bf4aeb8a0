"""What an engine is: a RouteTable becomes files, and a signal makes the running program take them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from ..routes import Complaint, RouteTable

Secret = Callable[[str], Mapping[str, Any] | None]
"""The TLS Secret of NAMESPACE/NAME."""


@dataclass(frozen=True)
class Ports:
    http: int
    https: int
    """0: no TLS."""
    status: int
    """On 127.0.0.1: tells which configuration is in force."""


@dataclass
class Rendered:
    """A whole configuration. Names of files are relative to the engine's folder."""

    folder: str
    files: dict[str, bytes] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)
    version: str = ""

    def add(self, kind: str, content: bytes) -> str:
        """A file named after its content, so that one in use is never changed; gives its path."""
        name = f"{kind}-{hashlib.sha256(content).hexdigest()[:24]}"
        self.files[name] = content
        return f"{self.folder}/{name}"


class Engine(Protocol):
    """One kind of proxy."""

    main: ClassVar[str]
    """The file the program is started with."""
    pid_file: ClassVar[str]
    signal: ClassVar[int]
    """Takes the files again, without losing a request."""

    def render(self, table: RouteTable, secret: Secret, folder: str, ports: Ports) -> Rendered: ...
