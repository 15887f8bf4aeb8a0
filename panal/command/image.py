"""`panal image`: which images this machine can provide, and root file systems of the user's own."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from panal import tools
from panal.bundled import BUNDLED

from .failure import Failure
from .running import home
from .status import table

RESOLVE, CATALOG, ADDED = (f"panal.agents.images.{name}" for name in ("resolve", "catalog", "added"))


@dataclass(frozen=True)
class Wish:
    """What `panal image add` was told."""

    rootfs: str
    entrypoint: str
    command: str
    env: Sequence[str]
    working_dir: str
    user: int | None


def ls(environ: Mapping[str, str]) -> None:
    """Print every image, and what a missing one needs. Raises Failure."""
    resolve, catalog = importlib.import_module(RESOLVE), importlib.import_module(CATALOG)
    rows = [[spec.ref, "yes", f"added: {spec.rootfs}"] for spec in _added().everything(_folder(environ))]
    listed = {row[0] for row in rows}
    for host in catalog.HOST_IMAGES:
        if (name := _listed_as(host)) in listed:
            continue
        listed.add(name)
        lacking = resolve.missing(host, lambda program: tools.which(program, environ))
        rows.append([name, "yes" if lacking is None else "no", "" if lacking is None else resolve.how_to_get(host)])
    rows.append(["pause", "yes", ""])
    rows += [[name, "yes", "Panal's own"] for name in sorted(BUNDLED)]
    table(["IMAGE", "HERE", "WHAT"], rows)


def _listed_as(host: Any) -> str:
    """Its first name, with the tag where that is a variant and no pattern of versions."""
    return f"{host.names[0]}:{host.tags}" if host.tags.replace("-", "").isalnum() else str(host.names[0])


def add(name: str, wish: Wish, environ: Mapping[str, str]) -> None:
    """Keep it. Raises Failure."""
    env = {}
    for entry in wish.env:
        variable, equals, value = entry.partition("=")
        if not equals or not variable:
            raise Failure(f"{entry!r} is no variable: write NAME=VALUE.")
        env[variable] = value
    try:
        spec = _added().add(
            _folder(environ),
            name,
            wish.rootfs,
            entrypoint=tuple(shlex.split(wish.entrypoint)),
            cmd=tuple(shlex.split(wish.command)),
            env=env,
            working_dir=wish.working_dir,
            user=wish.user,
        )
    except ValueError as error:
        raise Failure(f"{str(error).removesuffix('.')}.") from None
    click.echo(f"{spec.ref} is {spec.rootfs}, which containers see copy-on-write.")


def rm(name: str, environ: Mapping[str, str]) -> None:
    """Forget it. Raises Failure."""
    try:
        known = _added().remove(_folder(environ), name)
    except ValueError as error:
        raise Failure(f"{error}.") from None
    if not known:
        raise Failure(f"no image called {name!r} was added; `panal image ls` lists them.")


def _folder(environ: Mapping[str, str]) -> Any:
    return _added().folder(home(environ))


def _added() -> Any:
    return importlib.import_module(ADDED)
