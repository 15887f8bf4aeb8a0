"""Images of the user's own: a root file system in a folder of this machine, by a name.

One JSON file an image in `images/` beside the clusters, read whenever a container asks for an image, so that what is
added is there at once, in every cluster of this user.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from .reference import parse
from .resolve import ImageSpec

_LIMIT = 1 << 20


class BadImage(ValueError):
    """The image can't be added; the message is a sentence for the user."""


def folder(panal_home: Path) -> Path:
    return panal_home / "images"


def find(place: Path, ref: str) -> ImageSpec | None:
    """The image of this full reference; None where there is none, or none that can be read."""
    try:
        return _read(_file(place, ref))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def everything(place: Path) -> Iterator[ImageSpec]:
    for path in sorted(place.glob("*.json")):
        try:
            yield _read(path)
        except (OSError, ValueError, TypeError, KeyError):
            continue


def add(place: Path, name: str, rootfs: str, **more: object) -> ImageSpec:
    """Keep the image; one of the same name is replaced. `more` are fields of ImageSpec.

    Raises InvalidReference, and BadImage for a folder that holds no root file system.
    """
    where = os.path.realpath(rootfs)
    if where == "/" or not os.path.isdir(where):
        raise BadImage(f"{rootfs} is not a folder that holds a root file system.")
    if not any(os.path.isdir(os.path.join(where, part)) for part in ("bin", "usr", "etc", "app", "opt")):
        raise BadImage(f"{rootfs} holds none of the folders of a root file system: bin, usr, etc, app, opt.")
    spec = ImageSpec(ref=str(parse(name)), rootfs=where, **more)  # type: ignore[arg-type]
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = _file(place, spec.ref)
    part = path.with_suffix(".new")
    part.write_bytes(orjson.dumps(spec))
    part.replace(path)
    return spec


def remove(place: Path, name: str) -> bool:
    """Forget the image; its folder stays. Whether there was one. Raises InvalidReference."""
    try:
        _file(place, str(parse(name))).unlink()
    except FileNotFoundError:
        return False
    return True


def _file(place: Path, ref: str) -> Path:
    return place / f"{quote(ref, safe='')}.json"


def _read(path: Path) -> ImageSpec:
    with path.open("rb") as file:
        raw: dict[str, Any] = orjson.loads(file.read(_LIMIT))
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
    return ImageSpec(**fields)
