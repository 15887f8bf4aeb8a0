"""What an engine is: a RouteTable becomes files, and a signal makes the running program take them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from ..routes import Complaint, Route, RouteTable

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
    public: set[str] = field(default_factory=set)
    """Paths of files that the program reads after it has become an ordinary user."""
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


def matching(route: Route) -> str:
    """A regular expression for the paths (decoded, normalized) that are the route's. Raises ValueError."""
    if route.kind == "Exact":
        return rf"^{re.escape(route.path)}\z"
    if route.pattern is not None:
        return checked(f"(?is){route.pattern.pattern}")
    text = re.escape(route.path.rstrip("/") if route.kind == "Prefix" else route.path)
    return f"^{text}(?:/|\\z)" if route.kind == "Prefix" and text else f"^{text or '/'}"


def checked(expression: str) -> str:
    """An expression of somebody's that means the same everywhere: RE2's language, which Go's and most of PCRE are.

    Raises ValueError: one program would refuse the whole configuration for it, or end.
    """
    import re2

    try:
        quiet = re2.Options()
        quiet.log_errors = False
        re2.compile(expression, quiet)
    except re2.error as error:
        raise ValueError(f"{expression!r} is no regular expression to every engine: {error}") from None
    if found := _OWN_WAYS.search(expression):
        raise ValueError(f"{expression!r}: {found[0]} does not mean the same to every engine")
    return expression


_OWN_WAYS = re.compile(r"\\x\{|\\[CpPQEK]|\(\?[imsx-]*U|\[\[:\^?word")
