"""The machine as the engine needs it, and what the machine makes of images' names."""

from __future__ import annotations

import dataclasses
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from panal import tools

from ..images import ImageSpec, resolve
from ..network.contract import Space
from .cgroups import Cgroups
from .contract import Mount, RuntimeFailure
from .execution import Executions
from .request import SpawnRequest
from .state import ContainerRecord, remove_tree

_FILL_PATIENCE = 30.0
"""Seconds that a program may take to lay out its commands."""


_SHELL = "sh"


@dataclass(frozen=True)
class Place:
    node: Space
    """Where the node's own processes are, the pods of host_network among them."""
    which: Callable[[str], str | None]
    exits: Path
    interpreter: str = sys.executable
    cgroups: Cgroups | None = None
    added: Callable[[str], ImageSpec | None] = lambda ref: None
    """The image that the user added under this full reference."""
    own_root: bool = False
    """Whether containers have a root of their own, in which /bin/sh can be another program than the machine's."""
    unpacked: str | None = None
    """Where programs lie that containers see in /usr; see `machine.View.unpacked`."""


class Store:
    """Images of this machine. `folder` keeps what they lay out for themselves, once a node."""

    def __init__(self, folder: Path, place: Place, executions: Executions) -> None:
        self._folder, self._place, self._executions = folder, place, executions

    def resolve(self, image: str) -> ImageSpec:
        """Raises ImageMissing."""
        place = self._place
        return resolve(image, which=place.which, interpreter=place.interpreter, added=place.added)

    async def ready(self, image: ImageSpec) -> None:
        """Let the image's program lay out its commands, if it has not yet. Raises RuntimeFailure."""
        if not image.toolbox or (place := self._toolbox(image)).exists():
            return
        part = place.with_name(f"bin.{secrets.token_hex(4)}")
        part.mkdir(parents=True)
        argv = [word.replace("@DIR@", str(part)) for word in image.toolbox]
        argv[0] = self._place.which(argv[0]) or argv[0]
        result = await self._executions.run(SpawnRequest(argv), timeout=_FILL_PATIENCE)
        if result.exit_code != 0:
            remove_tree(part)
            raise RuntimeFailure(f"{argv[0]}: {result.stderr.decode(errors='replace')[:500]}")
        tools.point_inside(part, self._place.unpacked)
        try:
            part.rename(place)
        except OSError:  # another container of the same image was faster
            remove_tree(part)

    def shown(self, record: ContainerRecord) -> ContainerRecord:
        """The container with its image's commands among its mounts."""
        if not record.image.toolbox:
            return record
        folder = self._toolbox(record.image)
        commands = [Mount("/usr/local/bin", str(folder), readonly=True)]
        if self._place.own_root and (shell := self._outside(folder / _SHELL)).exists():
            commands.append(Mount("/bin/sh", str(shell), readonly=True))  # the machine's is another, whose words differ
        config = dataclasses.replace(record.config, mounts=(*commands, *record.config.mounts))
        return dataclasses.replace(record, config=config)

    def _outside(self, command: Path) -> Path:
        """Where the program that a link of the toolbox leads to inside lies out here."""
        unpacked = self._place.unpacked
        if unpacked is None or not command.is_symlink():
            return command
        place = Path(f"{unpacked}{command.readlink()}")
        return place if place.exists() else command

    def _toolbox(self, image: ImageSpec) -> Path:
        return self._folder / image.toolbox[0] / "bin"
