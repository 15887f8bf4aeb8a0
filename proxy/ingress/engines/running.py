"""Keeps an engine's files as the table says and tells the program, which runs in the same pod, to take them.

The pod shares its process namespace (`shareProcessNamespace`), so that the program's own pid file leads to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from panal.tasks import spawn

from ..routes import Complaint, RouteTable
from .contract import Engine, Ports, Rendered, Secret

PAUSE = 0.05
"""Seconds in which further changes join the one that is being written: a rolling update is many."""
PATIENCE = 3.0
"""Seconds until a configuration that isn't in force is said to be refused."""

KINDS = ("certificate", "key", "users", "routes", "split")
"""Files that are named after their content, and go when no configuration names them any more."""
AGAIN = 0.7
"""Seconds until the program is told once more: while it loads, HAProxy's master hears no signal."""
SEEN = 4
"""Answers in a row, 0.05 s apart, that a configuration must be in: NGINX lets the old workers accept for 0.1 s more."""

_log = logging.getLogger(__name__)


class Runner:
    """`apply` may be called as often as something changes; the program is told once for all that came together."""

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        ports: Ports,
        secret: Secret,
        complain: Callable[[Iterable[Complaint]], None],
        patience: float = PATIENCE,
    ) -> None:
        self._engine = engine
        self._folder = folder
        self._ports = ports
        self._secret = secret
        self._patience = patience
        self._complain = complain
        self._wanted: RouteTable | None = None
        self._task: asyncio.Task[None] | None = None
        self._stale: set[Path] = set()
        self._good: Rendered | None = None
        """What the program has taken last."""
        self.reloads = 0
        self.refused = 0
        self.in_force = ""

    def prepare(self) -> None:
        """Write a configuration without any route where there is none: the program starts with it."""
        if not (self._folder / self._engine.main).exists():
            self._write(self._render(RouteTable()))

    def apply(self, table: RouteTable) -> None:
        self._wanted = table
        if self._task is None or self._task.done():
            self._task = spawn(self._follow(), name="tell the engine")

    def metrics(self) -> str:
        """Prometheus' text format; the names are ingress-nginx'."""
        return (
            "# TYPE nginx_ingress_controller_success counter\n"
            f"nginx_ingress_controller_success {self.reloads}\n"
            "# TYPE nginx_ingress_controller_errors counter\n"
            f"nginx_ingress_controller_errors {self.refused}\n"
        )

    def _render(self, table: RouteTable) -> Rendered:
        return self._engine.render(table, self._secret, str(self._folder), self._ports)

    async def _follow(self) -> None:
        while self._wanted is not None:
            table, self._wanted = self._wanted, None
            rendered = self._render(table)
            self._complain(rendered.complaints)
            if rendered.version != self.in_force:
                self._write(rendered)
                if await self._take(rendered.version):
                    self._good = rendered
                elif self._good is not None:
                    self._write(self._good)  # should the program be started again, it must find what it can read
            await asyncio.sleep(PAUSE)

    def _write(self, rendered: Rendered) -> None:
        """The main file last, and at once; then what nobody names any more goes."""
        for name, content in sorted(rendered.files.items(), key=lambda item: item[0] == self._engine.main):
            path = self._folder / name
            if path.exists() and path.read_bytes() == content:
                continue
            new = path.with_name(f".{name}.new")
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                os.fchmod(file.fileno(), 0o644 if str(path) in rendered.public else 0o600)
                file.write(content)
            new.replace(path)
        self._stale = {path for kind in KINDS for path in self._folder.glob(f"{kind}-*")} - {
            self._folder / name for name in rendered.files
        }

    async def _take(self, version: str) -> bool:
        """Tell the program, and wait until it says that this configuration is in force."""
        now = asyncio.get_running_loop().time
        deadline, told, seen = now() + self._patience, 0.0, 0
        while now() < deadline:
            if not seen and now() - told > AGAIN and self._tell():
                told = now()
            seen = seen + 1 if told and await self._version() == version else 0
            if seen == SEEN:
                self.in_force = version
                self.reloads += 1
                for path in self._stale:
                    path.unlink(missing_ok=True)
                _log.info("the engine works with configuration %s", version)
                return True
            await asyncio.sleep(0.05)
        self.refused += 1
        _log.error("the engine did not take configuration %s; its log says why", version)
        return False

    def _tell(self) -> bool:
        try:
            os.kill(int((self._folder / self._engine.pid_file).read_text()), self._engine.signal)
        except (OSError, ValueError):
            return False  # it hasn't started yet, and will read the file when it does
        return True

    async def _version(self) -> str:
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._ports.status)
                writer.write(b"GET /configuration HTTP/1.0\r\nHost: localhost\r\n\r\n")
                answer = await reader.read(4096)
                writer.close()
        except (OSError, TimeoutError):
            return ""
        with contextlib.suppress(UnicodeDecodeError):
            return answer.partition(b"\r\n\r\n")[2].decode().strip()
        return ""
